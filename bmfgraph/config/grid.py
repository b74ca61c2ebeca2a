"""Describe the runs of a sweep."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Grid"]


@dataclass(frozen=True)
class Grid:
    """The runs that a sweep's words stand for."""

    runs: tuple[tuple[str, ...], ...]
    """Overrides of each."""
    varied: tuple[dict[str, str], ...]
    """What differs between them: key and value, in the order of the words."""
    swept: tuple[str, ...]
    """The keys that differ."""
    enumerated: bool
    """False: a sweeper of another kind chooses the runs as it goes, and this is one of them."""
    launched: bool
    """Whether another launcher than Hydra's own runs them."""
