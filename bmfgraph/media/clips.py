"""Find the clips that ``input`` names: one, or several in a list, a folder, a pattern or a file of names."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from bmfgraph import error_codes as codes
from bmfgraph.errors import MediaError
from bmfgraph.media.opening import is_url
from bmfgraph.media.picture_files import WILDCARDS, is_picture_name, natural_order
from bmfgraph.system.untrusted import read_bounded

__all__ = ["clip_names"]

_VIDEOS = re.compile(
    r"\.(mp4|m4v|mov|mkv|webm|avi|m?ts|m2ts|flv|wmv|asf|mpe?g|vob|3gp|3g2|ogv|mxf|gxf|nut|y4m|h?26[45]|hevc|av1|obu|ivf"
    r"|mjpeg|dv)",
    re.IGNORECASE,
)
"""Extensions of the files of a folder that are clips."""
_LIST = ".txt"
"""Extension of a file of names."""
_LIST_BYTES = 64 << 20


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


def _of_folder(folder: str) -> tuple[str, ...] | None:
    names = sorted((name for name in os.listdir(folder) if not name.startswith(".")), key=natural_order)  # noqa: PTH208
    if any(is_picture_name(name) for name in names):
        return None
    return tuple(str(Path(folder, name)) for name in names if _VIDEOS.fullmatch(Path(name).suffix)) or None


def _of_list(path: Path) -> tuple[str, ...]:
    lines = read_bounded(path, _LIST_BYTES).decode("utf-8", "surrogateescape").splitlines()
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
