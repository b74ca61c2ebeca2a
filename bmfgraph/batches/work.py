"""Define work that is done elsewhere: by a worker of a cluster, or as a job of a queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bmfgraph.errors import BmfgraphError
from bmfgraph.system.progress import Progress, ProgressCallback

__all__ = ["NOTHING", "POLL", "Call", "Outcome", "Work", "outcome_of"]

POLL = 0.2
"""Seconds between two questions for the progress of work."""
NOTHING = Progress("", 0, 0, "frames")
"""The progress of work that has not said anything."""

Work = Callable[[ProgressCallback], Any]
"""What is done: a function that can be sent to another machine."""


@dataclass(frozen=True)
class Outcome:
    """What comes back: a result or an error, and where the work was done."""

    result: Any
    error: BmfgraphError | None
    place: str


Call = Callable[[Work, ProgressCallback], Outcome]
"""Has work done elsewhere, and waits for it; what the progress callback raises ends it."""


def outcome_of(work: Work, progress: ProgressCallback, place: str) -> Outcome:
    """Do the work here."""
    try:
        return Outcome(work(progress), None, place)
    except BmfgraphError as error:
        return Outcome(None, error, place)
