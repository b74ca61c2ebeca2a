"""``convert``: change the pixel format, with swscale on the CPU. Only the compiler inserts these nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from bmfgraph.media.filtering import FilterStep
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.description import Inferred, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import (
    RGB_FORMATS,
    Chroma,
    ColorSpec,
    Device,
    FrameSpec,
    Port,
    PortType,
    default_matrix,
    sampling_of,
)
from bmfgraph.plan.views.text import change_text

__all__ = ["ConvertParams", "ConvertSpec", "scale_steps", "written_color"]

Position = tuple[int, int | None]
_SCALING = "bicubic+accurate_rnd+full_chroma_int"
"""Interpolates chroma and rounds exactly: within 2 levels of the ideal."""


@dataclass(frozen=True)
class ConvertParams:
    """Colours of the input, and pixel format and colours of the output."""

    source: ColorSpec
    pixel_format: str
    color: ColorSpec
    source_chroma: Position | None
    """Chroma positions of input and output; None: swscale's default, or there is no chroma."""
    chroma: Position | None


class ConvertSpec(NodeSpec):
    """Converts frames to ``pixel_format``; RGB keeps the matrix that it came from. On the GPU: rgb48le to rgb24."""

    kind: Literal["convert"] = "convert"
    pixel_format: str
    default_color: bool = False
    """Limited range, and the matrix that readers assume for untagged video."""

    stage: ClassVar[str] = "bmfgraph.stages.convert:Convert"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        source = inputs[0]
        assert isinstance(source, FrameSpec)
        color = written_color(source, self.pixel_format, self.default_color)
        out = source.in_format(self.pixel_format, color)
        params = ConvertParams(
            source=source.color,
            pixel_format=self.pixel_format,
            color=color,
            source_chroma=_position(source.pixel_format, source.chroma),
            # Without a tag, readers assume the position of H.264.
            chroma=_position(self.pixel_format, source.chroma or "left"),
        )
        return Inferred((Port("out", out),), params)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        before = inputs[0].pixel_format if isinstance(inputs[0], FrameSpec) else ""
        return (change_text(before, node.params.pixel_format),)


def written_color(source: FrameSpec, pixel_format: str, default: bool) -> ColorSpec:
    """Return the colours of ``source`` in another pixel format.

    Args:
        default: Use limited range and the matrix that readers assume for untagged video.
    """
    if pixel_format in RGB_FORMATS:
        return source.color
    if pixel_format.startswith(("gbr", "bgr", "rgb")):
        return replace(source.color, matrix="rgb", full_range=True)
    matrix = default_matrix(source.width, source.height) if default else source.color.yuv
    return replace(source.color, matrix=matrix, full_range=pixel_format.startswith("yuvj"))


def _position(pixel_format: str, chroma: Chroma) -> Position | None:
    """Position of the first chroma sample, in 1/256 luma samples (x, y); y is None where all rows have chroma."""
    sampling = sampling_of(pixel_format)
    if not chroma or sampling not in ((2, 2), (2, 1)):
        return None
    return (0 if chroma == "left" else 128, 128 if sampling == (2, 2) else None)


def scale_steps(params: ConvertParams) -> tuple[FilterStep, ...]:
    """Return the filters that convert frames."""

    def color_terms(side: str, color: ColorSpec) -> list[str]:
        if color.matrix == "rgb":
            return []
        return [f"{side}_color_matrix={color.matrix}", f"{side}_range={'pc' if color.full_range else 'tv'}"]

    def chroma_terms(side: str, position: Position | None) -> list[str]:
        x, y = position or (None, None)
        return [f"{side}_{axis}_chr_pos={value}" for axis, value in (("h", x), ("v", y)) if value is not None]

    terms = [
        *color_terms("in", params.source),
        *([] if params.pixel_format in RGB_FORMATS else color_terms("out", params.color)),
        *chroma_terms("in", params.source_chroma),
        *chroma_terms("out", params.chroma),
        f"flags={_SCALING}",
    ]
    return (("scale", ":".join(terms)), ("format", params.pixel_format))
