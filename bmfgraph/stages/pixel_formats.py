"""Describe the pixel formats that are converted in torch: memory layout, levels, and the weights of their colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bmfgraph.plan.types import ColorSpec, Matrix

__all__ = ["LUMA_WEIGHTS", "Levels", "PixelFormat", "format_of", "levels_of", "supported"]

LUMA_WEIGHTS: dict[Matrix, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}
"""Kr and Kb, the weights of red and blue in luma: ITU-R BT.601, BT.709, BT.2020."""


@dataclass(frozen=True)
class PixelFormat:
    """Memory layout of a pixel format.

    Attributes:
        bits: Significant bits of a sample.
        subsample_x: Luma samples for one chroma sample, horizontally.
        subsample_y: The same vertically.
        layout: ``planar``: three planes; ``uv`` and ``vu``: luma, and one plane with both chromas interleaved.
        shift: Unused low bits of a sample.
        full: Whether the format has full range whatever the stream is tagged with.
    """

    bits: int
    subsample_x: int = 1
    subsample_y: int = 1
    layout: Literal["planar", "uv", "vu", "gray"] = "planar"
    shift: int = 0
    full: bool = False


def _formats() -> dict[str, PixelFormat]:
    formats = {"gray": PixelFormat(8, layout="gray")}
    samplings = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "440": (1, 2)}
    for name, sampling in samplings.items():
        formats[f"yuv{name}p"] = PixelFormat(8, *sampling)
        formats[f"yuvj{name}p"] = PixelFormat(8, *sampling, full=True)
    for bits in (9, 10, 12, 14, 16):
        formats[f"gray{bits}le"] = PixelFormat(bits, layout="gray")
        formats |= {f"yuv{name}p{bits}le": PixelFormat(bits, *sampling) for name, sampling in samplings.items()}
    for digit, name in (("0", "420"), ("2", "422"), ("4", "444")):
        for bits in (10, 12, 16):
            formats[f"p{digit}{bits}le"] = PixelFormat(bits, *samplings[name], layout="uv", shift=16 - bits)
    formats["nv12"] = PixelFormat(8, 2, 2, "uv")
    formats["nv21"] = PixelFormat(8, 2, 2, "vu")
    formats["nv16"] = PixelFormat(8, 2, 1, "uv")
    formats["nv24"] = PixelFormat(8, 1, 1, "uv")
    formats["nv42"] = PixelFormat(8, 1, 1, "vu")
    return formats


_FORMATS = _formats()


def supported(pixel_format: str) -> bool:
    """Return whether :class:`ToRgb` converts frames of this format, by FFmpeg's name.

    =====================================  ======================================================
    8 bits                                 yuv420p, yuv422p, yuv440p, yuv444p, and yuvj...; gray
    8 bits, interleaved chroma             nv12, nv21, nv16, nv24, nv42
    9, 10, 12, 14 and 16 bits              yuv420p10le and so on; gray10le and so on
    10, 12 and 16 bits in the high bits,   p010le, p210le, p410le and so on
    interleaved chroma
    =====================================  ======================================================
    """
    return pixel_format in _FORMATS


def format_of(pixel_format: str, color: ColorSpec) -> PixelFormat:
    """Return the layout of a pixel format, by FFmpeg's name.

    Raises:
        ValueError: The format is not supported, or the colour matrix is none of YUV.
    """
    if pixel_format not in _FORMATS:
        raise ValueError(f"pixel format {pixel_format} cannot be converted")
    if color.matrix not in LUMA_WEIGHTS and _FORMATS[pixel_format].layout != "gray":
        raise ValueError(f"colour matrix {color.matrix} is not a YUV matrix")
    return _FORMATS[pixel_format]


@dataclass(frozen=True)
class Levels:
    """Relation of YUV codes to RGB levels 0..255.

    Attributes:
        black: Luma code of black.
        luma: Luma codes per RGB level.
        grey: Chroma code of grey.
        chroma: Chroma codes per RGB level.
    """

    black: float
    luma: float
    grey: float
    chroma: float


def levels_of(format_: PixelFormat, full_range: bool) -> Levels:
    """Return the levels of a format in full or limited range (ITU-R BT.601 and BT.709)."""
    unit = 1 << format_.shift
    grey = float(unit << (format_.bits - 1))
    if full_range or format_.full:
        step = ((1 << format_.bits) - 1) * unit / 255
        return Levels(0.0, step, grey, step)
    step = (unit << (format_.bits - 8)) / 255
    return Levels(16 * 255 * step, 219 * step, grey, 224 * step)
