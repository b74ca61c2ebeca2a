"""``frames``: turn a model's output tensor, or a label map, into frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError, did_you_mean, join_sorted
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.palette import color_of
from bmfgraph.plan.description import Inferred, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import (
    BundleSpec,
    Device,
    FrameSpec,
    Port,
    PortType,
    SegmentsSpec,
    TensorMeaning,
    TensorSpec,
)
from bmfgraph.plan.views.text import change_text, size_text

__all__ = ["FramesParams", "FramesSpec", "LabelFramesParams", "chosen_tensor"]


@dataclass(frozen=True)
class FramesParams:
    """The images to take from a tensor."""

    tensor: str
    meaning: TensorMeaning
    pictures: int
    crop: tuple[int, int, int, int] | None
    """Left, top, width, height of the source image inside the tensor, where it was padded."""
    deep: bool
    """Whether the frames have 16 bits instead of 8."""


@dataclass(frozen=True)
class LabelFramesParams:
    """The colours of a label map, and the size of its frames."""

    colors: tuple[tuple[int, int, int], ...]
    """RGB of each class; pixels without a class are black. Empty: the class numbers are grey levels."""
    width: int
    height: int


class FramesSpec(NodeSpec):
    """Turns image tensors into frames; padding added before the model is cut off again.

    A label map becomes frames of the source's size, with sharp edges.
    """

    kind: Literal["frames"] = "frames"
    tensor: str | None = Field(default=None, description="Name of the model's output, if it has several.")
    colors: Literal["palette", "numbers"] = Field(
        default="palette", description="Of a label map: a colour for each class, or class numbers as grey levels."
    )

    stage: ClassVar[str] = "bmfgraph.stages.frames:ToFrames"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        if isinstance(inputs[0], SegmentsSpec):
            return self._label_frames(inputs[0])
        tensor = chosen_tensor(node.name, inputs[0], self.tensor)
        meaning, source, placement = tensor.meaning, tensor.source, tensor.placement
        width, height = tensor.size_of("width"), tensor.size_of("height")
        if meaning is not None and (not width or not height):
            raise PlanError(
                node.name,
                f"{tensor.name} ({tensor}): its {'height' if width else 'width'} is still free for the given inputs",
                hint="export the model with that dim fixed, or computed from the input's",
                code=codes.DYNAMIC_OUTPUT_DIMENSION,
            )
        if meaning is None or source is None or placement is None or not width or not height:
            raise PlanError(
                node.name,
                f"{tensor.name} ({tensor}) is not an image of a known size",
                hint=f"describe it under model.outputs.{tensor.name}: {{layout: NCHW, channels: RGB}}",
                code=codes.UNDESCRIBED_MODEL_OUTPUT,
            )
        expected = len(tensor.window.outputs) if tensor.window.frames > 1 else 1
        if tensor.size_of("channels") != meaning.count * expected:
            raise PlanError(
                node.name,
                f"{tensor.name} ({tensor}) has {tensor.size_of('channels')} channels, but {expected} "
                f"{meaning.channels} frame(s) of a {tensor.window} need {meaning.count * expected}",
                hint="correct model.window.outputs or model.outputs",
                code=codes.OUTPUT_CHANNEL_MISMATCH,
            )
        left, top, inner_width, inner_height = placement.place_of_shown_part()
        left, top = max(left, 0), max(top, 0)
        cut = (left, top, min(inner_width, width - left), min(inner_height, height - top))
        whole = cut == (0, 0, width, height)
        # Integers have no fractions of a level.
        deep = source.bits > 8 and "int" not in tensor.dtype
        out = source.as_rgb(cut[2], cut[3], deep=deep)
        params = FramesParams(tensor.name, meaning, expected, None if whole else cut, deep)
        return Inferred((Port("out", out),), params)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        sizes = change_text(size_text(inputs[0]), size_text(node.outputs[0].type))
        if isinstance(node.params, LabelFramesParams):
            return sizes, "class colours" if node.params.colors else "class numbers"
        return sizes, *([f"{node.params.pictures} frames a tensor"] if node.params.pictures > 1 else [])

    def _label_frames(self, segments: SegmentsSpec) -> Inferred:
        out = segments.source.as_rgb()
        colors = tuple(
            (0, 0, 0) if number == segments.background else color_of(number) for number in range(len(segments.labels))
        )
        params = LabelFramesParams(colors if self.colors == "palette" else (), out.width, out.height)
        return Inferred((Port("out", out),), params)


def chosen_tensor(name: str, source: PortType, chosen: str | None) -> TensorSpec:
    """Return the tensor that a node works on.

    Args:
        name: Name of the node.
        source: Type of its input.
        chosen: The node's option ``tensor``.

    Raises:
        PlanError: The input has no tensors, several, or none of that name.
    """
    if isinstance(source, BundleSpec):
        names = [tensor.name for tensor in source.tensors]
        if chosen in names or (chosen is None and len(names) == 1):
            return source.tensors[names.index(chosen or names[0])]
        fault = f"{chosen!r} is not one of them{did_you_mean(chosen, names)}" if chosen else ""
        raise PlanError(
            name,
            f"the model has {len(names)} outputs ({join_sorted(names)}): {fault or 'name one'}",
            hint=f"set pipeline.nodes.{name}.tensor to one of them",
            code=codes.AMBIGUOUS_OUTPUT_TENSOR,
        )
    if not isinstance(source, TensorSpec):
        hint = "frames need no conversion: connect them directly" if isinstance(source, FrameSpec) else ""
        raise PlanError(
            name,
            f"expects tensors, not {source}",
            hint=hint or "connect it to an inference node",
            code=codes.TENSOR_EXPECTED,
        )
    if chosen and chosen != source.name:
        raise PlanError(
            name,
            f"tensor {chosen!r}: the only tensor is {source.name!r}",
            hint=f"set pipeline.nodes.{name}.tensor={source.name}, or leave it out",
            code=codes.AMBIGUOUS_OUTPUT_TENSOR,
        )
    return source
