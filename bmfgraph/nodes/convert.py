"""``convert``: change the pixel format, with swscale on the CPU. Only the compiler inserts these nodes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from bmfgraph.media.filtering import FilterStep
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.description import BmfModuleSpec, Inferred, Requirement, Shrinking
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import (
    RGB_FORMATS,
    Chroma,
    ColorSpec,
    Device,
    FrameSpec,
    Matrix,
    Port,
    PortType,
    bits_of,
    default_matrix,
    sampling_of,
)
from bmfgraph.plan.views.text import change_text, size_text

__all__ = ["ConvertParams", "ConvertSpec", "chroma_position", "scale_steps", "written_color"]

Position = tuple[int, int | None]
_SCALING = "bicubic+accurate_rnd+full_chroma_int"
"""Interpolates chroma and rounds exactly: within 2 levels of the ideal."""
_PLANAR = "gbrp"
"""RGB in planes. swscale computes it from YUV with SIMD, and rgb24 without: the detour takes a third of the time, and
gives the same values."""


@dataclass(frozen=True)
class ConvertParams:
    """Colours of the input, and pixel format and colours of the output."""

    source: ColorSpec
    pixel_format: str
    color: ColorSpec
    source_chroma: Position | None
    """Chroma positions of input and output; None: swscale's default, or there is no chroma."""
    chroma: Position | None
    source_format: str = ""
    """Pixel format of the input."""
    shrinking: Shrinking | None = None
    """None: the frames keep their size."""


class ConvertSpec(NodeSpec):
    """Converts frames to ``pixel_format``; RGB keeps the matrix that it came from. On the GPU: rgb48le to rgb24."""

    kind: Literal["convert"] = "convert"
    pixel_format: str
    default_color: bool | Matrix = False
    """Limited range, and the matrix that readers assume for untagged video, or this one."""
    shrunk: Shrinking | None = None

    stage: ClassVar[str] = "bmfgraph.stages.convert:Convert"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        source = inputs[0]
        assert isinstance(source, FrameSpec)
        color = written_color(source, self.pixel_format, self.default_color)
        out = source.in_format(self.pixel_format, color)
        if self.shrunk:
            out = replace(out, width=self.shrunk.width, height=self.shrunk.height)
        params = ConvertParams(
            source=source.color,
            pixel_format=self.pixel_format,
            color=color,
            source_chroma=chroma_position(source.pixel_format, source.chroma),
            # Without a tag, readers assume the position of H.264.
            chroma=chroma_position(self.pixel_format, source.chroma or "left"),
            source_format=source.pixel_format,
            shrinking=self.shrunk,
        )
        return Inferred((Port("out", out),), params)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        before = inputs[0].pixel_format if isinstance(inputs[0], FrameSpec) else ""
        sizes = (change_text(size_text(inputs[0]), size_text(node.outputs[0].type)),) if self.shrunk else ()
        return (change_text(before, node.params.pixel_format), *sizes)

    def bmf_module(self, node: PlanNode, plan: Plan) -> BmfModuleSpec:
        steps = [{"name": name, "para": options} for name, options in scale_steps(node.params)]
        return BmfModuleSpec("c_ffmpeg_filter", {"filters": steps})


def written_color(source: FrameSpec, pixel_format: str, default: bool | Matrix) -> ColorSpec:
    """Return the colours of ``source`` in another pixel format.

    Args:
        default: Use limited range and the matrix that readers assume for untagged video, or this matrix.
    """
    if pixel_format in RGB_FORMATS:
        return source.color
    if pixel_format.startswith(("gbr", "bgr", "rgb")):
        return replace(source.color, matrix="rgb", full_range=True)
    usual = default_matrix(source.width, source.height) if default is True else default
    # Readers take grey of 8 bits for full range, whatever its tag says.
    full = pixel_format.startswith("yuvj") or pixel_format == "gray"
    return replace(source.color, matrix=usual or source.color.yuv, full_range=full)


def chroma_position(pixel_format: str, chroma: Chroma) -> Position | None:
    """Return the position of the first chroma sample in 1/256 luma samples, (x, y).

    None where the format has no such chroma; y is None where all rows have chroma.
    """
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
        *_size_terms(params.shrinking),
    ]
    # Swscale takes grey for full range; as luma of YUV it is converted right.
    first, last = _as_yuv(params.source_format), _as_yuv(params.pixel_format)
    steps: tuple[FilterStep, ...] = (("scale", ":".join(terms)), ("format", last or params.pixel_format))
    if params.pixel_format == "rgb24" and params.source.matrix != "rgb":
        steps = (steps[0], ("format", _PLANAR), ("scale", f"flags={_SCALING}"), steps[1])
    before: tuple[FilterStep, ...] = (_SAME_CODES, ("format", first)) if first else ()
    after: tuple[FilterStep, ...] = (("extractplanes", "y"),) if last else ()
    if params.pixel_format == "rgb48le" and params.source.matrix != "rgb":
        return *before, *steps, _scaled(65535 / (_full(params.source_format) if params.source.full_range else _WHITE))
    if params.source_format == "rgb48le" and params.color.matrix != "rgb" and params.pixel_format not in RGB_FORMATS:
        return _scaled(_WHITE / 65535), *steps, *after
    return *before, *steps, *after


def _size_terms(shrinking: Shrinking | None) -> list[str]:
    if shrinking is None:
        return [f"flags={_SCALING}"]
    # Torch's cubic kernel.
    kernel = ["param0=0", "param1=0.5"] if shrinking.mode == "bicubic" else []
    flags = f"flags={shrinking.mode}+accurate_rnd+full_chroma_int+full_chroma_inp"
    return [f"w={shrinking.width}", f"h={shrinking.height}", flags, *kernel]


_SAME_CODES: FilterStep = ("scale", "in_range=pc:out_range=pc")
_WHITE = 255 << 8
"""White of RGB of 16 bits in swscale, where it comes from YUV of limited range or goes to YUV; it is 65535 here."""


def _full(pixel_format: str) -> int:
    """Return swscale's white of 16 bits for YUV of full range."""
    bits = bits_of(pixel_format)
    return (1 << bits) - 1 << 16 - bits


def _scaled(factor: float) -> FilterStep:
    """Return the filter that multiplies RGB of 16 bits, by a table."""
    # FFmpeg's colorlevels leaves slices of a frame black.
    return "lutrgb", ":".join(f"{color}=min(round(val*{factor:.8f})\\,65535)" for color in "rgb")


def _as_yuv(pixel_format: str) -> str:
    """Return the YUV format with the luma of a grey one; "" for other formats."""
    return pixel_format.replace("gray", "yuv444p") if re.fullmatch(r"gray(1[0246]le)?", pixel_format) else ""
