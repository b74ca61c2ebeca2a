"""Describe the engine that a node runs, and how a missing engine is built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bmfgraph.engines.key import EngineKey
from bmfgraph.plan.types import Device, Runtime

__all__ = ["BuildSpec", "EngineSpec", "RuntimeReason"]

Shape = tuple[int, ...]


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
    speeds: str = ""
    """The measured speeds of the CPU's runtimes; "" without a measurement."""


@dataclass(frozen=True)
class BuildSpec:
    """The build of an engine from an ONNX file, for a store that does not hold it."""

    model: str
    """Name of the model: the engine's folder in the store."""
    key: EngineKey
    """Everything that the engine depends on."""
    store: str
    """Folder of the engine store."""
    policy: Literal["auto", "never", "always"]
    python: str | None
    """Another interpreter whose TensorRT builds the engine; None: this interpreter."""
    command: tuple[str, ...]
    """Command line, with placeholders, of a program that builds instead of TensorRT's Python API."""
    timing_cache: bool
    calibration: str | None
    """Clip that int8 is calibrated on."""
    calibration_frames: int


@dataclass(frozen=True)
class EngineSpec:
    """Everything that a runtime needs to load an engine. The compiler puts it into the plan's inference nodes."""

    runtime: Runtime
    device: Device
    path: str
    """The file that is loaded: the model itself, or the engine built from it."""
    onnx: str
    """The model file."""
    sha256: str
    """Checksum of the model file."""
    precision: str
    batch: int
    threads: int | None
    input_shapes: tuple[tuple[str, Shape], ...]
    """Shape of every input, batch included."""
    output_shapes: tuple[tuple[str, tuple[int | None, ...]], ...]
    """Shape of every output, batch included; None where a size depends on the data."""
    tensors: tuple[tuple[str, str], ...]
    """NumPy's dtype name of every input and output in the model file, by tensor name."""
    dim_overrides: tuple[tuple[str, tuple[int | str, ...]], ...]
    """Inputs whose dims the model's configuration replaces."""
    build: BuildSpec | None = None
    """How ``path`` is built; None where an existing file is used as it is."""
    allow_host_code: bool = False
    """Whether the engine may contain code that runs on the CPU, as version-compatible plans do."""
    cuda_graph: bool = False
    streams: int | None = 1
    """Number of inferences that run side by side; None: as many as are good for the CPU."""
    unbatched: tuple[str, ...] = field(default=(), metadata={"json": False})
    """Inputs without a batch dim; they follow from the values that the node feeds."""
    reason: RuntimeReason | None = field(default=None, compare=False, metadata={"json": False})
    """Why this runtime was chosen; it explains the plan and changes no work, so it is not part of its JSON and hash."""
