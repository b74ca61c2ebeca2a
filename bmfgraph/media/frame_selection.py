"""Select the frames of a clip that are passed on: each n-th one, or those of a constant rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

__all__ = ["ConstantRate", "EveryNth", "FrameSelection", "Selected", "Timed", "selected_count", "selection_of"]


class Timed(NamedTuple):
    """A frame of any kind, its time from the start of the clip, and its duration, in ticks; duration 0: unknown."""

    picture: Any
    pts: int
    duration: int


@dataclass(frozen=True)
class Selected:
    """Numbers of frames that were left out, and that were added as copies of others."""

    dropped: int
    repeated: int


class EveryNth:
    """Pass on the first frame, and each n-th one after it. The durations of those left out are added."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._held: Timed | None = None
        self._count = self._dropped = 0

    def push(self, timed: Timed) -> Iterator[Timed]:
        """Yield the frames that are complete now."""
        if self._count % self._step == 0:
            yield from self.finish()
            self._held = timed
        elif self._held is not None:
            self._dropped += 1
            known = self._held.duration and timed.duration
            self._held = self._held._replace(duration=self._held.duration + timed.duration if known else 0)
        self._count += 1

    def finish(self) -> Iterator[Timed]:
        """Yield the frame that is still held."""
        held, self._held = self._held, None
        if held is not None:
            yield held

    @property
    def selected(self) -> Selected:
        """The frames that were left out so far."""
        return Selected(self._dropped, 0)


class ConstantRate:
    """Repeat and leave out frames so that they come at a constant rate, as FFmpeg's filter ``fps`` does.

    Frame n shows the last frame whose time, rounded to a frame of the new rate, is not after n. The results have times
    in frames.
    """

    def __init__(self, fps: Fraction, time_base: Fraction, step: int) -> None:
        """Start with no frame.

        Args:
            fps: Frames per second.
            time_base: Seconds per tick of the frames.
            step: Ticks for which a frame without a duration is shown.
        """
        ratio = fps * time_base
        self._above, self._below = ratio.numerator, ratio.denominator
        self._step = step
        self._held: Timed | None = None
        self._next = 0
        self._dropped = self._repeated = 0

    def push(self, timed: Timed) -> Iterator[Timed]:
        """Yield the frames up to the time of this one."""
        place = self._place(timed.pts)
        if self._held is None:
            self._next = place
        else:
            yield from self._shown(place)
        self._held = timed

    def finish(self) -> Iterator[Timed]:
        """Yield the last frame as long as it is shown."""
        if self._held is not None:
            end = self._place(self._held.pts + (self._held.duration or self._step))
            yield from self._shown(end)
            self._held = None

    @property
    def selected(self) -> Selected:
        """The frames that were left out and repeated so far."""
        return Selected(self._dropped, self._repeated)

    def _place(self, pts: int) -> int:
        return (2 * pts * self._above + self._below) // (2 * self._below)

    def _shown(self, end: int) -> Iterator[Timed]:
        assert self._held is not None
        count = end - self._next
        self._dropped += count <= 0
        self._repeated += max(0, count - 1)
        while self._next < end:
            self._next += 1
            yield Timed(self._held.picture, self._next - 1, 1)


FrameSelection = EveryNth | ConstantRate


def selection_of(every: int, fps: Fraction | None, time_base: Fraction, rate: Fraction) -> FrameSelection | None:
    """Return the selection that the options describe; None for all frames.

    Args:
        every: Pass on each n-th frame.
        fps: Constant rate, frames per second; None keeps the times.
        time_base: Seconds per tick of the frames.
        rate: Frames per second of the source.
    """
    if fps is not None:
        return ConstantRate(fps, time_base, max(1, round(1 / rate / time_base)))
    return EveryNth(every) if every > 1 else None


def selected_count(count: int, duration: float, every: int, fps: Fraction | None) -> int:
    """Return the number of selected frames, of ``count`` in ``duration`` seconds; a guess for a constant rate."""
    return round(duration * fps) if fps is not None else -(-count // every)
