"""Where everything lies in the plot of quality over speed: axes, points, the Pareto front, labels that keep apart."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bmfgraph.sweep.metrics import METRICS, Metric, median, speed_metric
from bmfgraph.sweep.objective import Condition, pareto
from bmfgraph.sweep.report.text import shortened, variant
from bmfgraph.sweep.verdict import judge, quality_of

__all__ = ["Axis", "Box", "Dot", "Label", "Limit", "Scatter", "lay_out", "nice_ticks", "text_width"]

SIZE = 12.0
"""Of the labels' font, in pixels."""
_RADIUS = 6.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 16.0, 30.0, 46.0
_MANY = 16
"""With more dots than this, those that are neither best nor reference have no label."""
_BAND = 34.0
"""Height of the strip above the scale that outputs identical to the reference have to themselves."""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, from its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    def meets(self, other: Box) -> bool:
        """Whether the two have a part in common."""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )

    def inside(self, other: Box) -> bool:
        """Whether the other holds all of it."""
        return (
            other.x <= self.x
            and other.y <= self.y
            and self.x + self.width <= other.x + other.width
            and self.y + self.height <= other.y + other.height
        )


@dataclass(frozen=True)
class Axis:
    """Values to pixels: ``low`` lies at ``start``, ``high`` at ``end``; beyond a gap lies ``perfect`` at ``far``."""

    metric: Metric
    low: float
    high: float
    start: float
    end: float
    ticks: tuple[tuple[float, str], ...]
    perfect: float | None = None
    far: float = 0.0

    def at(self, value: float) -> float:
        """The pixel of a value."""
        if self.perfect is not None and value >= self.perfect:
            return self.far
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


@dataclass(frozen=True)
class Dot:
    """A cell's place. ``kinds``: winner, reference, front, misses."""

    id: str
    x: float
    y: float
    kinds: tuple[str, ...]
    title: str


@dataclass(frozen=True)
class Label:
    """A text beside its dot; ``lead`` is where a line to the dot begins, if the two are not neighbours."""

    text: str
    box: Box
    dot: Dot
    lead: tuple[float, float] | None = None


@dataclass(frozen=True)
class Limit:
    """A condition of the objective as a line, and the part of the plot that it rules out."""

    text: str
    line: tuple[float, float, float, float]
    out: Box
    label: Box


@dataclass(frozen=True)
class Scatter:
    """All of the plot, in pixels."""

    width: float
    height: float
    frame: Box
    x: Axis
    y: Axis
    dots: tuple[Dot, ...]
    labels: tuple[Label, ...]
    front: tuple[tuple[float, float], ...]
    """The corners of the front's steps, from left to right."""
    limits: tuple[Limit, ...]


def lay_out(report: Mapping[str, Any], width: float, height: float) -> Scatter | None:
    """The plot in that size, or None where no cell has both speed and quality."""
    speed, quality = speed_metric(report["cells"]), quality_of(report)
    if quality is None:
        return None
    verdict = judge(report)
    points = [
        (one, first, second)
        for one in verdict.order
        if one.cell["status"] == "ok"
        and (first := median(one.cell, speed.name)) is not None
        and (second := median(one.cell, quality.name)) is not None
    ]
    if not points:
        return None
    frame = Box(_LEFT, _TOP, width - _LEFT - _RIGHT, height - _TOP - _BOTTOM)
    conditions = verdict.objective.conditions
    x = _axis(speed, [x for _, x, _ in points], conditions, frame.x, frame.x + frame.width, int(width / 110))
    y = _axis(quality, [y for _, _, y in points], conditions, frame.y + frame.height, frame.y, int(height / 70))
    best = pareto(report["cells"], speed.name, quality.name)
    dots = []
    for one, first, second in points:
        is_kind = {
            "winner": one.cell is verdict.winner,
            "reference": bool(one.cell.get("is_reference")),
            "front": one.cell["id"] in best,
            "misses": bool(one.violations),
        }
        title = f"{variant(one.cell)}: {speed.full(first)}, {quality.title} {quality.full(second)}"
        kinds = tuple(kind for kind, true in is_kind.items() if true)
        dots.append(Dot(one.cell["id"], x.at(first), y.at(second), kinds, title))
    names = {one.cell["id"]: shortened(variant(one.cell), 26) for one, _, _ in points}
    limits, steps = _limits(conditions, x, y, frame, dots), _steps(dots, frame)
    lines = [*pairwise(steps), *((limit.line[:2], limit.line[2:]) for limit in limits)]
    labels = _labels(dots, names, frame, [limit.label for limit in limits], [_span(*line) for line in lines])
    return Scatter(width, height, frame, x, y, tuple(dots), labels, steps, limits)


