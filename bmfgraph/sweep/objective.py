"""Which cell of a sweep is best: the objective as words, the order that it gives, and the Pareto front."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NoReturn

from bmfgraph.errors import ConfigError, did_you_mean, short_repr
from bmfgraph.sweep.metrics import METRICS, finite, median, speed_metric

__all__ = ["Condition", "Objective", "Ranked", "objective_of", "pareto", "parse_objective", "rank", "winner"]

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq}
)
_SHOWN = MappingProxyType({">=": "≥", "<=": "≤", ">": ">", "<": "<", "==": "="})
_MISSED = MappingProxyType({">=": "<", "<=": ">", ">": "≤", "<": "≥", "==": "≠"})
_WORD = re.compile(r"[<>=!]+|[^\s<>=!]+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?")
_EXAMPLE = "write it like 'steady_fps where psnr_y>=45 and latency_p95_ms<40'"


@dataclass(frozen=True)
class Condition:
    """What a metric must be, such as ``psnr_y>=45``."""

    metric: str
    sign: str
    number: float

    def holds(self, value: float) -> bool:
        """Whether a value of the metric is good enough."""
        return _OPERATORS[self.sign](value, self.number)

    @property
    def text(self) -> str:
        """For people: ``PSNR-Y ≥ 45 dB``."""
        metric = METRICS[self.metric]
        return f"{metric.title} {_SHOWN[self.sign]} {self.number:.12g} {metric.unit}".rstrip()

    def missed(self, value: float | None) -> str:
        """What is wrong with a value that does not hold: ``PSNR-Y 38.21 < 45 dB``."""
        metric = METRICS[self.metric]
        if value is None:
            return f"{metric.title} not measured"
        text = metric.text(value)
        # Rounding must not make it the very number that it misses.
        text = f"{value:.12g}" if text == metric.text(self.number) else text
        return f"{metric.title} {text} {_MISSED[self.sign]} {self.number:.12g} {metric.unit}".rstrip()

    def __str__(self) -> str:
        return f"{self.metric}{self.sign}{self.number:.12g}"


@dataclass(frozen=True)
class Objective:
    """The metric to make as great (max) or as small (min) as can be, among the cells that meet all conditions."""

    metric: str
    direction: Literal["max", "min"]
    conditions: tuple[Condition, ...] = ()

    def __str__(self) -> str:
        usual = "max" if METRICS[self.metric].better == "higher" else "min"
        words = self.metric if self.direction == usual else f"{self.direction} {self.metric}"
        return words + (f" where {' and '.join(map(str, self.conditions))}" if self.conditions else "")


@dataclass(frozen=True)
class Ranked:
    """A cell and its place, from 1; None for a cell that failed or misses a condition. ``misses`` says which."""

    cell: Mapping[str, Any]
    rank: int | None
    violations: tuple[str, ...] = ()


# ------------------------------------------------------------------------------------------------ from words


class _Words:
    """The words of an objective, read one after the other."""

    def __init__(self, text: str) -> None:
        self.text, self.words, self.at = text, _WORD.findall(text.lower()), 0

    def peek(self) -> str:
        """The next word, or the empty string at the end."""
        return self.words[self.at] if self.at < len(self.words) else ""

    def take(self) -> str:
        """The next word, and step over it."""
        word = self.peek()
        self.at += 1
        return word

    def refuse(self, wanted: str) -> NoReturn:
        """Raise a ConfigError that says what should stand here instead."""
        before = " ".join(self.words[: self.at])
        place = f"after {short_repr(before)}" if before else "at the beginning"
        found = short_repr(self.peek()) if self.peek() else "the end"
        raise _wrong(f"{short_repr(self.text)} needs {wanted} {place}, not {found}", _EXAMPLE)


def _wrong(message: str, hint: str) -> ConfigError:
    return ConfigError(message, path="sweep.objective", hint=hint, code="E115")


def parse_objective(text: str) -> Objective:
    """``[min|max] METRIC [where METRIC OP NUMBER [and ...]]``; without min or max, what is better for the metric.

    Raises ConfigError with the word that is wrong and what could stand there.
    """
    words = _Words(text)
    direction = words.take() if words.peek() in ("min", "max") else ""
    metric = _metric(words)
    conditions = []
    if words.peek():
        if words.peek() != "where":
            words.refuse("'where' or the end")
        words.take()
        conditions.append(_condition(words))
        while words.peek():
            if words.peek() != "and":
                words.refuse("'and' or the end")
            words.take()
            conditions.append(_condition(words))
    usual: Literal["max", "min"] = "max" if METRICS[metric].better == "higher" else "min"
    return Objective(metric, "max" if direction == "max" else "min" if direction == "min" else usual, tuple(conditions))


def _metric(words: _Words) -> str:
    word = words.peek()
    if not word or word in ("where", "and") or word in _OPERATORS:
        words.refuse("a metric")
    if word not in METRICS:
        raise _wrong(
            f"unknown metric {short_repr(word)}{did_you_mean(word, METRICS)}", f"metrics: {', '.join(METRICS)}"
        )
    return words.take()


def _condition(words: _Words) -> Condition:
    metric = _metric(words)
    if words.peek() not in _OPERATORS:
        words.refuse(f"one of {' '.join(_OPERATORS)}")
    sign = words.take()
    if not _NUMBER.fullmatch(words.peek()) or finite(float(words.peek())) is None:
        words.refuse("a number")
    return Condition(metric, sign, float(words.take()))


def objective_of(report: Mapping[str, Any]) -> Objective:
    """The objective that a report was made for: the fastest cell, unless the user set another."""
    if report.get("objective"):
        return parse_objective(report["objective"])
    return Objective(speed_metric(report["cells"]).name, "max")


# --------------------------------------------------------------------------------------------------- to an order


def rank(cells: Iterable[Mapping[str, Any]], objective: Objective) -> list[Ranked]:
    """All cells: those that meet the conditions, best first; those that do not; those that failed.

    Cells that are equally good stay in the order in which they came.
    """
    cells = list(cells)
    done = [(cell, _misses(cell, objective)) for cell in cells if cell["status"] == "ok"]
    done.sort(key=lambda one: _place(one[0], objective))
    fit = [Ranked(cell, place) for place, cell in enumerate((cell for cell, violations in done if not violations), 1)]
    unfit = [Ranked(cell, None, violations) for cell, violations in done if violations]
    return fit + unfit + [Ranked(cell, None) for cell in cells if cell["status"] != "ok"]


def _place(cell: Mapping[str, Any], objective: Objective) -> float:
    value = median(cell, objective.metric)
    if value is None:
        return float("inf")
    return -value if objective.direction == "max" else value


def _misses(cell: Mapping[str, Any], objective: Objective) -> tuple[str, ...]:
    """What keeps a cell from being ranked, as short texts."""
    unknown = [] if median(cell, objective.metric) is not None else [f"{METRICS[objective.metric].title} not measured"]
    values = [(condition, median(cell, condition.metric)) for condition in objective.conditions]
    missed = [one.missed(value) for one, value in values if value is None or not one.holds(value)]
    return tuple(dict.fromkeys(unknown + missed))


def winner(cells: Iterable[Mapping[str, Any]], objective: Objective) -> Mapping[str, Any] | None:
    """The best cell that meets all conditions, if there is one."""
    first = next(iter(rank(cells, objective)), None)
    return first.cell if first and first.rank == 1 else None


def pareto(cells: Iterable[Mapping[str, Any]], x: str = "steady_fps", y: str = "psnr_y") -> set[str]:
    """The ids of the cells than which none is better in one of the two metrics and at least as good in the other."""
    points = [
        (cell["id"], METRICS[x].sign() * first, METRICS[y].sign() * second)
        for cell in cells
        if cell["status"] == "ok" and (first := median(cell, x)) is not None and (second := median(cell, y)) is not None
    ]
    return {one for one, *place in points if not any(_beats(other, place) for _, *other in points)}


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(mine >= yours for mine, yours in zip(one, other, strict=True))
