"""Cut a clip into parts at exact frames."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bmfgraph import error_codes as codes
from bmfgraph.errors import RunError
from bmfgraph.media.demuxing import Demuxer
from bmfgraph.media.joining import Span
from bmfgraph.media.opening import open_video
from bmfgraph.media.reading import Clock
from bmfgraph.plan.description import Context

__all__ = ["Piece", "cut"]

_SECONDS = 300
"""Seconds of a part where the user leaves its length open."""
_LEAST_SECONDS = 20
"""Seconds of a part at least, where there are more workers than parts."""


@dataclass(frozen=True)
class Piece:
    """A part of the clip. Frames are numbered in the order of the whole clip, from 0."""

    start: float | None
    """Second that lies between two frames, from which the source reads; None: from the first frame."""
    end: float | None
    """Likewise; None: to the last frame."""
    first: int
    """Number of the first frame that is read."""
    kept: tuple[int, int]
    """Numbers of the first frame that is written, and of the first one behind the part."""
    span: Span
    """The times of the frames that are written."""

    def fields(self) -> dict[str, Any]:
        """Return the fields of the option ``part`` of a source."""
        return {"start": self.start, "end": self.end, "first": self.first, "kept": self.kept}


def cut(reading: Any, context: Context, segments: int | Literal["auto"], parallel: int = 1) -> tuple[Piece, ...]:
    """Divide the frames of a clip.

    Args:
        reading: Parameters of the decoder.
        context: The frames around a part that are read with it, in frames that the decoder passes on.
        segments: Number of parts, at most; ``auto``: parts of about five minutes, but one for each worker.
        parallel: Number of workers.

    Raises:
        RunError: The clip has no frame, or frames without times of their own.
    """
    ticks = _frame_ticks(reading)
    passed, every = ticks[:: reading.every], reading.every
    seconds = float((ticks[-1] - ticks[0]) * reading.time_base)
    automatic = max(round(seconds / _SECONDS), min(parallel, int(seconds / _LEAST_SECONDS)))
    most = automatic if segments == "auto" else segments
    steps = -(-len(passed) // context.step)
    count = max(1, min(most, steps))
    starts = [number * steps // count * context.step for number in range(count)]
    bounds = list(zip(starts, [*starts[1:], len(passed)], strict=True))
    early = -(-context.before // context.step) * context.step
    pieces = []
    for start, end in bounds:
        first, last = max(0, start - early), end + context.after
        pieces.append(
            Piece(
                start=_between(reading, ticks, first * every) if first else reading.start,
                end=_between(reading, ticks, last * every) if last < len(passed) else reading.end,
                first=first,
                kept=(start, end),
                span=Span(passed[start:end] - Clock(reading).zero(reading.time_base), reading.time_base),
            )
        )
    return tuple(pieces)


def _between(reading: Any, ticks: NDArray[np.int64], number: int) -> float:
    """Return the second of the clip that lies between a frame and the one before it."""
    middle = Fraction(int(ticks[number - 1] + ticks[number]), 2)
    return float(middle * reading.time_base - round(Clock(reading).origin / reading.time_base) * reading.time_base)


def _frame_ticks(reading: Any) -> NDArray[np.int64]:
    """Return the time of each frame that is read, by the packets of the file, in rising order."""
    with open_video(reading.path, reading.protocols) as container:
        demuxer, video = Demuxer(container), reading.video
        times = [
            packet.pts for packet in demuxer if packet.stream.index == video and packet.size and not packet.is_discard
        ]
    if demuxer.spliced:
        raise _no_parts(reading.path, "has times that jump")
    clock, base = Clock(reading), reading.time_base
    if not times or None in times:
        raise _no_parts(reading.path, "has frames without times of their own")
    ticks = np.unique(np.array(times, np.int64)) * reading.subticks
    if len(ticks) != len(times):
        raise _no_parts(reading.path, "has frames of equal times")
    inside = [not clock.is_before_start(int(tick), base) and not clock.is_past_end(int(tick), base) for tick in ticks]
    if not any(inside):
        raise _no_parts(reading.path, "has no frame between start and end")
    chosen: NDArray[np.int64] = ticks[np.array(inside)]
    return chosen


def _no_parts(path: str, reason: str) -> RunError:
    return RunError(
        "segments",
        "pipeline",
        f"input {path!r} {reason}, so it cannot be cut at exact frames",
        hint="leave segments out",
        path="segments",
        code=codes.INSEPARABLE_CLIP,
    )
