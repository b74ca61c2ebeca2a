"""Define a model's config: the source of its ONNX file and the meaning of its tensors.

Names, dtypes and dims of the tensors come from the ONNX file itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from bmfgraph.errors import FieldError
from bmfgraph.nodes.base import Frozen, Partial
from bmfgraph.nodes.decode import AnyDecode, any_of
from bmfgraph.nodes.feeds import FeedValue
from bmfgraph.nodes.fields import TensorLayout
from bmfgraph.nodes.path_kind import PathKind
from bmfgraph.plan.description import Align, Fit, Framing, Interpolation
from bmfgraph.plan.types import TensorMeaning, Window

__all__ = [
    "InputMeaning",
    "Levels",
    "ModelSpec",
    "OutputMeaning",
    "PictureMeaning",
    "Size",
    "WindowOptions",
    "check_divisor",
]

Levels = float | Annotated[tuple[float, ...], Field(min_length=1)]
"""Grey levels, one for all channels or one for each."""
Size = Annotated[int, Field(ge=1)]
"""Size of a dim."""
Level = Annotated[int, Field(ge=0, le=255)]
"""A grey level."""


def check_divisor(value: Levels | None) -> Levels | None:
    """Refuse a standard deviation of 0."""
    if value is not None and 0 in _tuple(value):
        raise FieldError(
            f"{value!r}: values are divided by it, so it must not be 0", "leave it out, or set it to 1 or 255"
        )
    return value


def _listed(value: Any) -> Any:
    return value if value is None or isinstance(value, (list, tuple)) else [value]


def _tuple(value: Levels) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


class PictureMeaning(Partial):
    """The meaning of an image tensor's numbers: value = (level - mean) / std, with levels in 0..255."""

    layout: Literal["NCHW", "NHWC"] = Field(default="NCHW", description="Order of the tensor's dims.")
    channels: Literal["RGB", "BGR", "GRAY"] = Field(default="RGB", description="Order of the channels, or grey.")
    mean: Levels = Field(default=0.0, description="Grey levels, one for all channels or one for each.")
    std: Levels = Field(default=1.0, description="Grey levels; 255 gives values in 0..1.")

    _not_zero = field_validator("std")(check_divisor)

    @model_validator(mode="after")
    def _one_per_channel(self) -> PictureMeaning:
        count = 1 if self.channels == "GRAY" else 3
        for name, value in (("mean", self.mean), ("std", self.std)):
            if len(_tuple(value)) not in (1, count):
                raise FieldError(f"{name} has {len(_tuple(value))} values", f"give one, or {count} for {self.channels}")
        return self

    def meaning(self) -> TensorMeaning:
        """Return the same as a plain value of the plan."""
        return TensorMeaning(self.layout, self.channels, _tuple(self.mean), _tuple(self.std))


class OutputMeaning(PictureMeaning, TensorLayout):
    """The meaning of an output: of its fields, or of an image where it names none."""

    @property
    def is_picture(self) -> bool:
        """Whether no key says that the output is something else."""
        return not self.model_fields_set & set(TensorLayout.model_fields)


class InputMeaning(PictureMeaning):
    """An input's meaning, the sizes that the network accepts, and how a frame becomes the input."""

    dims: tuple[Size | str, ...] | None = Field(
        default=None,
        description="Replaces the file's dims where the export fixed a size the network does not need.",
    )
    multiple: int = Field(default=1, ge=1, description="Height and width must be divisible by it.")
    size: tuple[Size | None, Size | None] | None = Field(
        default=None,
        description="[height, width] for a network that accepts several; null: the frame's; null for one of them: as "
        "the frame's shape makes it.",
    )
    longest: Size | None = Field(
        default=None, description="Shrink larger frames so that their longer side has this size; without `size` only."
    )
    fit: Fit | None = Field(default=None, description="How a frame fits the size; null: letterbox where sizes differ.")
    align: Align = Field(default="centre", description="Place of a letterboxed frame.")
    pad_value: Level = Field(default=0, description="Grey level of letterbox bars and padding.")
    resize: Interpolation = Field(default="bilinear", description="Interpolation; area averages the replaced pixels.")
    antialias: bool = Field(default=True, description="Low-pass before shrinking (bilinear and bicubic).")
    feed: Annotated[tuple[FeedValue | float, ...], BeforeValidator(_listed)] | None = Field(
        default=None,
        description="Values of an input that is no picture, such as [source_width, source_height] or 0.5; no edge is "
        "connected to it.",
    )

    def framing(self) -> Framing:
        """Return how a frame becomes the input, as a plain value."""
        return Framing(self.fit, self.align, self.pad_value, self.resize, self.antialias, self.longest)


