"""Name the cells of a sweep, their keys, states and errors in reports."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

__all__ = [
    "date_text",
    "left_out_text",
    "problem_text",
    "shipped_command",
    "states",
    "variant",
    "varied_keys",
]

_NAME = re.compile(r"[A-Za-z][\w.+-]*")
_PLAIN = ("true", "false", "null", "none", "auto", "yes", "no", "on", "off")


def varied_keys(cells: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the keys that differ from cell to cell, in order."""
    return list(dict.fromkeys(key for cell in cells for key in cell["varied"]))


def variant(cell: Mapping[str, Any]) -> str:
    """Name a cell by its values: ``fp16 · batch 4``. A value that is not a name follows the last part of its key."""
    return " · ".join(_value(key, str(value)) for key, value in cell["varied"].items()) or "the only variant"


def _value(key: str, value: str) -> str:
    is_name = _NAME.fullmatch(value) and value.lower() not in _PLAIN
    return value if is_name else f"{key.rpartition('.')[2].lstrip('+~/')} {value}"


def problem_text(problem: Mapping[str, Any]) -> str:
    """Return the place and the message of an error."""
    return ": ".join(str(problem[part]) for part in ("where", "message") if problem.get(part))


def shipped_command(cell: Mapping[str, Any]) -> str:
    """Return the command line that runs the whole job with the variant of a cell."""
    return str(cell.get("ship") or cell["command"])


def left_out_text(cell: Mapping[str, Any]) -> str:
    """Say which overrides the command to ship leaves out; "" if it is the command of the measurement."""
    left_out = " ".join(cell.get("left_out") or ())
    return f"This command leaves out what was for measuring only: {left_out}." if left_out else ""


def states(cells: Sequence[Mapping[str, Any]]) -> str:
    """Count the cells in each state: ``10 ok, 1 crashed``."""
    return ", ".join(f"{number} {status}" for status, number in Counter(cell["status"] for cell in cells).items())


def date_text(created: str) -> str:
    """Write an ISO time out, in UTC: ``5 November 2026, 14:32 UTC``. Any other text stays as it is."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    if moment.tzinfo is None:
        return f"{moment.day} {moment:%B %Y, %H:%M}"
    moment = moment.astimezone(timezone.utc)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"
