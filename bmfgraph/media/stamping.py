"""Give every decoded frame a time of its own, in rising order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["Stamper"]

_MOST_WAITING = 64
"""Frames without a time that wait for the next one that has one."""


class Stamper:
    """Complete missing times, and part frames of equal times.

    A frame without a time comes one step after the one before it; at the start, frames count back from the first time.
    """

    def __init__(self, step: int, subticks: int = 1) -> None:
        """Start with no frame.

        Args:
            step: Ticks of the stream from one frame to the next, at least 1.
            subticks: Ticks of the results for one tick of the stream.
        """
        self._step, self._subticks = step * subticks, subticks
        self._newest: int | None = None
        self._waiting: list[Any] = []

    def push(self, picture: Any, pts: int | None) -> Iterator[tuple[Any, int]]:
        """Yield the frames whose times are known now, each with its time in ticks of the results.

        Args:
            picture: A decoded frame.
            pts: Its time in ticks of the stream; None if it has none.
        """
        if pts is None:
            self._waiting.append(picture)
            if self._newest is not None or len(self._waiting) >= _MOST_WAITING:
                yield from self.finish()
            return
        pts *= self._subticks
        yield from self._stamped(pts - self._step * len(self._waiting))
        yield picture, self._next(pts)

    def finish(self) -> Iterator[tuple[Any, int]]:
        """Yield the frames that still wait."""
        yield from self._stamped(0 if self._newest is None else self._newest + self._step)

    def _stamped(self, first: int) -> Iterator[tuple[Any, int]]:
        waiting, self._waiting = self._waiting, []
        for number, picture in enumerate(waiting):
            yield picture, self._next(first + number * self._step)

    def _next(self, pts: int) -> int:
        self._newest = pts if self._newest is None else max(pts, self._newest + 1)
        return self._newest
