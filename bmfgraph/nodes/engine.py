"""Define how a model is run: the config group `engine/`, and the engine that a node requests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from bmfgraph import error_codes as codes
from bmfgraph.engines.key import Profile
from bmfgraph.engines.onnx.model import OnnxModel, OnnxTensor
from bmfgraph.engines.spec import RuntimeReason
from bmfgraph.engines.trial import TrialRequest, trial_request
from bmfgraph.errors import FieldError, PlanError, did_you_mean, join_sorted
from bmfgraph.nodes.base import Frozen
from bmfgraph.nodes.feeds import Feed
from bmfgraph.nodes.model import Size
from bmfgraph.nodes.path_kind import FilePath, FolderPath
from bmfgraph.system.machine import Machine

__all__ = [
    "EngineOptions",
    "EngineRequest",
    "ProfileOptions",
    "Shape",
    "check_declared_shape",
    "check_shape_names",
    "declared_shape",
    "fits_dims",
    "idle_text",
    "needed_text",
    "reason_text",
]


def _shape(value: Any) -> Any:
    """Accept ``1x3x480x640``, the form of trtexec's flags."""
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"\d+(x\d+)*", value):
        raise FieldError(f"{value!r} is not a shape", "write 1x3x480x640, or a list")
    return tuple(int(size) for size in value.split("x"))


Shape = Annotated[tuple[Size, ...], BeforeValidator(_shape)]
"""Sizes in the order of the tensor's dims, batch included: a list, or text such as 1x3x480x640."""


class ProfileOptions(Frozen):
    """The shapes of one input that an engine accepts, and the one that it is tuned for."""

    min: Shape = Field(description="Smallest shape that it accepts.")
    opt: Shape = Field(description="The shape that it is tuned for.")
    max: Shape = Field(description="Largest shape that it accepts.")

    @model_validator(mode="after")
    def _in_order(self) -> ProfileOptions:
        if not len(self.min) == len(self.opt) == len(self.max):
            raise FieldError(
                f"min {list(self.min)}, opt {list(self.opt)} and max {list(self.max)} must have the same number of "
                "dims",
                "write all dims of the input in each",
            )
        for axis, (low, middle, high) in enumerate(zip(self.min, self.opt, self.max, strict=True)):
            if not low <= middle <= high:
                raise FieldError(
                    f"dim {axis}: min {low}, opt {middle}, max {high} must not decrease",
                    "set min <= opt <= max in every dim",
                )
        return self

    def profile(self) -> Profile:
        """Return the profile as a plain value of the engine key."""
        return Profile(self.min, self.opt, self.max)


