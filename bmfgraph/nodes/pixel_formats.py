"""List the pixel formats that FFmpeg's encoders take, and choose one for frames."""

from __future__ import annotations

from typing import Literal

__all__ = ["NATIVE_FORMATS", "PIXEL_FORMATS", "PixelFormat", "automatic_formats", "formats_in"]

PixelFormat = Literal[
    "yuv420p",
    "yuv422p",
    "yuv444p",
    "yuv440p",
    "yuv420p10le",
    "yuv422p10le",
    "yuv444p10le",
    "yuv420p12le",
    "yuv422p12le",
    "yuv444p12le",
    "yuv420p16le",
    "yuv422p16le",
    "yuv444p16le",
    "yuvj420p",
    "yuvj422p",
    "yuvj444p",
    "nv12",
    "p010le",
    "gray",
    "gray10le",
    "gray12le",
    "gray16le",
    "gbrp",
    "gbrp10le",
    "gbrp12le",
    "gbrp16le",
    "rgb24",
    "bgr24",
    "rgb48le",
    "rgb48be",
]

_8 = ("yuv420p", "yuv422p", "yuv444p")
_10 = ("yuv420p10le", "yuv422p10le", "yuv444p10le")
_12 = ("yuv420p12le", "yuv422p12le", "yuv444p12le")
_16 = ("yuv420p16le", "yuv422p16le", "yuv444p16le")
PIXEL_FORMATS: dict[str, tuple[str, ...]] = {
    "libx264": (*_8, *_10, "nv12", "gray", "gray10le"),
    "libx265": (*_8, *_10, *_12, "gray", "gray10le", "gray12le", "gbrp", "gbrp10le", "gbrp12le"),
    "libsvtav1": ("yuv420p", "yuv420p10le"),
    "libvpx-vp9": (*_8, "yuv440p", "gbrp"),
    "prores_ks": ("yuv422p10le", "yuv444p10le"),
    "ffv1": (
        *(*_8, "yuv440p", *_10, *_12, *_16),
        *("gray", "gray10le", "gray12le", "gray16le"),
        *("gbrp10le", "gbrp12le", "gbrp16le"),
    ),
    "mjpeg": ("yuvj420p", "yuvj422p", "yuvj444p"),
    "mpeg4": ("yuv420p",),
    "h264_nvenc": ("yuv420p", "yuv444p", "nv12"),
    "hevc_nvenc": ("yuv420p", "yuv444p", "p010le", "nv12"),
    "av1_nvenc": ("yuv420p", "p010le", "nv12"),
    "gif": ("rgb24",),  # The writer makes its palettes.
    "libwebp_anim": ("yuv420p",),
    "png": ("rgb24", "rgb48be", "gray"),
    "tiff": ("rgb24", "rgb48le", "gray"),
    "bmp": ("bgr24",),
    "rawvideo": (*_8, *_10, *_12, "rgb24", "rgb48le", "gray", "nv12", "p010le"),
}
"""Formats by FFmpeg's name of the encoder, in order of preference."""
_RAW_IN = {
    "matroska": ("yuv420p", "yuv422p", "gray", "nv12"),
    "avi": ("yuv420p", "yuv422p", "gray", "nv12"),
    "nut": (*_8, *_10, *_12, "rgb24", "rgb48le", "gray", "nv12"),
    "yuv4mpegpipe": (*_8, *_10, *_12, "gray"),
}
"""Formats of uncompressed frames that a container can name, so that readers show them right."""
NATIVE_FORMATS = (*_8, "yuv420p10le")
"""Formats that BMF's encoder writes with FFmpeg 4."""


def formats_in(codec: str, container: str) -> tuple[str, ...]:
    """Return the formats in which a container holds frames of a codec, in order of preference.

    Args:
        codec: FFmpeg's name of the encoder.
        container: FFmpeg's name of the format.
    """
    formats = PIXEL_FORMATS[codec]
    if codec == "rawvideo":
        return _RAW_IN.get(container, formats)
    if codec == "libvpx-vp9" and container in ("mp4", "dash"):
        # The header of VP9 in MP4 has no number for 4:4:0.
        return tuple(name for name in formats if name != "yuv440p")
    return formats


def automatic_formats(codec: str, container: str) -> tuple[str, ...]:
    """Return the formats of which one is chosen for frames: YUV, but neither grey nor RGB, which few players show.

    Args:
        codec: FFmpeg's name of the encoder.
        container: FFmpeg's name of the format.
    """
    formats = formats_in(codec, container)
    return tuple(name for name in formats if name.startswith(("yuv", "p01"))) or formats
