"""Define a finding, and helpers to create findings."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import Literal

__all__ = ["GIB", "Finding", "State", "error_text", "version_of"]

State = Literal["ok", "warn", "fail"]
GIB = 1 << 30


@dataclass(frozen=True)
class Finding:
    """The state of a part of this machine."""

    name: str
    state: State
    found: str
    """The facts, such as a version."""
    fix: str = ""
    """A command or an instruction; empty if the state is ok."""


def error_text(error: BaseException) -> str:
    """Return the message of an error, with its type unless it is an error of bmfgraph."""
    return str(getattr(error, "message", "")) or f"{type(error).__name__}: {error}"


def version_of(distribution: str) -> str:
    """Return the version of an installed distribution; empty if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