class EngineOptions(Frozen):
    """The settings of a model: runtime, precision, shapes, and the build of its engine."""

    runtime: Literal["auto", "tensorrt", "tensorrt_rtx", "onnxruntime", "openvino"] = Field(
        default="auto",
        description="auto: TensorRT or TensorRT-RTX if GPU and library are there; on a CPU the faster one of OpenVINO "
        "and ONNX Runtime.",
    )
    precision: Literal["fp32", "tf32", "fp16", "bf16", "int8"] = Field(
        default="fp32",
        description="Number format of the computation. A CPU computes in fp32, with OpenVINO also in bf16 and int8.",
    )
    batch: int = Field(default=1, ge=1, le=256, description="Frames (or windows) in one inference.")
    threads: int | None = Field(default=None, ge=1, le=256, description="CPU threads; null: one per core.")
    streams: int | None = Field(
        default=None,
        ge=1,
        le=16,
        description="Inferences that may run side by side; null: 1 on a GPU, 2 on a CPU, where they share the threads.",
    )
    cuda_graph: bool = Field(
        default=True, description="Record the work of a batch on the GPU once, and replay it for each batch."
    )

    profiles: Literal["auto"] | dict[str, ProfileOptions] = Field(
        default="auto",
        description="min, opt and max shape by input name; auto: the frames' own, any batch up to `batch`.",
    )
    input_shapes: dict[str, Shape] | None = Field(
        default=None, description="Shapes by input name, batch included; null: from the frames."
    )

    path: FilePath | None = Field(default=None, min_length=1, description="An engine built elsewhere, used as it is.")
    allow_host_code: bool = Field(
        default=False, description="Let an engine bring its own CPU code, as version-compatible plans do."
    )
    build: Literal["auto", "never", "always"] = Field(default="auto", description="Whether a missing engine is built.")
    store: FolderPath = Field(default="engines", min_length=1, description="Folder where built engines are kept.")
    workspace: int | None = Field(default=None, ge=1, description="MiB that the builder may use; null: all memory.")
    optimization_level: int | None = Field(default=None, ge=0, le=5, description="Null: the version's own.")
    version_compatible: bool = Field(default=False, description="Build for later versions of TensorRT too.")
    tactic_sources: tuple[str, ...] | None = Field(default=None, description="TensorRT's names; null: its own choice.")
    timing_cache: bool = Field(default=True, description="Keep the builder's measurements for the next build.")
    calibration: FilePath | None = Field(default=None, description="int8: a clip like those that will be processed.")
    calibration_frames: int = Field(default=32, ge=1, le=1000, description="Frames taken from all over that clip.")

    builder: Literal["python", "command"] = Field(
        default="python", description="python: TensorRT's own API; command: the program in `command`."
    )
    python: FilePath | None = Field(default=None, description="Another Python whose TensorRT builds the engine.")
    command: tuple[str, ...] = Field(
        default=(), description="Program and arguments, with {onnx}, {plan}, {shapes} and others."
    )
    version: str | None = Field(default=None, description="The TensorRT version that `command` builds with.")

    @model_validator(mode="after")
    def _agree(self) -> EngineOptions:
        if (self.builder == "command") != bool(self.command):
            if self.command:
                raise FieldError("`command` is given, but builder is python", "set builder: command")
            raise FieldError(
                "builder: command needs a program and its arguments in `command`",
                "write them, such as [trtexec, '--onnx={onnx}', '--saveEngine={plan}']",
            )
        if self.builder == "command" and self.python:
            raise FieldError("`python` and `command` are both given", "choose one of them")
        if self.path is not None and self.build == "always":
            raise FieldError("`path` names an engine that is used as it is", "leave build: always out")
        return self


@dataclass(frozen=True)
class EngineRequest:
    """The engine that a node needs; the compiler turns it into an :class:`bmfgraph.engines.spec.EngineSpec`."""

    model: str
    options: EngineOptions
    onnx: OnnxModel
    input_shapes: tuple[tuple[str, tuple[int, ...]], ...]
    """Name and shape of every input, batch included."""
    output_shapes: tuple[tuple[str, tuple[int | None, ...]], ...]
    dims: tuple[tuple[str, tuple[int | str, ...]], ...]
    """Name and dims of every input, from the model's config or else from its file; text for a free dim."""
    fixed_batch: bool
    """Whether the model reads only batches of that size."""
    sides: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Axes of height and width, by input name; none where they are unknown."""
    own: bool = False
    """Whether the user has named the file."""
    feeds: tuple[Feed, ...] = ()
    """The inputs that no edge is connected to."""
    rows: tuple[str, ...] = ()
    """Outputs whose first dim counts detections, so that their size depends on the data."""

    def trial(self) -> TrialRequest:
        """Return the request to try the model in a runtime."""
        return trial_request(
            self.onnx, dict(self.input_shapes), dict(self.dims), dict(self.sides), self.options.threads
        )

    @property
    def fixed_size(self) -> bool:
        """Whether no side of any input is free."""
        dims = dict(self.dims)
        return not any(isinstance(dims[name][axis], str) for name, axes in self.sides for axis in axes)


def reason_text(reason: RuntimeReason | None, precision: str) -> str:
    """Return why a runtime that computes in ``precision`` was chosen, in one phrase; "" if the user asked for it."""
    if reason is None:
        return ""
    parts = [*idle_text(reason), reason.speeds]
    if precision != reason.precision:
        parts.append(f"in {precision} instead of {reason.precision}")
    return "; ".join(part for part in parts if part)


def idle_text(reason: RuntimeReason) -> tuple[str, str]:
    """Return why a model does not use the machine's GPU, and the command that changes it ("" for none)."""
    causes = {
        "requested": "",
        "gpu": f"on {reason.gpu}",
        "device_cpu": "device=cpu",
        "no_gpu": reason.detail,
        "rtx_unsupported": "TensorRT-RTX does not run on this GPU, and no TensorRT that builds is installed",
        "no_builder": "no TensorRT that builds engines is installed",
    }
    cause = causes[reason.code]
    if not (reason.idle and cause):
        return cause, ""
    return f"{cause}: {reason.gpu} stays idle", "pip install tensorrt"


