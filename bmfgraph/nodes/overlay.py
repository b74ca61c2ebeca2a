"""``overlay``: draw results on the frames that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.palette import Color
from bmfgraph.plan.description import Inferred, InputType, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import (
    DetectionsSpec,
    Device,
    EmbeddingsSpec,
    FrameSpec,
    Port,
    PortType,
    ResultSpec,
    SegmentsSpec,
)

__all__ = ["Level", "OverlayParams", "OverlaySpec", "check_results"]

Level = Annotated[int, Field(ge=0, le=255)]


@dataclass(frozen=True)
class OverlayParams:
    """How results are drawn. ``thickness`` and ``font_size`` in pixels."""

    color: Color | None
    """None: the colour of each class."""
    thickness: int
    label: bool
    font_size: int
    opacity: float
    keypoint_score: float
    skeletons: tuple[tuple[tuple[int, int], ...], ...]
    """Pairs of joined keypoints of each result."""
    backgrounds: tuple[int, ...]
    """Number of the class of each result that is not drawn; -1: none."""


class OverlaySpec(NodeSpec):
    """Draws results. Inputs: frames, then results of the same frames in any order.

    Detections become boxes, masks and keypoints; label maps become colours; classes and texts become lines of text.
    """

    kind: Literal["overlay"] = "overlay"
    color: tuple[Level, Level, Level] | None = Field(
        default=None, description="RGB, 0..255; null: a colour for each class."
    )
    thickness: int | None = Field(default=None, ge=1, le=100, description="Pixels; null: from the frame's height.")
    label: bool = Field(default=True, description="Write number, label and score above each box.")
    font_size: int | None = Field(default=None, ge=4, le=400, description="Pixels; null: from the frame's height.")
    opacity: float = Field(default=0.5, ge=0, le=1, description="Opacity of masks and label maps.")
    keypoint_score: float = Field(default=0.3, ge=0, le=1, description="Minimum score of a keypoint.")

    stage: ClassVar[str] = "bmfgraph.stages.overlay:Draw"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")
    arity: ClassVar[tuple[int, int]] = (2, 16)

    def accepts(self, index: int) -> InputType:
        return InputType(FrameSpec, "rgb") if index == 0 else InputType(ResultSpec)

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        frames, results = check_results(node, inputs)
        for index, result in enumerate(results, start=1):
            if isinstance(result, EmbeddingsSpec):
                raise PlanError(
                    node.name,
                    f"({node.kind}) input {index} expects detections, label maps, classes or texts, but gets {result}",
                    hint="leave that input out; a records node can write them",
                    code=codes.EDGE_TYPE_MISMATCH,
                )
        params = OverlayParams(
            color=self.color,
            thickness=self.thickness or max(1, round(frames.height / 240)),
            label=self.label,
            font_size=self.font_size or max(9, round(frames.height / 32)),
            opacity=self.opacity,
            keypoint_score=self.keypoint_score,
            skeletons=tuple(kind.skeleton if isinstance(kind, DetectionsSpec) else () for kind in results),
            backgrounds=tuple(kind.background if isinstance(kind, SegmentsSpec) else -1 for kind in results),
        )
        return Inferred((Port("out", frames.as_rgb(deep=True)),), params)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        return (f"{node.params.thickness} px lines{', labels' if node.params.label else ''}",)


def check_results(node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[FrameSpec, tuple[ResultSpec, ...]]:
    """Return the types of a node's frames and results.

    Args:
        node: A node whose first input are frames and whose others are results.
        inputs: Types of the inputs.

    Raises:
        PlanError: A result belongs to frames of another size.
    """
    frames, *others = inputs
    assert isinstance(frames, FrameSpec)
    results = []
    for kind in others:
        assert isinstance(kind, ResultSpec)
        source = kind.source
        if (frames.width, frames.height) != (source.width, source.height):
            raise PlanError(
                node.name,
                f"{kind.noun} of {source.width}x{source.height} frames do not fit frames of "
                f"{frames.width}x{frames.height}",
                hint="connect the frames that the model read",
                code=codes.BOX_FRAME_MISMATCH,
            )
        results.append(kind)
    return frames, tuple(results)
