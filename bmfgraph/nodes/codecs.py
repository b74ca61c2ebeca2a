"""List the limits of FFmpeg's encoders and containers, and compute the options of BMF's encoder."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

__all__ = [
    "AUDIO_IN",
    "CHROMA",
    "CODECS",
    "CONTAINERS",
    "CRF_RANGE",
    "LARGEST",
    "VIDEO_IN",
    "Container",
    "EncoderParams",
    "bits_per_second",
    "encoder_options",
]

Container = Literal["mp4", "mov", "matroska", "webm", "avi", "mpegts", "null"]
CONTAINERS: dict[str, Container] = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
    ".ts": "mpegts",
}
"""Container by file extension."""
VIDEO_IN: dict[str, set[str]] = {
    "mp4": {"x264", "x265", "nvenc", "vp9", "mpeg4"},
    "mov": {"x264", "x265", "nvenc", "mpeg4"},
    "matroska": {"x264", "x265", "nvenc", "vp9", "mpeg4"},
    "webm": {"vp9"},
    "avi": {"x264", "mpeg4"},
    "mpegts": {"x264", "x265", "nvenc", "mpeg4"},
    "null": {"x264", "x265", "nvenc", "vp9", "mpeg4"},
}
AUDIO_IN: dict[str, set[str]] = {
    "mp4": {"aac", "mp3", "ac3", "eac3"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le"},
    "webm": {"opus", "vorbis"},
    "avi": {"mp3", "ac3", "aac", "pcm_s16le"},
    "mpegts": {"aac", "mp3", "ac3", "eac3", "mp2", "opus"},
}
CODECS = {"x264": "libx264", "x265": "libx265", "nvenc": "h264_nvenc", "vp9": "libvpx-vp9", "mpeg4": "mpeg4"}
"""FFmpeg's name of each codec's encoder."""
CRF_RANGE = {"x264": (0, 51), "x265": (0, 51), "nvenc": (1, 51), "vp9": (0, 63)}
LARGEST = {"x264": 16384, "nvenc": 4096, "vp9": 65535, "mpeg4": 8191}
"""Longest side in pixels that the encoder, or the format itself, supports."""
CHROMA = {"yuv420p": (2, 2), "yuv420p10le": (2, 2), "yuv422p": (2, 1), "yuv444p": (1, 1)}
"""Luma samples per chroma sample, horizontally and vertically."""
_BITS = {"libx264": (0.12, 18.0), "libx265": (0.08, 20.0), "h264_nvenc": (0.14, 19.0), "libvpx-vp9": (0.08, 24.0)}
"""Bits per pixel at that crf: an average of ordinary film, right within a factor of 3. Each 6 more crf halve it."""


@dataclass(frozen=True)
class EncoderParams:
    """Settings of an encoder. ``time_base`` in seconds per tick, bit rates in bits per second."""

    path: str | None
    container: str
    codec: str
    pixel_format: str
    crf: float | None
    bit_rate: int | None
    preset: str | None
    gop: int | None
    threads: int | None
    rate: Fraction
    time_base: Fraction
    audio: str | None
    """``copy``, an audio codec, or None without audio."""
    audio_bit_rate: int | None


def bits_per_second(params: EncoderParams, pixels_per_second: float) -> float:
    """Estimate the bit rate of the written video, in bits per second.

    Args:
        params: Settings of the encoder.
        pixels_per_second: Width times height times frame rate.
    """
    if params.bit_rate:
        return float(params.bit_rate)
    bits, reference_crf = _BITS.get(params.codec, (0.12, 18.0))
    halvings = (reference_crf if params.crf is None else params.crf) - reference_crf
    return pixels_per_second * bits / math.pow(2, halvings / 6)


def encoder_options(params: EncoderParams) -> dict[str, Any]:
    """Return the options of BMF's encoder."""
    video: dict[str, Any] = {
        "codec": params.codec,
        "pix_fmt": params.pixel_format,
        "vsync": "vfr",
        "r": f"{params.rate.numerator}/{params.rate.denominator}",
    }
    if params.time_base != 1 / params.rate:
        video["time_base"] = f"{params.time_base.numerator}/{params.time_base.denominator}"
        if params.codec == "libx264":
            # x264 reads the time base as the frame rate, and would choose a level that players do not support.
            video["x264-params"] = f"fps={params.rate.numerator}/{params.rate.denominator}"
    optional = {
        "cq" if params.codec == "h264_nvenc" else "crf": params.crf,
        "bit_rate": params.bit_rate,
        "preset": params.preset,
        "g": params.gop,
        "threads": str(params.threads) if params.threads else None,
    }
    video |= {key: value for key, value in optional.items() if value is not None}
    if params.codec == "libx264" and params.container == "avi":
        video["bf"] = 0  # AVI has no presentation times, so B frames would be shown out of order.
    if params.codec == "libvpx-vp9":
        video |= {"row-mt": 1, "cpu-used": 4}
        if params.bit_rate is None:
            video["bit_rate"] = 0  # Constant quality needs it.
    options: dict[str, Any] = {"output_path": params.path, "format": params.container, "video_params": video}
    if params.container in ("matroska", "webm"):
        # FFmpeg 4 shifts the streams at the first packet before 0, mostly audio, and not from the start of the file.
        options["mux_params"] = {"avoid_negative_ts": "disabled"}
    if params.codec == "mpeg4" and params.container == "mp4":
        # MPEG-4's own header has no colour tags.
        options["mux_params"] = {"movflags": "write_colr"}
    if params.audio == "aac":
        options["audio_params"] = {"codec": "aac"} | (
            {"bit_rate": params.audio_bit_rate} if params.audio_bit_rate else {}
        )
    return options
