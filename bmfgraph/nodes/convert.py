"""``convert``: another pixel format, by swscale. The compiler puts these nodes in; YAML does not have them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.plan import Inferred, PlanNode, Requirement
from bmfgraph.plan.types import Chroma, ColorSpec, FrameSpec, Port, PortType, default_matrix

__all__ = ["ConvertParams", "ConvertSpec", "written_color"]

Position = tuple[int, int | None]


@dataclass(frozen=True)
class ConvertParams:
    """From which colours to which pixel format and colours."""

    source: ColorSpec
    pixel_format: str
    color: ColorSpec
    source_chroma: Position | None
    """Where the chroma samples lie before and after; None: as swscale has it, or there are none."""
    chroma: Position | None


class ConvertSpec(NodeSpec):
    """Converts frames to ``pixel_format``; RGB keeps in mind the matrix it came from."""

    kind: Literal["convert"] = "convert"
    pixel_format: str
    default_color: bool = False
    """Limited range, and the matrix that readers of untagged video take."""

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        source = inputs[0]
        assert isinstance(source, FrameSpec)
        color = written_color(source, self.pixel_format, self.default_color)
        out = replace(source, pixel_format=self.pixel_format, color=color)
        params = ConvertParams(
            source=source.color,
            pixel_format=self.pixel_format,
            color=color,
            source_chroma=_position(source.pixel_format, source.chroma),
            # What says nothing is read as H.264 is.
            chroma=_position(self.pixel_format, source.chroma or "left"),
        )
        return Inferred((Port("out", out),), params)


def written_color(source: FrameSpec, pixel_format: str, usual: bool) -> ColorSpec:
    """The colours of ``source`` in another pixel format; ``usual``: those that readers of untagged video take."""
    if pixel_format == "rgb24":
        return source.color
    matrix = default_matrix(source.width, source.height) if usual else source.color.yuv
    return ColorSpec(matrix, False, source.color.tagged)


def _position(pixel_format: str, chroma: Chroma) -> Position | None:
    """Of the first chroma sample, in 1/256 of a luma sample across and down; down None where all rows have chroma."""
    half_rows = "420" in pixel_format or pixel_format.startswith(("nv12", "nv21", "p010"))
    if not chroma or not (half_rows or "422" in pixel_format):
        return None
    return (0 if chroma == "left" else 128, 128 if half_rows else None)