class WindowOptions(Frozen):
    """A temporal window: `frames` frames in, those at positions `outputs` out, then `step` frames further."""

    frames: int = Field(default=1, ge=1, le=64, description="Number of frames that the model reads at once.")
    outputs: tuple[int, ...] = Field(default=(0,), min_length=1, description="Positions counted from 0.")
    step: int = Field(default=1, ge=1, description="Frames from one window to the next: as many as `outputs` has.")
    pad: Literal["edge"] = Field(default="edge", description="Frames before the first and after the last one.")

    @model_validator(mode="after")
    def _every_frame_once(self) -> WindowOptions:
        first, last = self.outputs[0], self.outputs[-1]
        if self.outputs != tuple(range(first, last + 1)):
            raise FieldError(
                f"outputs {list(self.outputs)} must be consecutive positions, such as [2, 3, 4]",
                "list neighbours in rising order",
            )
        if first < 0 or last >= self.frames:
            raise FieldError(
                f"outputs {list(self.outputs)} must lie inside the window's positions 0..{self.frames - 1}",
                "correct outputs, or frames",
            )
        if self.step != len(self.outputs):
            raise FieldError(
                f"step {self.step} with {len(self.outputs)} outputs would emit frames twice or not at all",
                f"set step to {len(self.outputs)}",
            )
        return self

    def window(self) -> Window:
        """Return the same as a plain value of the plan."""
        return Window(self.frames, self.outputs, self.step, self.pad)


class ModelSpec(Frozen):
    """A model: its file, its inputs and its outputs.

    What the file says itself may be left out: :func:`bmfgraph.nodes.facts.complete` adds it, and the preset's values.
    """

    name: str = Field(description="Names the model in messages, reports and the engine store.")
    source: str | None = Field(default=None, description="Path, `package:`, `wheel:` or URL of the ONNX file.")
    sha256: str | None = Field(
        default=None,
        pattern=r"^([0-9a-f]{64}|any)$",
        description="Checksum of `source`; a URL needs one. any: accept any file.",
    )
    licence: str | None = Field(default=None, description="Its SPDX id, such as MIT, for `plan` and policy.deny.")
    file: Annotated[Path | None, PathKind("file")] = Field(
        default=None, description="A local ONNX file, used instead of `source` as it is."
    )
    inputs: dict[str, InputMeaning] = Field(
        default_factory=dict, description="Meaning of inputs, by their names in the ONNX file."
    )
    outputs: dict[str, OutputMeaning] = Field(
        default_factory=dict, description="Meaning of image outputs, by their names in the ONNX file."
    )
    window: WindowOptions = Field(default=WindowOptions(), description="Frames that it reads at once; null: one.")
    decode: AnyDecode | None = Field(
        default=None,
        description="How to read results from the outputs, or the name of a preset; null: as the file says.",
        json_schema_extra=any_of,
    )

    @field_validator("window", mode="before")
    @classmethod
    def _no_window(cls, value: Any) -> Any:
        return {} if value is None else value

    @model_validator(mode="after")
    def _somewhere(self) -> ModelSpec:
        if self.file is None and self.source is None:
            raise FieldError("has neither source nor file", "set model.file to your ONNX file")
        return self
