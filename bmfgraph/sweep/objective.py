"""Read the objective of a sweep, and rank cells by it."""

from __future__ import annotations

import bisect
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NoReturn

from bmfgraph import error_codes as codes
from bmfgraph.errors import ConfigError, did_you_mean, short_repr
from bmfgraph.sweep.metrics import METRICS, finite, interval, median, speed_metric

__all__ = ["Condition", "Objective", "Ranked", "objective_of", "pareto", "parse_objective", "rank"]

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq}
)
_SIGNS = MappingProxyType({">=": "≥", "<=": "≤", ">": ">", "<": "<", "==": "="})
_OPPOSITES = MappingProxyType({">=": "<", "<=": ">", ">": "≤", "<": "≥", "==": "≠"})
_TOKEN = re.compile(r"[<>=!]+|[^\s<>=!]+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?")
_EXAMPLE = "write it like 'steady_fps where psnr_y>=45 and latency_p95_ms<40'"


@dataclass(frozen=True)
class Condition:
    """A bound on a metric, such as ``psnr_y>=45``."""

    metric: str
    sign: str
    number: float

    def holds(self, value: float) -> bool:
        """Return whether a value of the metric meets the condition."""
        return _OPERATORS[self.sign](value, self.number)

    @property
    def text(self) -> str:
        """The condition with the metric's title and unit: ``PSNR-Y ≥ 45 dB``."""
        metric = METRICS[self.metric]
        return f"{metric.title} {_SIGNS[self.sign]} {self.number:.12g} {metric.unit}".rstrip()

    def violation(self, value: float | None) -> str:
        """Describe a value that does not meet the condition: ``PSNR-Y 38.21 < 45 dB``."""
        metric = METRICS[self.metric]
        if value is None:
            return f"{metric.title} not measured"
        text = metric.text(value)
        # A rounded value may look equal to the bound, so print it in full then.
        text = f"{value:.12g}" if text == metric.text(self.number) else text
        return f"{metric.title} {text} {_OPPOSITES[self.sign]} {self.number:.12g} {metric.unit}".rstrip()

    def __str__(self) -> str:
        return f"{self.metric}{self.sign}{self.number:.12g}"


@dataclass(frozen=True)
class Objective:
    """The metric to maximize or minimize among the cells that meet all conditions."""

    metric: str
    direction: Literal["max", "min"]
    conditions: tuple[Condition, ...] = ()

    def __str__(self) -> str:
        text = self.metric if self.direction == _default_direction(self.metric) else f"{self.direction} {self.metric}"
        return text + (f" where {' and '.join(map(str, self.conditions))}" if self.conditions else "")


@dataclass(frozen=True)
class Ranked:
    """A cell and its rank."""

    cell: Mapping[str, Any]
    rank: int | None
    """One more than the number of cells that are better beyond the spread of the runs, so that cells can share a rank;
    None for a cell that failed or violates a condition."""
    violations: tuple[str, ...] = ()
    """The violated conditions as short texts."""


# ------------------------------------------------------------------------------------------------------- parsing


class _Tokens:
    """The words and operators of an objective, read one after the other."""

    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.at = text, _TOKEN.findall(text.lower()), 0

    def peek(self) -> str:
        """Return the next token, or the empty string at the end."""
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        """Return the next token and step over it."""
        token = self.peek()
        self.at += 1
        return token

    def fail(self, expected: str) -> NoReturn:
        """Raise a ConfigError about the next token."""
        before = " ".join(self.tokens[: self.at])
        place = f"after {short_repr(before)}" if before else "at the beginning"
        actual = short_repr(self.peek()) if self.peek() else "the end"
        raise _error(f"{short_repr(self.text)} needs {expected} {place}, not {actual}", _EXAMPLE)


def _error(message: str, hint: str) -> ConfigError:
    return ConfigError(message, path="sweep.objective", hint=hint, code=codes.INVALID_OBJECTIVE)


def _default_direction(metric: str) -> Literal["max", "min"]:
    return "max" if METRICS[metric].better == "higher" else "min"


