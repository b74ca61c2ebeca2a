"""Explain why FFmpeg refuses a clip."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.errors import MediaError, without_passwords
from bmfgraph.media.opening import Protocol, is_playlist, is_url
from bmfgraph.media.pipes import is_pipe, pipe_at, pipe_fault
from bmfgraph.system.untrusted import open_regular

__all__ = ["no_decoder", "unreadable"]


def unreadable(path: Path | str, protocols: Iterable[Protocol], error: Any) -> MediaError:
    """Return the error for a clip that FFmpeg refuses.

    Args:
        path: Its name.
        protocols: What it may open besides itself.
        error: FFmpeg's error.
    """
    reason = without_passwords(str((error.log or (0, "", error.strerror))[-1]))
    if error.errno == errno.EINVAL:
        reason = "its format is not supported"
    if is_pipe(path):
        pipe = pipe_at(path)
        pipe.close()
        return MediaError(
            f"input {str(path)!r} is not a video that FFmpeg can read ({pipe_fault(pipe) or reason})",
            "write it with -f matroska, mpegts or nut, as mp4 with -movflags +frag_keyframe+empty_moov, or to a file",
            code=codes.UNREADABLE_PIPE,
        )
    if not protocols and is_playlist(path):
        return MediaError(
            f"input {str(path)!r} is a playlist, which opens other files or addresses",
            "name the video itself, or allow it: decoder.protocols=[file], or [file,https]",
            code=codes.PLAYLIST_INPUT,
        )
    if is_url(path):
        return MediaError(
            f"input {str(path)!r} cannot be read ({reason})",
            "check the address and the network, or fetch it first",
            code=codes.UNREADABLE_URL,
        )
    if _is_animated_webp(path):
        return MediaError(
            f"input {str(path)!r} is an animated WebP, which FFmpeg 8 does not decode",
            "convert it to a GIF or an APNG",
            code=codes.UNREADABLE_VIDEO,
        )
    return MediaError(
        f"input {str(path)!r} is not a video that FFmpeg can read ({reason})",
        "it may be cut off, still being written, or not a media file; try to play it",
        code=codes.UNREADABLE_VIDEO,
    )


def no_decoder(path: Path | str, codec: str) -> MediaError:
    """Return the error for a clip whose codec PyAV's FFmpeg does not decode; ``codec`` may be empty if unknown."""
    return MediaError(
        f"input {str(path)!r}: FFmpeg has no decoder for its codec{codec and f', {codec}'}",
        "convert the file with a program that reads this codec",
        code=codes.MISSING_DECODER,
    )


def _is_animated_webp(path: Path | str) -> bool:
    try:
        with open_regular(path) as file:
            head = file.read(64)
    except OSError:
        return False
    return head.startswith(b"RIFF") and head[8:12] == b"WEBP" and b"ANIM" in head
