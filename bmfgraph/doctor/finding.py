"""A line of the doctor's, and what its parts make lines with."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import Literal

__all__ = ["GIB", "Finding", "State", "error_text", "version_of"]

State = Literal["ok", "warn", "fail"]
GIB = 1 << 30


@dataclass(frozen=True)
class Finding:
    """What was found out about one thing, and how to mend it: empty where it is ok."""

    name: str
    state: State
    found: str
    fix: str = ""


def error_text(error: BaseException) -> str:
    """What an error says, with its type unless it is one of ours."""
    return str(getattr(error, "message", "")) or f"{type(error).__name__}: {error}"


def version_of(distribution: str) -> str:
    """Of an installed distribution; empty where there is none."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