def parse_objective(text: str) -> Objective:
    """Read an objective.

    Args:
        text: ``[min|max] METRIC [where METRIC OPERATOR NUMBER [and ...]]``. Without ``min`` or ``max``, the direction
            is the better one of the metric.

    Raises:
        ConfigError: The text is wrong; the message names the wrong word and what is allowed there.
    """
    tokens = _Tokens(text)
    direction: Literal["max", "min"] | None = None
    if tokens.peek() in ("min", "max"):
        direction = "max" if tokens.take() == "max" else "min"
    metric = _metric(tokens)
    conditions = []
    if tokens.peek():
        if tokens.peek() != "where":
            tokens.fail("'where' or the end")
        tokens.take()
        conditions.append(_condition(tokens))
        while tokens.peek():
            if tokens.peek() != "and":
                tokens.fail("'and' or the end")
            tokens.take()
            conditions.append(_condition(tokens))
    return Objective(metric, direction or _default_direction(metric), tuple(conditions))


def _metric(tokens: _Tokens) -> str:
    word = tokens.peek()
    if not word or word in ("where", "and") or word in _OPERATORS:
        tokens.fail("a metric")
    if word not in METRICS:
        raise _error(
            f"unknown metric {short_repr(word)}{did_you_mean(word, METRICS)}", f"metrics: {', '.join(METRICS)}"
        )
    return tokens.take()


def _condition(tokens: _Tokens) -> Condition:
    metric = _metric(tokens)
    if tokens.peek() not in _OPERATORS:
        tokens.fail(f"one of {' '.join(_OPERATORS)}")
    sign = tokens.take()
    if not _NUMBER.fullmatch(tokens.peek()) or finite(float(tokens.peek())) is None:
        tokens.fail("a number")
    return Condition(metric, sign, float(tokens.take()))


def objective_of(report: Mapping[str, Any]) -> Objective:
    """Return the objective of a report; by default the highest speed."""
    if report.get("objective"):
        return parse_objective(report["objective"])
    return Objective(speed_metric(report["cells"]).name, "max")


# ------------------------------------------------------------------------------------------------------- ranking


def rank(cells: Iterable[Mapping[str, Any]], objective: Objective) -> list[Ranked]:
    """Rank cells.

    Args:
        cells: Cells of a report.
        objective: The objective.

    Returns:
        All cells: first those that meet the conditions, by rank, then by their median; then those that violate one;
        then those that failed. Equally good cells keep their order.
    """
    cells = list(cells)
    done = [(cell, _violations(cell, objective)) for cell in cells if cell["status"] == "ok"]
    done.sort(key=lambda pair: _sort_key(pair[0], objective))
    fit = _with_ranks([cell for cell, violations in done if not violations], objective)
    unfit = [Ranked(cell, None, violations) for cell, violations in done if violations]
    return fit + unfit + [Ranked(cell, None) for cell in cells if cell["status"] != "ok"]


def _with_ranks(cells: Sequence[Mapping[str, Any]], objective: Objective) -> list[Ranked]:
    sign = 1 if objective.direction == "max" else -1
    bounds = [sorted(sign * end for end in interval(cell, objective.metric) or ()) for cell in cells]
    lows = sorted(low for low, _ in bounds)
    ranks = (1 + len(lows) - bisect.bisect_right(lows, high) for _, high in bounds)
    return sorted(map(Ranked, cells, ranks), key=lambda ranked: ranked.rank or 0)


def _sort_key(cell: Mapping[str, Any], objective: Objective) -> float:
    value = median(cell, objective.metric)
    if value is None:
        return float("inf")
    return -value if objective.direction == "max" else value


def _violations(cell: Mapping[str, Any], objective: Objective) -> tuple[str, ...]:
    """Return the reasons why a cell has no rank, as short texts."""
    unknown = [] if median(cell, objective.metric) is not None else [f"{METRICS[objective.metric].title} not measured"]
    values = [(condition, median(cell, condition.metric)) for condition in objective.conditions]
    violated = [
        condition.violation(value) for condition, value in values if value is None or not condition.holds(value)
    ]
    return tuple(dict.fromkeys(unknown + violated))


def pareto(cells: Iterable[Mapping[str, Any]], x: str = "steady_fps", y: str = "psnr_y") -> set[str]:
    """Return the ids of the cells on the Pareto front of two metrics.

    Args:
        cells: Cells of a report.
        x: Name of the first metric.
        y: Name of the second metric.

    Returns:
        The cells for which no other cell is better in one metric and at least as good in the other.
    """
    points = [
        (cell["id"], METRICS[x].sign() * first, METRICS[y].sign() * second)
        for cell in cells
        if cell["status"] == "ok" and (first := median(cell, x)) is not None and (second := median(cell, y)) is not None
    ]
    return {name for name, *point in points if not any(_dominates(other, point) for _, *other in points)}


def _dominates(point: Sequence[float], other: Sequence[float]) -> bool:
    return point != other and all(value >= bound for value, bound in zip(point, other, strict=True))
