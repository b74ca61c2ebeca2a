"""What the compiler asks of a runtime, and of a builder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bmfgraph.engines.key import EngineKey
from bmfgraph.plan.types import Device

__all__ = ["BuildSpec", "EngineSpec", "Runtime", "RuntimeReason"]

Shape = tuple[int, ...]
Runtime = Literal["onnxruntime", "tensorrt", "tensorrt_rtx"]


@dataclass(frozen=True)
class RuntimeReason:
    """Why the compiler chose a runtime, and the precision that was asked for."""

    code: Literal["requested", "gpu", "device_cpu", "no_gpu", "rtx_unsupported", "no_builder"]
    precision: str
    gpu: str = ""
    """The machine's GPU; "" for none."""
    detail: str = ""
    """Why there is no GPU."""
    idle: bool = False
    """Whether the GPU is left idle although ``device=auto`` allows it."""


@dataclass(frozen=True)
class BuildSpec:
    """How an engine file is made from an ONNX file where the store has none."""

    model: str
    """Its name: the engine's folder in the store."""
    key: EngineKey
    """Everything that the engine depends on."""
    store: str
    """Folder of the engine store."""
    policy: Literal["auto", "never", "always"]
    python: str | None
    """Another interpreter, whose TensorRT builds."""
    command: tuple[str, ...]
    """Words of a program that builds instead of TensorRT's Python API, with placeholders."""
    timing_cache: bool
    calibration: str | None
    """Clip over which int8 is calibrated."""
    calibration_frames: int


@dataclass(frozen=True)
class EngineSpec:
    """All that a runtime needs to load an engine; made by the compiler, injected into the graph."""

    runtime: Runtime
    device: Device
    path: str
    """The file that is loaded: the model itself, or the engine built from it."""
    onnx: str
    """The model file."""
    sha256: str
    """Of the model file."""
    precision: str
    batch: int
    threads: int | None
    input_shapes: tuple[tuple[str, Shape], ...]
    """Of every input, batch included."""
    output_shapes: tuple[tuple[str, tuple[int | None, ...]], ...]
    tensors: tuple[tuple[str, str], ...]
    """Dtype of every input and output, by name, as the model file has it."""
    dim_overrides: tuple[tuple[str, tuple[int | str, ...]], ...]
    """Inputs whose dims the model's config replaces."""
    build: BuildSpec | None = None
    """How ``path`` is made; None where it is used as it is."""
    allow_host_code: bool = False
    """Whether an engine may bring code of its own that runs on the CPU, as version-compatible plans do."""
    cuda_graph: bool = False
    streams: int = 1
    """Execution contexts that work side by side."""
    reason: RuntimeReason | None = field(default=None, compare=False, metadata={"json": False})
    """Why this runtime was chosen; it explains the plan and changes no work, so it is not part of its JSON and hash."""