# ----------------------------------------------------------------------------------------------------------- axes


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """About so many round numbers from low to high."""
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _axis(
    metric: Metric, values: Sequence[float], conditions: Iterable[Condition], start: float, end: float, count: int
) -> Axis:
    limits = [condition.number for condition in conditions if condition.metric == metric.name]
    perfect = metric.perfect
    near = [value for value in values if perfect is None or value < perfect]
    scale = near + [limit for limit in limits if perfect is None or limit <= perfect]
    gap = perfect is not None and len(near) < len(values) and _far(perfect, near)
    if not gap:
        scale += values
    low, high = (min(scale), max(scale)) if scale else (0.0, 0.0)
    margin = 0.1 * (high - low) if high - low > 1e-6 * abs(high) else 0.05 * abs(high) or 1.0
    bottom = 0.0 if 0 <= low < 0.4 * high else max(0.0, low - margin) if low >= 0 else low - margin
    top = high + margin
    far = end + math.copysign(_BAND / 2, start - end)
    end = end + math.copysign(_BAND, start - end) if gap else end
    ticks = nice_ticks(bottom, top, count) if scale else []
    ticks = [tick for tick in ticks if perfect is None or tick <= perfect]
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    digits = len(f"{step:.10f}".rstrip("0").partition(".")[2])
    texts = tuple((tick, f"{tick:.{digits}f}") for tick in ticks)
    if gap and perfect is not None:
        return Axis(metric, bottom, top, start, end, (*texts, (perfect, metric.text(perfect))), perfect, far)
    return Axis(metric, bottom, top, start, end, texts)


def _far(perfect: float, near: Sequence[float]) -> bool:
    """Whether the perfect value is so far from the others that it would press them together."""
    return not near or perfect - max(near) > 0.6 * (max(near) - min(near))


def _steps(dots: Sequence[Dot], frame: Box) -> tuple[tuple[float, float], ...]:
    """What the front's cells leave undominated lies above and right of these corners."""
    best = sorted((dot.x, dot.y) for dot in dots if "front" in dot.kinds)
    corners = [(frame.x, best[0][1])]
    for (x, y), (_, below) in zip(best, [*best[1:], (0.0, frame.y + frame.height)], strict=True):
        corners += [(x, y), (x, below)]
    return tuple(corners)


def _limits(conditions: Iterable[Condition], x: Axis, y: Axis, frame: Box, dots: Sequence[Dot]) -> tuple[Limit, ...]:
    right, bottom = frame.x + frame.width, frame.y + frame.height
    found: list[Limit] = []
    for condition in conditions:
        text, minimum = condition.text, condition.sign in (">", ">=")
        perfect = METRICS[condition.metric].perfect
        if perfect is not None and condition.number > perfect:
            continue
        width = text_width(text)
        if condition.metric == y.metric.name and frame.y <= (at := y.at(condition.number)) <= bottom:
            out = (
                Box(frame.x, at, frame.width, bottom - at)
                if minimum
                else Box(frame.x, frame.y, frame.width, at - frame.y)
            )
            line = (frame.x, at, right, at)
            places = [
                Box(left, above, width, SIZE + 4)
                for left in (right - width - 6, frame.x + 6)
                for above in (at - 19, at + 3)
            ]
        elif condition.metric == x.metric.name and frame.x <= (at := x.at(condition.number)) <= right:
            out = (
                Box(frame.x, frame.y, at - frame.x, frame.height)
                if minimum
                else Box(at, frame.y, right - at, frame.height)
            )
            line = (at, frame.y, at, bottom)
            places = [
                Box(left, above, width, SIZE + 4)
                for above in (bottom - 20, frame.y + 4)
                for left in (at + 6, at - 6 - width)
            ]
        else:
            continue
        free = [box for box in places if box.inside(frame) and not any(box.meets(_around(dot)) for dot in dots)]
        free = [box for box in free if not any(box.meets(limit.label) for limit in found)]
        found.append(Limit(text, line, out, (free or places)[0]))
    return tuple(found)


