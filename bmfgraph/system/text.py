"""Shorten, count and clean texts."""

from __future__ import annotations

import re

__all__ = ["UNSAFE", "counted", "printable", "shortened", "shown", "size_bytes", "size_text"]

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) *(?:([KMGT])(i)?)?B?", re.IGNORECASE)
_UNPRINTABLE = re.compile("[^\t\n\r\u0020-\u007e\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Control characters and surrogates, which XML and HTML cannot hold."""
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""Characters that control a terminal, change the direction of text, or cannot be encoded; not tab and newline."""


def shown(text: str) -> str:
    """Return the text with every character of ``UNSAFE`` written as an escape, such as ``\\x1b``."""
    return UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def shortened(text: str, maximum: int) -> str:
    """Return the text with its middle left out if it has more than ``maximum`` characters."""
    if len(text) <= maximum:
        return text
    tail = (maximum - 1) // 2
    return f"{text[: maximum - 1 - tail]}…{text[len(text) - tail :]}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 node``, ``3 nodes``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def size_text(size: float) -> str:
    """Return a size in bytes in a readable unit: ``12.3 MB``, ``4.5 kB``."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"


def size_bytes(size: int | str) -> int | None:
    """Return the bytes of a size such as ``4GiB``, ``500MB`` or ``4000000000``; None if it is not a positive size."""
    match = _SIZE.fullmatch(str(size).strip())
    if match is None:
        return None
    number, unit, binary = match.groups()
    factor = (1024 if binary else 1000) ** ("KMGT".index(unit.upper()) + 1 if unit else 0)
    return int(float(number) * factor) or None


def printable(text: str) -> str:
    """Return the text with U+FFFD for every character that an XML or HTML document cannot hold."""
    return _UNPRINTABLE.sub("\ufffd", text)
