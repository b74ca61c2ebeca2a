"""Ask the FFmpeg in PyAV's wheel what it can encode and decode on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.errors import RunError

__all__ = [
    "encoders",
    "ffmpeg_version",
    "has_hwaccel",
    "needs_gpu",
    "no_gpu_encoder",
    "no_hwaccel",
    "opens_gpu_encoder",
]

_SIDE = 256
"""Pixels per side of the frames with which a hardware encoder is tried; NVENC takes none below 145."""


def ffmpeg_version() -> str:
    """Return the versions of FFmpeg and of PyAV, such as ``8.1.2 in PyAV 18.1.0``."""
    import av

    return f"{av.ffmpeg_version_info} in PyAV {av.__version__}"


def encoders(names: Iterable[str]) -> list[str]:
    """Return those of the named encoders that PyAV's FFmpeg contains, in the same order.

    Args:
        names: FFmpeg's names, such as ``libx264``.
    """
    import av

    return [name for name in names if _has(av.Codec, name)]


def needs_gpu(encoder: str) -> bool:
    """Return whether an encoder works on NVIDIA's hardware."""
    return encoder.endswith("_nvenc")


def opens_gpu_encoder(encoder: str) -> bool:
    """Return whether this machine can encode with one of NVIDIA's encoders; it is opened once and closed."""
    import av

    context: Any = av.CodecContext.create(encoder, "w")
    context.width = context.height = _SIDE
    context.pix_fmt = "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    try:
        context.open()
    except (av.FFmpegError, ValueError):
        return False
    return True


def no_gpu_encoder(node: str, kind: str, encoder: str) -> RunError:
    """Create the error for a machine without NVENC."""
    return RunError(
        node,
        kind,
        f"{encoder} cannot be opened: this machine has no NVIDIA GPU with an encoder, or no driver for it",
        hint="choose another codec, such as encoder=x264; the GPUs A100, H100 and H200 have no encoder",
        code=codes.MISSING_GPU_ENCODER,
    )


def has_hwaccel(name: str) -> bool:
    """Return whether PyAV's FFmpeg decodes on a kind of hardware that this machine has, such as ``cuda``."""
    import ctypes

    from av.codec.hwaccel import hwdevices_available

    if name not in hwdevices_available():
        return False
    try:
        ctypes.CDLL("libnvcuvid.so.1")
    except OSError:
        return False
    return True


def no_hwaccel(node: str, kind: str, name: str) -> RunError:
    """Create the error for hardware decoding that this machine does not have."""
    return RunError(
        node,
        kind,
        f"hwaccel {name}: this machine has no NVIDIA driver with a video decoder (libnvcuvid.so.1)",
        hint=f"set pipeline.nodes.{node}.hwaccel=none",
        code=codes.MISSING_HARDWARE_DECODER,
    )


def _has(kind: Any, name: str) -> bool:
    try:
        kind(name, "w")
    except ValueError:
        return False
    return True
