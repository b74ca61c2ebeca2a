"""List the limits of FFmpeg's encoders and containers, and compute their options."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from bmfgraph.media.writing import Writing
from bmfgraph.nodes.backend import Backend

__all__ = [
    "AUDIO_IN",
    "CODECS",
    "CONTAINERS",
    "CRF_RANGE",
    "LARGEST",
    "MATRICES",
    "VIDEO_IN",
    "Container",
    "EncoderParams",
    "bits_per_second",
    "codec_options",
    "mux_options",
    "native_options",
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
MATRICES = {"rgb": 0, "bt601": 6, "bt709": 1, "bt2020": 9}
"""MatrixCoefficients of ITU-T H.273."""
_BITS = {"libx264": (0.12, 18.0), "libx265": (0.08, 20.0), "h264_nvenc": (0.14, 19.0), "libvpx-vp9": (0.08, 24.0)}
"""Bits per pixel at that crf: an average of ordinary film, right within a factor of 3. Each 6 more crf halve it."""


@dataclass(frozen=True)
class EncoderParams(Writing):
    """Settings of an encoder."""

    backend: Backend
    crf: float | None
    preset: str | None


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


def codec_options(
    codec: str, container: str, *, crf: float | None, preset: str | None, gop: int | None, bit_rate: int | None
) -> tuple[tuple[str, str], ...]:
    """Return the options of an encoder of FFmpeg.

    Args:
        codec: FFmpeg's name of the encoder.
        container: FFmpeg's name of the format.
        crf: Constant quality.
        preset: Speed against size.
        gop: Largest number of frames between two key frames.
        bit_rate: Bits per second.
    """
    options: dict[str, Any] = {
        "cq" if codec.endswith("_nvenc") else "crf": crf,
        "preset": preset,
        "g": gop,
        "b": bit_rate,
    }
    if codec == "libx264" and container == "avi":
        options["bf"] = 0  # AVI has no presentation times, so B frames would be shown out of order.
    if codec == "libvpx-vp9":
        # Constant quality needs a bit rate of 0.
        options |= {"row-mt": 1, "cpu-used": 4, "b": bit_rate or 0}
    texts = {key: f"{value:g}" if isinstance(value, float) else str(value) for key, value in options.items()}
    return tuple((key, texts[key]) for key, value in options.items() if value is not None)


def mux_options(codec: str, container: str) -> tuple[tuple[str, str], ...]:
    """Return the options of FFmpeg's muxer."""
    if container in ("matroska", "webm"):
        # FFmpeg shifts the streams at the first packet before 0, mostly audio, and not from the start of the file.
        return (("avoid_negative_ts", "disabled"),)
    # MPEG-4's own header has no colour tags.
    return (("movflags", "write_colr"),) if codec == "mpeg4" and container == "mp4" else ()


def native_options(params: EncoderParams) -> dict[str, Any]:
    """Return the options of BMF's encoder."""
    video: dict[str, Any] = dict(params.options) | {
        "codec": params.codec,
        "pix_fmt": params.pixel_format,
        "vsync": "vfr",
        "r": f"{params.rate.numerator}/{params.rate.denominator}",
        "aspect": f"{params.aspect.numerator}/{params.aspect.denominator}",
    }
    if "b" in video:
        video["bit_rate"] = int(video.pop("b"))
    if params.threads:
        video["threads"] = str(params.threads)
    if params.time_base != 1 / params.rate:
        video["time_base"] = f"{params.time_base.numerator}/{params.time_base.denominator}"
        if params.codec == "libx264":
            # x264 reads the time base as the frame rate, and would choose a level that players do not support.
            video["x264-params"] = f"fps={params.rate.numerator}/{params.rate.denominator}"
    options: dict[str, Any] = {
        "output_path": params.path,
        "format": params.container,
        "video_params": video,
        "loglevel": "error",
    }
    if params.mux_options:
        options["mux_params"] = dict(params.mux_options)
    if params.audio == "aac":
        options["audio_params"] = {"codec": "aac"} | (
            {"bit_rate": params.audio_bit_rate} if params.audio_bit_rate else {}
        )
    return options
