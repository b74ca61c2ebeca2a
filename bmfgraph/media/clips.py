"""Find the clips that ``input`` names: one, or several in a list, a folder, a pattern or a file of names."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from bmfgraph import error_codes as codes
from bmfgraph.errors import MediaError
from bmfgraph.media.naming import input_words
from bmfgraph.media.opening import is_url, open_video
from bmfgraph.media.picture_files import WILDCARDS, is_picture_name, natural_order
from bmfgraph.system.untrusted import read_bounded

__all__ = ["LIST_BYTES", "clip_names", "clip_seconds", "is_video_name", "relative_name"]

_VIDEOS = re.compile(
    r"\.(mp4|m4v|mov|mkv|webm|avi|m?ts|m2ts|flv|wmv|asf|mpe?g|vob|3gp|3g2|ogv|mxf|gxf|nut|y4m|h?26[45]|hevc|av1|obu|ivf"
    r"|mjpeg|dv)",
    re.IGNORECASE,
)
"""Extensions of the files of a folder that are clips."""
_LIST = ".txt"
"""Extension of a file of names."""
LIST_BYTES = 64 << 20
"""Bytes that a file of names may have."""


def clip_names(value: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the clips that the key ``input`` names; None if it names one clip, or pictures that make one.

    Args:
        value: A list of the following; a folder of videos; a pattern with ``*``, ``?`` or ``[...]`` that fits videos;
            or a ``.txt`` file with one of these in each line. A line that begins with ``#`` is a comment.

    Raises:
        MediaError: A folder of the list has no video, or a file of names has no name.
        OSError: A folder or a file of names cannot be read.
    """
    if not value:
        return None
    if not isinstance(value, str):
        return tuple(name for part in value for name in clip_names(part) or (part,))
    if is_url(value) or "\0" in value:
        return None
    path = Path(value)
    if path.is_dir():
        return _of_folder(value)
    if path.is_file():
        return _of_list(path) if path.suffix.lower() == _LIST else None
    if not WILDCARDS.search(value):
        return None
    found = sorted((name for name in glob.glob(value, recursive=True) if Path(name).is_file()), key=natural_order)  # noqa: PTH207
    return None if all(is_picture_name(name) for name in found) else tuple(found)


def relative_name(value: str | Sequence[str] | None, name: str) -> str:
    """Return the path of a clip below the folder that ``input`` names, without its extension.

    Args:
        value: The key ``input``.
        name: One of the clips that it names. A clip that it does not find in a folder has its own name.

    Example:
        >>> relative_name("clips/**/*.mp4", "clips/a/b.mp4")
        'a/b'
    """
    for part in [value] if isinstance(value, str) else value or ():
        folder = _fixed_part(part)
        if folder is not None and name != part and (path := Path(name)).is_relative_to(folder):
            return path.relative_to(folder).with_suffix("").as_posix()
    return input_words(name)["stem"]


def clip_seconds(name: str) -> float:
    """Return the length of a clip as its container declares it, in seconds; 0 if it is unknown or no file."""
    if is_url(name) or not Path(name).is_file():
        return 0.0
    try:
        with open_video(name) as container:
            return max(0.0, (container.duration or 0) / 1e6)
    except Exception:
        # The run of the clip says what is wrong.
        return 0.0


def is_video_name(name: str) -> bool:
    """Return whether the extension of a name is that of a clip."""
    return bool(_VIDEOS.fullmatch(Path(name).suffix))


def _fixed_part(part: str) -> Path | None:
    """Return the folder of all clips of a folder or of a pattern."""
    path = Path(part)
    if path.is_dir():
        return path
    if not WILDCARDS.search(part):
        return None
    place = next(number for number, step in enumerate(path.parts) if WILDCARDS.search(step))
    return Path(*path.parts[:place])


def _of_folder(folder: str) -> tuple[str, ...] | None:
    names = sorted((name for name in os.listdir(folder) if not name.startswith(".")), key=natural_order)  # noqa: PTH208
    if any(is_picture_name(name) for name in names):
        return None
    return tuple(str(Path(folder, name)) for name in names if is_video_name(name)) or None


def _of_list(path: Path) -> tuple[str, ...]:
    lines = read_bounded(path, LIST_BYTES).decode("utf-8", "surrogateescape").splitlines()
    names = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not names:
        raise MediaError(
            f"input {str(path)!r} is a list without a name",
            "write one clip in each line, relative to the current folder",
            code=codes.FILE_EXPECTED,
        )
    # A list in a list could name itself.
    several = ((line, None if line.endswith(_LIST) else clip_names(line)) for line in names)
    return tuple(name for line, found in several for name in found or (line,))
