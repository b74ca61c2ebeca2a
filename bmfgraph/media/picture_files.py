"""Find the pictures that a numbered name, a pattern with wildcards or a folder stands for, and show them as one clip.

FFmpeg's demuxer of picture sequences reads files that are numbered without a gap. So the pictures, in natural order,
get numbered links in a temporary folder.
"""

from __future__ import annotations

import functools
import glob
import os
import re
import stat
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from bmfgraph import error_codes as codes
from bmfgraph.errors import MediaError

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = [
    "DEFAULT_RATE",
    "WILDCARDS",
    "check_pictures",
    "is_picture_name",
    "natural_order",
    "open_pictures",
    "picture_files",
]

DEFAULT_RATE = Fraction(25)
"""Pictures per second, as FFmpeg assumes."""
_NUMBER = re.compile(r"%(?:0(\d+))?d")
WILDCARDS = re.compile(r"[*?\[]")
_EXTENSIONS = {
    "bmp": "bmp",
    "dpx": "dpx",
    "exr": "exr",
    "gif": "gif",
    "hdr": "hdr",
    "jpeg2000": "jp2",
    "jpegls": "jls",
    "jpegxl": "jxl",
    "mjpeg": "jpg",
    "pam": "pam",
    "pbm": "pbm",
    "pfm": "pfm",
    "pgm": "pgm",
    "png": "png",
    "ppm": "ppm",
    "psd": "psd",
    "qoi": "qoi",
    "sgi": "sgi",
    "targa": "tga",
    "tiff": "tif",
    "webp": "webp",
}
"""Codecs of pictures, and the extensions by which FFmpeg's demuxer knows them."""
_SUFFIXES = frozenset(f".{extension}" for extension in (*_EXTENSIONS.values(), "jpeg", "jpe", "tiff", "j2k"))
"""Extensions of the pictures that are read from a folder."""


def picture_files(name: Path | str) -> tuple[str, ...] | None:
    """Return the pictures that a name stands for, in order; None if it names one file, or nothing.

    Args:
        name: A folder; a name with one number such as ``%05d``; or a pattern with ``*``, ``?`` or ``[...]``. A file of
            exactly this name is that file.

    Raises:
        MediaError: Nothing fits the name, or a number is missing.
        OSError: A folder cannot be read.
    """
    text = str(name)
    try:
        mode = os.stat(text).st_mode  # noqa: PTH116 - the text keeps what Path would change
    except (FileNotFoundError, NotADirectoryError, ValueError):
        mode = 0
    if stat.S_ISDIR(mode):
        return _of_folder(text)
    if mode or "\0" in text:
        return None
    if len(_NUMBER.findall(os.path.basename(text))) == 1:  # noqa: PTH119
        return _numbered(text)
    if WILDCARDS.search(text):
        found = tuple(path for path in sorted(glob.glob(text), key=natural_order) if Path(path).is_file())  # noqa: PTH207
        if not found:
            raise _nothing(text, "no file fits the pattern")
        return found
    return None


def is_picture_name(name: str) -> bool:
    """Return whether a file's extension is that of a picture."""
    return Path(name).suffix.lower() in _SUFFIXES


def check_pictures(name: str, files: tuple[str, ...]) -> None:
    """Check that all pictures have the codec and the size of the first.

    Raises:
        MediaError: One cannot be read, or differs.
    """
    from av import FFmpegError

    from bmfgraph.media.opening import open_video

    first = None
    for file in files:
        try:
            with open_video(file) as container:
                stream = container.streams.video[0]
                facts = (stream.codec_context.codec.canonical_name, stream.width, stream.height)
            if not stream.width:
                raise ValueError("it is damaged")
        except (FFmpegError, OSError, IndexError, ValueError) as error:
            raise MediaError(
                f"input {name!r}: {file!r} is not a picture that FFmpeg can read ({getattr(error, 'strerror', error)})",
                "replace it, or take it away",
                code=codes.UNREADABLE_VIDEO,
            ) from None
        first = first or facts
        if facts[0] not in _EXTENSIONS:
            raise MediaError(
                f"input {name!r}: {file!r} is {facts[0]} video, and only pictures are joined to a clip",
                "name one clip; or convert the pictures to png",
                code=codes.UNEQUAL_PICTURES,
            )
        if facts != first:
            (codec, width, height), (codec0, width0, height0) = facts, first
            raise MediaError(
                f"input {name!r}: {file!r} is {width}x{height} {codec}, and the first picture, {files[0]!r}, is "
                f"{width0}x{height0} {codec0}",
                "give all pictures one size and format, or name a part of them with a pattern",
                code=codes.UNEQUAL_PICTURES,
            )


