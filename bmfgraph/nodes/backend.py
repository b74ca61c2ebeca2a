"""Name the libraries that read and write media, and refuse options that one of them lacks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError
from bmfgraph.media.opening import is_url
from bmfgraph.media.probe import Media
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.types import AudioSpec, FrameSpec, bits_of, sampling_of

__all__ = ["Backend", "check_audio", "check_backend", "check_even_times", "check_media"]

Backend = Literal["pyav", "bmf"]
"""PyAV with the FFmpeg of its wheel, or BMF's own modules with FFmpeg 4."""

_DEEP = ("yuv420p10le", "yuv422p10le", "p010le")
"""Formats of more than 8 bits that BMF's frames hold."""
_SEEKABLE = ("mov", "matroska", "flv", "nut")
"""Containers in which BMF's decoder finds a start exactly."""


def check_backend(name: str, spec: NodeSpec, native: Collection[str]) -> None:
    """Refuse options that BMF's own module does not have.

    Args:
        name: Name of the node.
        spec: Its options, with ``backend: bmf``.
        native: The fields that BMF's module supports; all others must have their defaults.

    Raises:
        PlanError: Another field is set.
    """
    for field, info in type(spec).model_fields.items():
        value = getattr(spec, field)
        if field not in native and value != info.get_default(call_default_factory=True):
            raise PlanError(
                name,
                f"{field} {value!r}: the back end bmf does not support it",
                hint=f"leave {field} out, or set pipeline.nodes.{name}.backend=pyav",
                code=codes.UNSUPPORTED_BY_BACKEND,
            )


def check_media(name: str, media: Media, *, cut: bool) -> None:
    """Refuse a video that BMF's decoder would not read as it is.

    Args:
        name: Name of the decoder node.
        media: The video.
        cut: Whether it is read from a time behind its beginning.

    Raises:
        PlanError: BMF's decoder would lose frames or pixels.
    """
    frames = media.frames
    across, down = sampling_of(frames.pixel_format) or (1, 1)
    if bits_of(frames.pixel_format) > 8 and frames.pixel_format not in _DEEP:
        reason = f"is {frames.pixel_format}, and BMF's frames of more than 8 bits are {', '.join(_DEEP)}"
    elif frames.width % across or frames.height % down:
        reason = f"is {frames.width}x{frames.height} in {frames.pixel_format}, and BMF cuts odd sizes"
    elif media.ties > 1:
        reason = "has frames of equal times, of which BMF passes on one"
    elif cut and media.container not in _SEEKABLE:
        reason = f"is {media.container}, in which BMF does not find a start exactly"
    else:
        return
    raise _unsupported(name, f"input {str(media.path)!r} {reason}")


def check_audio(name: str, audio: AudioSpec) -> None:
    """Refuse tracks that BMF's encoder would leave out: it writes one audio stream.

    Raises:
        PlanError: There are more.
    """
    if len(sounds := audio.of_kind("audio")) > 1:
        raise _unsupported(
            name,
            f"the back end bmf writes one audio stream, and {len(sounds)} streams come",
            "set decoder.audio=0 for the first, or ",
        )


def check_even_times(name: str, frames: FrameSpec, container: str) -> None:
    """Refuse frames that BMF's encoder would not write as they are.

    Raises:
        PlanError: FFmpeg 4 would write fewer frames.
    """
    if container in ("mp4", "mov") and frames.time_grid not in (None, 1 / frames.rate):
        raise _unsupported(
            name,
            f"the back end bmf writes {container} only if all frames lie on the ticks of the frame rate, which is not "
            "certain here: FFmpeg 4 hides the last of others",
            "write .mkv, or ",
        )


def _unsupported(name: str, message: str, other: str = "") -> PlanError:
    return PlanError(name, message, hint=f"{other}set pipeline.nodes.{name}.backend=pyav", code=codes.UNSUPPORTED_MEDIA)


def check_file(name: str, media: Media) -> None:
    """Refuse a file that BMF's decoder does not read as PyAV does.

    Raises:
        PlanError: It names the node.
    """
    if media.mirrored or (media.rotation and media.container != "mov"):
        reason = "turned in a way that FFmpeg 4 does not know"
    elif media.pictures or media.live or is_url(media.path):
        reason = "no single file"
    elif media.transparent:
        reason = "transparent"
    else:
        return
    raise PlanError(
        name,
        f"input {str(media.path)!r} is {reason}: the back end bmf does not support it",
        hint=f"set pipeline.nodes.{name}.backend=pyav",
        code=codes.UNSUPPORTED_BY_BACKEND,
    )
