"""``overlay``: draw boxes and labels on the frames that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.description import Inferred, InputType, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import DetectionsSpec, Device, FrameSpec, Port, PortType

__all__ = ["OverlayParams", "OverlaySpec"]

Level = Annotated[int, Field(ge=0, le=255)]


@dataclass(frozen=True)
class OverlayParams:
    """Style of the boxes. ``thickness`` and ``font_size`` in pixels."""

    color: tuple[int, int, int]
    thickness: int
    label: bool
    font_size: int


class OverlaySpec(NodeSpec):
    """Draws detections. Inputs: frames, then the detections of the same frames."""

    kind: Literal["overlay"] = "overlay"
    color: tuple[Level, Level, Level] = Field(default=(0, 230, 118), description="RGB, 0..255.")
    thickness: int | None = Field(default=None, ge=1, le=100, description="Pixels; null: from the frame's height.")
    label: bool = Field(default=True, description="Write label and score above each box.")
    font_size: int | None = Field(default=None, ge=4, le=400, description="Pixels; null: from the frame's height.")

    stage: ClassVar[str] = "bmfgraph.stages.overlay:Draw"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")
    arity: ClassVar[tuple[int, int]] = (2, 2)

    def accepts(self, index: int) -> InputType:
        return InputType(FrameSpec, "rgb24") if index == 0 else InputType(DetectionsSpec)

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        frames, detections = inputs
        assert isinstance(frames, FrameSpec)
        assert isinstance(detections, DetectionsSpec)
        if (frames.width, frames.height) != (detections.source.width, detections.source.height):
            raise PlanError(
                node.name,
                f"boxes of {detections.source.width}x{detections.source.height} frames do not fit frames of "
                f"{frames.width}x{frames.height}",
                hint="draw on the frames that the detector read",
                code=codes.BOX_FRAME_MISMATCH,
            )
        params = OverlayParams(
            color=self.color,
            thickness=self.thickness or max(1, round(frames.height / 240)),
            label=self.label,
            font_size=self.font_size or max(9, round(frames.height / 32)),
        )
        return Inferred((Port("out", frames.as_rgb()),), params)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        return (f"{node.params.thickness} px boxes{', labels' if node.params.label else ''}",)
