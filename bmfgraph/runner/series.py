"""Keep the numbers of a long run in constant memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import overload

__all__ = ["Series"]

_KEPT = 1 << 18
"""Numbers that are kept at most: at 25 frames per second, those of three hours, in 2 MB."""


class Series:
    """Numbers in order, of which a bounded part is kept.

    All are kept at first, later every second one, every fourth one and so on, always with the first one. So what is
    kept of two series belongs together if both have the same step.

    Args:
        numbers: The first numbers.

    Attributes:
        count: Number of all numbers.
        total: Sum of all.
        most: The largest of all; 0 if there are none.
        step: One of so many numbers is kept.
    """

    def __init__(self, numbers: Iterable[float] = ()) -> None:
        self.count, self.total, self.most, self.step = 0, 0.0, 0.0, 1
        self._kept = array("d")
        for number in numbers:
            self.add(number)

    def add(self, number: float, times: int = 1) -> None:
        """Append a number so many times."""
        before, self.count = self.count, self.count + times
        self.total += number * times
        self.most = max(self.most, number)
        self._kept.extend([number] * ((self.count - 1) // self.step - (before - 1) // self.step))
        self._thin()

    def extend(self, other: Series) -> None:
        """Append the numbers of another series, as far as it has kept them."""
        self._kept.extend(other._kept)
        self.count += other.count
        self.total += other.total
        self.most, self.step = max(self.most, other.most), max(self.step, other.step)
        self._thin()

    def _thin(self) -> None:
        while len(self._kept) > _KEPT:
            del self._kept[1::2]
            self.step *= 2

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Series) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[float]:
        return iter(self._kept)

    @overload
    def __getitem__(self, place: int) -> float: ...
    @overload
    def __getitem__(self, place: slice) -> array[float]: ...
    def __getitem__(self, place: int | slice) -> float | array[float]:
        return self._kept[place]
