"""Describe FFmpeg's encoders: quality, presets, limits, and options."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["CODECS", "MATRICES", "Codec", "CodecName", "bits_per_second", "codec_options"]

CodecName = Literal[
    "x264",
    "x265",
    "svtav1",
    "vp9",
    "prores",
    "ffv1",
    "mpeg4",
    "mjpeg",
    "nvenc",
    "hevc_nvenc",
    "av1_nvenc",
    "gif",
    "webp",
    "png",
    "tiff",
    "bmp",
    "raw",
]
MATRICES = {"rgb": 0, "bt601": 6, "bt709": 1, "bt2020": 9}
"""MatrixCoefficients of ITU-T H.273."""
_X26X = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
_NVENC = tuple(f"p{number}" for number in range(1, 8))
_NVENC_TUNES = ("hq", "uhq", "ll", "ull", "lossless")


@dataclass(frozen=True)
class Codec:
    """One of FFmpeg's encoders."""

    encoder: str
    """FFmpeg's name."""
    quality: tuple[float, float] | None = None
    """Range of the constant quality ``crf``, the lowest value is the best; None: it has none."""
    default_quality: float | None = None
    quality_options: tuple[str, ...] = ("crf",)
    """FFmpeg's options that take it."""
    quality_with_rate: bool = False
    """Whether constant quality can be limited by a bit rate."""
    presets: tuple[str, ...] = ()
    """From fast to slow, or profiles."""
    default_preset: str | None = None
    preset_option: str = "preset"
    tunes: tuple[str, ...] = ()
    passes: int = 1
    """Passes that it can make."""
    rated: bool = True
    """Whether it takes a bit rate."""
    largest: int = 65535
    """Longest side in pixels that the encoder, or the format itself, supports."""
    narrowest: int = 1
    """Least width in pixels."""
    bits: float = 0.12
    """Bits per pixel at the default quality: an average of ordinary film, right within a factor of 3."""
    options: tuple[tuple[str, str], ...] = ()
    """Options that it always gets."""


CODECS: dict[str, Codec] = {
    "x264": Codec(
        "libx264",
        (0, 51),
        18,
        presets=_X26X,
        tunes=("film", "animation", "grain", "stillimage", "psnr", "ssim", "fastdecode", "zerolatency"),
        passes=2,
        largest=16384,
    ),
    "x265": Codec(
        "libx265",
        (0, 51),
        20,
        presets=_X26X,
        tunes=("psnr", "ssim", "grain", "animation", "fastdecode", "zerolatency"),
        passes=2,
        bits=0.08,
        narrowest=64,  # at widths of 34 to 48 the encoder writes beyond its memory
    ),
    "svtav1": Codec(
        "libsvtav1",
        (0, 63),
        28,
        presets=tuple(str(number) for number in range(13, -1, -1)),
        default_preset="8",
        largest=16384,
        bits=0.06,
    ),
    "vp9": Codec(
        "libvpx-vp9",
        (0, 63),
        24,
        quality_with_rate=True,
        presets=tuple(str(number) for number in range(8, -1, -1)),
        default_preset="4",
        preset_option="cpu-used",
        bits=0.08,
        options=(("row-mt", "1"),),
    ),
    "prores": Codec(
        "prores_ks",
        presets=("proxy", "lt", "standard", "hq", "4444", "4444xq"),
        preset_option="profile",
        rated=False,
        largest=16384,
        bits=3.5,
    ),
    "ffv1": Codec("ffv1", rated=False, bits=8, options=(("level", "3"), ("slices", "4"), ("slicecrc", "1"))),
    "mpeg4": Codec("mpeg4", largest=8191, bits=8 / 25),
    "mjpeg": Codec("mjpeg", (1, 31), 3, quality_options=("qmin", "qmax"), rated=False, bits=1.5),
    "nvenc": Codec("h264_nvenc", (1, 51), 19, ("cq",), presets=_NVENC, tunes=_NVENC_TUNES, largest=4096, bits=0.14),
    "hevc_nvenc": Codec("hevc_nvenc", (1, 51), 22, ("cq",), presets=_NVENC, tunes=_NVENC_TUNES, largest=8192, bits=0.1),
    "av1_nvenc": Codec("av1_nvenc", (1, 63), 28, ("cq",), presets=_NVENC, tunes=_NVENC_TUNES, largest=8192, bits=0.08),
    "gif": Codec("gif", rated=False, bits=4),
    "webp": Codec("libwebp_anim", rated=False, largest=16383, bits=0.5, options=(("quality", "85"),)),
    "png": Codec("png", rated=False, bits=12),
    "tiff": Codec("tiff", rated=False, bits=24),
    "bmp": Codec("bmp", rated=False, bits=24),
    "raw": Codec("rawvideo", rated=False, bits=16),
}


def bits_per_second(codec: Codec, crf: float | None, bit_rate: int | None, pixels_per_second: float) -> float:
    """Estimate the bit rate of the written video, in bits per second.

    Args:
        codec: The encoder.
        crf: Constant quality; None for the default. Each 6 more halve the bits.
        bit_rate: Bits per second that the user has set; None if not.
        pixels_per_second: Width times height times frame rate.
    """
    if bit_rate:
        return float(bit_rate)
    halvings = 0.0 if crf is None or codec.default_quality is None else crf - codec.default_quality
    return pixels_per_second * codec.bits / math.pow(2, halvings / 6)


def codec_options(
    codec: Codec,
    container: str,
    *,
    crf: float | None,
    preset: str | None,
    tune: str | None,
    gop: int | None,
    bit_rate: int | None,
) -> tuple[tuple[str, str], ...]:
    """Return the options of an encoder, as FFmpeg names them.

    Args:
        codec: The encoder.
        container: FFmpeg's name of the format.
        crf: Constant quality.
        preset: Speed against size.
        tune: Kind of picture.
        gop: Largest number of frames between two key frames.
        bit_rate: Bits per second.
    """
    options: dict[str, Any] = dict(codec.options)
    options |= dict.fromkeys(codec.quality_options, crf)
    options |= {codec.preset_option: preset or codec.default_preset, "tune": tune, "g": gop, "b": bit_rate}
    if codec.encoder == "libx264" and container == "avi":
        options["bf"] = 0  # AVI has no presentation times, so B frames would be shown out of order.
    if codec.encoder == "libvpx-vp9":
        options["b"] = bit_rate or 0  # Constant quality needs a bit rate of 0.
    if codec.encoder == "libx265":
        options["x265-params"] = "log-level=error"
    if codec.encoder == "mjpeg":
        options["color_range"] = "pc"
    texts = {key: f"{value:g}" if isinstance(value, float) else str(value) for key, value in options.items()}
    return tuple((key, texts[key]) for key, value in options.items() if value is not None)
