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
    """Whether all runs are listed; False if the sweeper chooses them one by one, and this grid holds only the first."""
    launched: bool
    """Whether a launcher other than Hydra's basic one runs them."""
