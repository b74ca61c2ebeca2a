"""Pair the frames of two files of records by their times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bmfgraph.media.accuracy.items import Frame, comparison_error
from bmfgraph.media.accuracy.records import Table

__all__ = ["Pair", "join"]

_NEAR = 0.001
"""Seconds within which two times belong to the same frame: containers round by at most half a millisecond."""


@dataclass(frozen=True)
class Pair:
    """The same frame in both files."""

    predictions: Frame
    truth: Frame


def join(predictions: Table, reference: Table) -> list[Pair]:
    """Return the frames of both files in the order of time. A frame that a file lacks is empty there.

    Raises:
        RunError: The predictions cover a whole clip, and lack a frame of the reference. Or two frames of the reference
            are at the time of one prediction.
    """
    times = np.array(sorted(predictions.frames))
    truth: dict[float, Frame] = {}
    for time, frame in reference.frames.items():
        nearest = _nearest(times, time)
        if nearest is None and predictions.whole:
            raise comparison_error(
                f"{str(reference.path)!r} has a frame at {time:g} s, where {str(predictions.path)!r} has none: its "
                f"{len(times)} frames go from {times[0]:g} s to {times[-1]:g} s",
                hint="compare with labels of the same clip, and of the same part of it",
            )
        key = time if nearest is None else nearest
        if key in truth:
            raise comparison_error(
                f"{str(reference.path)!r} has frames at {truth[key].pts:.6g} s and at {time:.6g} s, which are the same "
                f"frame of {str(predictions.path)!r}"
            )
        truth[key] = frame
    return [
        Pair(predictions.frames.get(time, Frame(pts=time)), truth.get(time, Frame(pts=time)))
        for time in sorted(predictions.frames.keys() | truth.keys())
    ]


def _nearest(times: Sequence[float] | np.ndarray, time: float) -> float | None:
    """Return the time of the frame at a time, from sorted times; None if there is none."""
    at = int(np.searchsorted(times, time))
    near = [float(other) for other in times[max(0, at - 1) : at + 1] if abs(other - time) <= _NEAR]
    return min(near, key=lambda other: abs(other - time), default=None)
