"""How a model is run: the config group `engine/`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from bmfgraph.engines.key import Profile
from bmfgraph.nodes.base import Frozen
from bmfgraph.nodes.model import Size

__all__ = ["EngineOptions", "ProfileOptions", "Shape"]


def _shape(value: Any) -> Any:
    """``1x3x480x640``, as trtexec's flags have it, is a shape too."""
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"\d+(x\d+)*", value):
        raise ValueError(f"{value!r} is no shape; write 1x3x480x640, or a list")
    return tuple(int(size) for size in value.split("x"))


Shape = Annotated[tuple[Size, ...], BeforeValidator(_shape)]
"""Sizes in the order of the tensor's dims, batch included: a list, or text such as 1x3x480x640."""


class ProfileOptions(Frozen):
    """The shapes of one input that an engine shall accept, and the one that it is tuned for."""

    min: Shape = Field(description="Smallest shape that it accepts.")
    opt: Shape = Field(description="The shape that it is tuned for.")
    max: Shape = Field(description="Largest shape that it accepts.")

    @model_validator(mode="after")
    def _in_order(self) -> ProfileOptions:
        if not len(self.min) == len(self.opt) == len(self.max):
            raise ValueError(
                f"min {list(self.min)}, opt {list(self.opt)} and max {list(self.max)} must have as many dims each; "
                "write all dims of the input in each"
            )
        for axis, (low, middle, high) in enumerate(zip(self.min, self.opt, self.max, strict=True)):
            if not low <= middle <= high:
                raise ValueError(
                    f"dim {axis}: min {low}, opt {middle}, max {high} must not fall; set min <= opt <= max in every dim"
                )
        return self

    def profile(self) -> Profile:
        """The same as a plain value of the key."""
        return Profile(self.min, self.opt, self.max)


class EngineOptions(Frozen):
    """How a model is run: by which runtime, how precisely, in which shapes, and how its engine is built."""

    runtime: Literal["auto", "tensorrt", "tensorrt_rtx", "onnxruntime"] = Field(
        default="auto",
        description="auto: TensorRT or TensorRT-RTX where GPU and library are, else ONNX Runtime.",
    )
    precision: Literal["fp32", "tf32", "fp16", "bf16", "int8"] = Field(
        default="fp32", description="In what numbers the model is computed on a GPU; on a CPU fp32."
    )
    batch: int = Field(default=1, ge=1, le=256, description="Frames (or windows) in one inference.")
    threads: int | None = Field(default=None, ge=1, le=256, description="CPU threads; null: one a core.")
    streams: int = Field(default=1, ge=1, le=16, description="Inferences that may run side by side on the GPU.")
    cuda_graph: bool = Field(default=False, description="Record the inference once and replay it: for small networks.")

    profiles: Literal["auto"] | dict[str, ProfileOptions] = Field(
        default="auto",
        description="min, opt and max shape by input name; auto: the frames' own, any batch up to `batch`.",
    )
    input_shapes: dict[str, Shape] | None = Field(
        default=None, description="Shapes by input name, batch included; null: from the frames."
    )

    path: str | None = Field(default=None, min_length=1, description="An engine built elsewhere, used as it is.")
    allow_host_code: bool = Field(
        default=False, description="Let an engine bring its own CPU code, as version-compatible plans do."
    )
    build: Literal["auto", "never", "always"] = Field(default="auto", description="Whether a missing engine is built.")
    store: str = Field(default="engines", min_length=1, description="Folder where built engines are kept.")
    workspace: int | None = Field(default=None, ge=1, description="MiB that the builder may use; null: all there is.")
    optimization_level: int | None = Field(default=None, ge=0, le=5, description="Null: the version's own.")
    version_compatible: bool = Field(default=False, description="Build for later versions of TensorRT too.")
    tactic_sources: tuple[str, ...] | None = Field(default=None, description="TensorRT's names; null: its own choice.")
    timing_cache: bool = Field(default=True, description="Keep what was measured for the next build.")
    calibration: str | None = Field(default=None, description="int8: a clip like those that will be processed.")
    calibration_frames: int = Field(default=32, ge=1, le=1000, description="Frames taken from all over that clip.")

    builder: Literal["python", "command"] = Field(
        default="python", description="python: TensorRT's own API; command: the program in `command`."
    )
    python: str | None = Field(default=None, description="Another Python that has the TensorRT to build with.")
    command: tuple[str, ...] = Field(default=(), description="Its words, with {onnx}, {plan}, {shapes} and others.")
    version: str | None = Field(default=None, description="The TensorRT version that `command` builds with.")

    @model_validator(mode="after")
    def _agree(self) -> EngineOptions:
        if (self.builder == "command") != bool(self.command):
            raise ValueError(
                "builder: command needs the program's words in `command`; "
                "write them, such as [trtexec, '--onnx={onnx}', '--saveEngine={plan}']"
                if self.builder == "command"
                else "`command` is given, but builder is python; set builder: command"
            )
        if self.builder == "command" and self.python:
            raise ValueError("`python` and `command` are both given; choose one of them")
        if self.path is not None and self.build == "always":
            raise ValueError("`path` names an engine that is used as it is; leave build: always out")
        return self