def open_pictures(files: tuple[str, ...], rate: Fraction | None, options: dict[str, str]) -> InputContainer:
    """Open pictures as one clip.

    Args:
        files: The pictures, of one size and codec.
        rate: Pictures per second; None for 25.
        options: Those with which every file is opened.

    Raises:
        av.FFmpegError: The first picture cannot be read.
        OSError: There is no room for a temporary folder.
    """
    import av

    from bmfgraph.media.opening import open_video

    with open_video(files[0]) as first:
        codec = first.streams.video[0].codec_context.codec.canonical_name
    folder = _linked(tuple(os.path.abspath(file) for file in files), _EXTENSIONS.get(codec, "png"))  # noqa: PTH100
    pattern = os.path.join(folder.name, f"%d.{_EXTENSIONS.get(codec, 'png')}")  # noqa: PTH118
    rate = rate or DEFAULT_RATE
    wanted = {"pattern_type": "sequence", "start_number": "0", "framerate": f"{rate.numerator}/{rate.denominator}"}
    return av.open(pattern, format="image2", options=options | wanted)


@functools.cache
def _linked(files: tuple[str, ...], extension: str) -> tempfile.TemporaryDirectory[str]:
    """Return a folder of numbered links; it goes with the process."""
    # A percent sign in its name would belong to the pattern.
    folder = tempfile.TemporaryDirectory(prefix="bmfgraph-pictures-")
    for number, file in enumerate(files):
        os.symlink(file, f"{folder.name}/{number}.{extension}")  # noqa: PTH211
    return folder


def _of_folder(folder: str) -> tuple[str, ...]:
    names = sorted(os.listdir(folder), key=natural_order)  # noqa: PTH208
    pictures = [name for name in names if is_picture_name(name) and not name.startswith(".")]
    if not pictures:
        raise MediaError(
            f"input {folder!r} is a folder without pictures",
            "name a video file in it, or a folder of png, jpg, webp, bmp or tif files",
            code=codes.FILE_EXPECTED,
        )
    return tuple(os.path.join(folder, name) for name in pictures)  # noqa: PTH118


def _numbered(text: str) -> tuple[str, ...]:
    folder, name = os.path.split(text)
    number = _NUMBER.search(name)
    assert number is not None
    digits = int(number[1] or 0)
    before, after = name[: number.start()], name[number.end() :]
    form = re.compile(re.escape(before) + r"(\d+)" + re.escape(after), re.DOTALL)
    found = {}
    try:
        names = os.listdir(folder or ".")  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        names = []
    for entry in names:
        if (match := form.fullmatch(entry)) and match[1].isascii() and f"{int(match[1]):0{digits}d}" == match[1]:
            found[int(match[1])] = os.path.join(folder, entry)  # noqa: PTH118
    if not found:
        raise _nothing(text, "no file has such a name")
    first, last = min(found), max(found)
    if (missing := next((number for number in range(first, last) if number not in found), None)) is not None:
        raise MediaError(
            f"input {text!r}: {f'{before}{missing:0{digits}d}{after}'!r} is missing; the pictures go from "
            f"{first} to {last}, and {last - first + 1 - len(found)} of them do not exist",
            f"add what is missing, or join what is there: {before}*{after}",
            code=codes.MISSING_PICTURE,
        )
    return tuple(found[number] for number in range(first, last + 1))


def _nothing(text: str, reason: str) -> MediaError:
    return MediaError(
        f"input {text!r} does not exist: {reason}",
        "check the path; it is relative to this folder",
        code=codes.FILE_NOT_FOUND,
    )


def natural_order(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers in names by their values."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), part) if index % 2 else (0, part) for index, part in enumerate(parts)]