# --------------------------------------------------------------------------------------------------------- labels


def text_width(text: str, size: float = SIZE) -> float:
    """How wide a text is at most in the usual sans-serif fonts, in pixels."""
    return size * sum(_share(letter) for letter in text)


def _share(letter: str) -> float:
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.05
    if letter in "ilj.,:;'|!·() ":
        return 0.36
    return 0.95 if letter in "mwMW@%" else 0.7 if letter.isupper() else 0.6


def _span(one: tuple[float, float], other: tuple[float, float]) -> Box:
    """A line that is level or upright, with a little air."""
    left, top = min(one[0], other[0]), min(one[1], other[1])
    return Box(left - 1, top - 1, abs(one[0] - other[0]) + 2, abs(one[1] - other[1]) + 2)


def _around(dot: Dot) -> Box:
    radius = 2 * _RADIUS if "winner" in dot.kinds else _RADIUS
    return Box(dot.x - radius, dot.y - radius, 2 * radius, 2 * radius)


def _labels(
    dots: Sequence[Dot], names: Mapping[str, str], frame: Box, taken: Sequence[Box], lines: Sequence[Box]
) -> tuple[Label, ...]:
    """A label for every dot that has room for one; what matters most is served first, and alone where dots are many."""
    weight = {"winner": 0, "reference": 1, "front": 2}
    weights = {dot: min((weight.get(kind, 3) for kind in dot.kinds), default=3) for dot in dots}
    labels: list[Label] = []
    for dot in sorted(dots, key=weights.__getitem__):
        if weights[dot] == 3 and len(dots) > _MANY:
            break
        blocked = [*taken, *map(_around, dots), *(label.box for label in labels)]
        label = _label(dot, names[dot.id], frame, [*blocked, *lines], dots)
        if label is None and weights[dot] < 3:
            # Better over a line than none.
            label = _label(dot, names[dot.id], frame, blocked, dots)
        labels += [label] if label else []
    return tuple(labels)


def _label(dot: Dot, text: str, frame: Box, blocked: Sequence[Box], dots: Sequence[Dot]) -> Label | None:
    for box, lead in _places(dot, text_width(text), SIZE + 2):
        free = box.inside(frame) and not any(box.meets(other) for other in blocked)
        if free and not (lead and _crosses(lead, dot, dots)):
            return Label(text, box, dot, lead)
    return None


def _crosses(lead: tuple[float, float], dot: Dot, dots: Sequence[Dot]) -> bool:
    """Whether the line from a dot to its label runs over another dot."""
    spots = [(dot.x + (lead[0] - dot.x) * part / 8, dot.y + (lead[1] - dot.y) * part / 8) for part in range(9)]
    return any(_around(other).meets(Box(*spot, 0.0, 0.0)) for other in dots if other is not dot for spot in spots)


def _places(dot: Dot, width: float, height: float) -> Iterable[tuple[Box, tuple[float, float] | None]]:
    """Where a label may stand, the best place first; from further away a line leads to the dot."""
    for distance in (12.0, 24.0, 40.0):
        for right, down in ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1)):
            slant = 0.7 if right and down else 1.0
            x = dot.x + right * distance * slant - (width if right < 0 else width / 2 if right == 0 else 0)
            y = dot.y + down * distance * slant - (height if down < 0 else height / 2 if down == 0 else 0)
            edge = (dot.x + right * (distance * slant - 2), dot.y + down * (distance * slant - 2))
            yield Box(x, y, width, height), edge if distance > 12 else None
