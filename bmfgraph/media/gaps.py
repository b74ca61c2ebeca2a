"""Find places at which frames of an evenly spaced stream may be missing."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

__all__ = ["GapFinder"]

_MOST_KINDS = 16
"""Different intervals of an evenly spaced stream: those rounded to ticks, and gaps."""
_FEW = 50
"""Frames for one gap; a stream with more gaps is uneven by intent."""


class GapFinder:
    """Collect the intervals between frames."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._firsts: dict[int, int] = {}
        """Time of the frame before the first interval of each length, in ticks."""

    def push(self, before: int, pts: int) -> None:
        """Note the times of two frames in a row, in ticks."""
        interval = pts - before
        if interval in self._counts or len(self._counts) <= _MOST_KINDS:
            self._counts[interval] += 1
            self._firsts.setdefault(interval, before)

    def gaps(self, base: Fraction) -> dict[int, int]:
        """Return the frames that may be missing behind times in ticks; none for an uneven stream.

        Args:
            base: Seconds per tick.
        """
        if not self._counts or len(self._counts) > _MOST_KINDS:
            return {}
        usual, _ = self._counts.most_common(1)[0]
        rounding = max(1, round(Fraction(1, 1000) / base))
        odd = {interval: count for interval, count in self._counts.items() if abs(interval - usual) > rounding}
        if any(interval < 1.5 * usual for interval in odd) or sum(odd.values()) > max(1, self._counts.total() // _FEW):
            return {}
        return {self._firsts[interval]: round(interval / usual) - 1 for interval in sorted(odd)}
