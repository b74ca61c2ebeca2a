"""Name an input in the names of the files that are made of it."""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

__all__ = ["PICTURE_NUMBER", "input_words", "is_object"]

PICTURE_NUMBER = re.compile(r"%0?(\d*)d")
"""The place of the number, and its digits, in the name of pictures that are written, such as ``frame_%05d.png``."""
_ADDRESS = re.compile(r"\w[\w+.-]*://")
_PATTERN = re.compile(r"[-_. ]*(?:%0?\d*d|\[[^]]*\]|[*?])+[-_. ]*")
"""A pattern for the names of many files, with what joins it to the rest."""
_NOWHERE = ("", ".", "..")
_OBJECT = re.compile(r"(s3|gs)://", re.IGNORECASE)


def is_object(name: str) -> bool:
    """Return whether a name is the address of an object in a store: every character of it counts as it is."""
    return bool(_OBJECT.match(name))


def input_words(source: str) -> dict[str, str]:
    """Return the words ``name`` and ``stem`` of an input: its last part, with and without the extension.

    Patterns for many files count without their wildcards: ``shots/frame_%05d.png`` is ``frame.png``, and
    ``shots/*.png`` has the name of its folder. A file of exactly that name is no pattern.

    Args:
        source: A path, an address, a ``wheel:`` or ``package:`` source, or ``-`` for standard input.

    Example:
        >>> input_words("https://example.org/a%20clip.mp4?token=1")
        {'name': 'a clip.mp4', 'stem': 'a clip'}
    """
    if source == "-":
        return {"name": "stdin", "stem": "stdin"}
    path, host = source, ""
    if is_object(source):
        path = source.partition("://")[2]
    elif _ADDRESS.match(source):
        try:
            parts = urlsplit(source)
            path, host = unquote(parts.path), parts.hostname or ""
        except ValueError:
            path = source.partition("://")[2]
    parents = PurePosixPath(path)
    name = parents.name
    # A file may have the name of a pattern.
    if _PATTERN.search(name) and not is_object(source) and not os.path.lexists(source):
        plain = PurePosixPath(name)
        stem = _PATTERN.sub("", plain.stem)
        name = f"{stem}{'' if _PATTERN.search(plain.suffix) else plain.suffix}" if stem else parents.parent.name
    name = next(word for word in (name, host, "input") if word not in _NOWHERE)
    return {"name": name, "stem": PurePosixPath(name).stem}
