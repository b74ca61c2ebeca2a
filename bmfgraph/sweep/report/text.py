"""The few words that the reports of a sweep have for cells, their keys and their errors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

__all__ = ["counted", "date_text", "problem_text", "shortened", "states", "variant", "varied_keys"]

_NAME = re.compile(r"[A-Za-z][\w.+-]*")
_PLAIN = ("true", "false", "null", "none", "auto", "yes", "no", "on", "off")


def varied_keys(cells: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys that differ from cell to cell, in the order in which they come."""
    return list(dict.fromkeys(key for cell in cells for key in cell["varied"]))


def variant(cell: Mapping[str, Any]) -> str:
    """How people call a cell: ``fp16 · batch 4``. A value that says little alone has the end of its key before it."""
    return " · ".join(_value(key, str(value)) for key, value in cell["varied"].items()) or "the only variant"


def _value(key: str, value: str) -> str:
    tells = _NAME.fullmatch(value) and value.lower() not in _PLAIN
    return value if tells else f"{key.rpartition('.')[2].lstrip('+~/')} {value}"


def shortened(text: str, maximum: int) -> str:
    """The text with its middle left out where it has more than ``most`` characters."""
    if len(text) <= maximum:
        return text
    tail = (maximum - 1) // 2
    return f"{text[: maximum - 1 - tail]}…{text[len(text) - tail :]}"


def problem_text(problem: Mapping[str, Any]) -> str:
    """Where it is and what is wrong."""
    return ": ".join(str(problem[part]) for part in ("where", "message") if problem.get(part))


def counted(number: int, what: str) -> str:
    """``1 variant``, ``3 variants``."""
    return f"{number} {what}{'s' * (number != 1)}"


def states(cells: Sequence[Mapping[str, Any]]) -> str:
    """How many cells are in which state: ``10 ok, 1 crashed``."""
    return ", ".join(f"{number} {status}" for status, number in Counter(cell["status"] for cell in cells).items())


def date_text(created: str) -> str:
    """An ISO time as people read it, in UTC; text that is none stays as it is."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    if moment.tzinfo is None:
        return f"{moment.day} {moment:%B %Y, %H:%M}"
    moment = moment.astimezone(timezone.utc)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"
