"""Test that a series keeps what its step says, whatever the pieces in which its numbers come."""

from __future__ import annotations

import random

import pytest

from bmfgraph.runner import series
from bmfgraph.runner.monitor import NodeTimings
from bmfgraph.runner.run import steady_fps
from bmfgraph.runner.series import Series


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "_KEPT", 16)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 31, 32, 33, 100, 1000])
def test_every_so_many_numbers_are_kept(count: int) -> None:
    numbers = [random.Random(count).uniform(0, 9) for _ in range(count)]
    kept = Series(numbers)
    assert list(kept) == numbers[:: kept.step]
    assert (kept.count, kept.most, len(kept) <= 16) == (count, max(numbers, default=0), True)
    assert kept.total == pytest.approx(sum(numbers))
    assert kept.step == 1 or len(kept) >= 8


@pytest.mark.parametrize("seed", range(5))
def test_numbers_that_are_added_several_times(seed: int) -> None:
    dice = random.Random(seed)
    together, alone, expected = Series(), Series(), []
    for number in range(60):
        times = dice.choice((1, 2, 7, 40))
        together.add(number, times)
        expected += [float(number)] * times
        for _ in range(times):
            alone.add(number)
    assert (together.count, together.total) == (alone.count, alone.total) == (len(expected), sum(expected))
    for kept in (together, alone):
        assert list(kept) == expected[:: kept.step]


def test_two_series_are_one() -> None:
    whole = Series([1, 2, 3])
    whole.extend(Series([5, 4]))
    assert whole == Series([1, 2, 3, 5, 4]) != Series([1, 2, 3, 5])
    assert (list(whole), whole.count, whole.total, whole.most, whole.step) == ([1, 2, 3, 5, 4], 5, 15, 5, 1)


def test_a_long_run_has_the_same_steady_rate() -> None:
    timings = NodeTimings("sink", "encoder")
    for number in range(1000):
        # The first four frames come at once.
        timings.add(0.0, 1.0 if number < 4 else 1.0 + 0.01 * (number - 3))
    timings.frames = 1000
    assert timings.done.step > 1
    assert steady_fps(timings, 4, began=0.0) == pytest.approx(100)
