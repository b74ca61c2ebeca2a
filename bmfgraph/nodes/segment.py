"""``segment``: turn a model's scores or class numbers for each pixel into a label map of the source frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.decode import SegmentDecode
from bmfgraph.nodes.pixels import PixelOutput, pixel_output
from bmfgraph.nodes.results import label_names, model_outputs
from bmfgraph.plan.description import Inferred, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import Device, Port, PortType, SegmentsSpec

__all__ = ["NO_CLASS", "SegmentNodeSpec", "SegmentParams"]

NO_CLASS = 255
"""Number of a pixel without a class."""
_SINGLE_THRESHOLD = 0.5
"""Least score of the only class, where the config sets none."""


@dataclass(frozen=True)
class SegmentParams:
    """The numbers that a label map is made from, and the rules for them."""

    output: PixelOutput
    numbers: bool
    """Whether the output holds class numbers instead of scores."""
    thresholds: tuple[float, ...]
    """Minimum score of each class; 2 for a class that is not kept."""
    labels: tuple[str, ...]
    background: int
    """Number of pixels that no class is left for."""
    width: int
    """Of the label map."""
    height: int


class SegmentNodeSpec(NodeSpec):
    """Gives each pixel its class: the best of several scores, a single score above the threshold, or a class number."""

    kind: Literal["segment"] = "segment"
    decode: SegmentDecode | None = Field(default=None, description="Null: the model's own.")
    threshold: float | None = Field(default=None, ge=0, le=1, description="Minimum score; null: the model's.")
    size: Literal["model", "source"] = Field(
        default="model",
        description="Size of the label map: the model's output, or the frame's, to which scores are interpolated.",
    )

    stage: ClassVar[str] = "bmfgraph.stages.segment:Segment"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        name = node.name
        outputs, decode, frames, placement = model_outputs(
            name, inputs[0], self.decode, SegmentDecode, "{preset: segmentation, labels: [road, car]}"
        )
        if self.threshold is not None:
            decode = decode.model_copy(update={"threshold": self.threshold})
        count = len(decode.labels) if decode.labels is not None else None
        output = pixel_output(name, outputs, placement, "classes", count)
        # Class numbers are whole, or the config says so.
        numbers = output.classes == 1 and ("int" in output.dtype or output.fields == ("label",))
        labels = _labels(name, decode, output, numbers)
        if len(labels) > NO_CLASS:
            raise PlanError(
                name,
                f"{len(labels)} classes do not fit a label map, whose numbers are 0..{NO_CLASS - 1}",
                hint="join classes inside the model, so that at most 255 are left",
                code=codes.TOO_MANY_CLASSES,
            )
        if numbers and decode.threshold != 0:
            raise PlanError(
                name,
                f"threshold {decode.threshold}: {output.axes.tensor} holds class numbers, which have no scores",
                hint="leave threshold out",
                code=codes.UNUSED_OPTION,
            )
        if output.classes == 1 and not numbers and not decode.says("threshold"):
            decode = decode.model_copy(update={"threshold": _SINGLE_THRESHOLD})
        background = labels.index(decode.background) if decode.background in labels else -1
        place = output.placement
        width, height = frames.width, frames.height
        if self.size == "model":
            width, height = (
                max(1, round(side * scale)) for side, scale in ((width, place.scale_x), (height, place.scale_y))
            )
        params = SegmentParams(
            output=output,
            numbers=numbers,
            thresholds=decode.thresholds(),
            labels=labels,
            background=background if background >= 0 else NO_CLASS,
            width=width,
            height=height,
        )
        return Inferred((Port("out", SegmentsSpec(frames, labels, width, height, background)),), params)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        params: SegmentParams = node.params
        return f"{len(params.labels)} class(es)", f"{params.width}x{params.height}"


def _labels(name: str, decode: SegmentDecode, output: PixelOutput, numbers: bool) -> tuple[str, ...]:
    """Return the labels, one for each score, or for each class number."""
    labels = decode.labels
    if numbers or labels is None or len(labels) == output.classes:
        return label_names(name, decode, output.axes.tensor, len(labels or ()) if numbers else output.classes)
    if output.classes == 1:
        hint = (
            f"keep only the label that the score stands for; or, where the output holds class numbers, set "
            f"model.outputs.{output.axes.tensor}.fields to [label]"
        )
    elif output.classes == len(labels) + 1:
        hint = "add the background to model.decode.labels in its place, and name it in model.decode.background"
    elif decode.background and output.classes == len(labels) - 1:
        hint = f"take {decode.background!r} out of model.decode.labels and model.decode.background: it has no score"
    else:
        hint = "correct model.decode.labels or the dims of the output"
    raise PlanError(
        name,
        f"decode.labels has {len(labels)} label(s), but {output.axes.tensor} scores {output.classes}",
        hint=hint,
        code=codes.LABEL_COUNT_MISMATCH,
    )
