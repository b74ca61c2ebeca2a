"""Describe the runs of a sweep."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Grid"]


@dataclass(frozen=True)
class Grid:
    """The runs of a sweep."""

    runs: tuple[tuple[str, ...], ...]
    """The overrides of each run."""
    varied: tuple[dict[str, str], ...]
    """Key and value of each run's own overrides, in the order of the command line."""
    swept: tuple[str, ...]
    """The keys that differ between runs."""
    enumerated: bool
    """False: a sweeper of another kind chooses the runs while it goes, and this grid holds one of them."""
    launched: bool
    """Whether another launcher than Hydra's own runs them."""