def needed_text(precision: str, machine: Machine) -> str:
    """Return what a machine would need to compute in a precision that it does not have."""
    if precision == "int8" and not machine.openvino:
        return "OpenVINO (pip install openvino), or TensorRT and a GPU"
    if precision == "bf16" and machine.cpu_bf16:
        return "OpenVINO (pip install openvino)"
    return "TensorRT and a GPU"


def fits_dims(shape: Sequence[int], dims: Sequence[int | str]) -> bool:
    """Return whether the sizes agree with the fixed dims; text stands for a free dim."""
    return len(shape) == len(dims) and all(
        size == dim for size, dim in zip(shape, dims, strict=True) if isinstance(dim, int)
    )


def check_shape_names(node: str, options: EngineOptions, names: Sequence[str]) -> None:
    """Check that ``engine.input_shapes``, if set, has a shape for every input of the model.

    Raises:
        PlanError: A name is wrong or missing.
    """
    declared = options.input_shapes
    if declared is None:
        return
    for key in declared:
        if key not in names:
            raise PlanError(
                node,
                f"engine.input_shapes.{key}: the model has no such input{did_you_mean(key, names)}; "
                f"it has: {join_sorted(names)}",
                hint="correct the name under engine.input_shapes",
                code=codes.CONFLICTING_INPUT_SHAPES,
            )
    for key in names:
        if key not in declared:
            raise PlanError(
                node,
                f"engine.input_shapes has no {key}; the model has the inputs {join_sorted(names)}",
                hint="give each input its own shape, or leave engine.input_shapes out to take them from the frames",
                code=codes.CONFLICTING_INPUT_SHAPES,
            )


def declared_shape(
    node: str, options: EngineOptions, tensor: OnnxTensor, dims: Sequence[int | str]
) -> tuple[int, ...] | None:
    """Return the shape of the input in ``engine.input_shapes``; None if it is not set.

    Raises:
        PlanError: The model does not accept it.
    """
    shape = (options.input_shapes or {}).get(tensor.name)
    if shape is not None and not fits_dims(shape, dims):
        raise PlanError(
            node,
            f"engine.input_shapes.{tensor.name}={list(shape)}: the model accepts [{', '.join(map(str, dims))}]",
            hint="correct it, or leave engine.input_shapes out to take the shape from the frames",
            code=codes.CONFLICTING_INPUT_SHAPES,
        )
    return shape


def check_declared_shape(node: str, options: EngineOptions, tensor: OnnxTensor, shape: tuple[int, ...]) -> None:
    """Check ``engine.input_shapes`` against the shape that the frames have.

    Raises:
        PlanError: They differ.
    """
    declared = (options.input_shapes or {}).get(tensor.name)
    if declared is not None and declared != shape:
        raise PlanError(
            node,
            f"engine.input_shapes.{tensor.name}={list(declared)}, but the frames make {list(shape)}",
            hint=f"set engine.batch={declared[0]}"
            if declared[1:] == shape[1:]
            else "leave engine.input_shapes out to take the shape from the frames",
            code=codes.CONFLICTING_INPUT_SHAPES,
        )
