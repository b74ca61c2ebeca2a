"""Lay out the scatter plot of quality over speed: axes, dots, the Pareto front, and labels that do not overlap.

All places and sizes are in px from the top left corner of the plot.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bmfgraph.plan.views.drawing import Anchor, Point, Rect, text_width
from bmfgraph.sweep.metrics import METRICS, Metric, median, speed_metric
from bmfgraph.sweep.objective import Condition, pareto
from bmfgraph.sweep.report.text import variant
from bmfgraph.sweep.verdict import judge, quality_of
from bmfgraph.system.text import shortened

__all__ = ["SIZE", "Axis", "Dot", "Label", "Limit", "Scatter", "lay_out", "nice_ticks"]

SIZE = 12.0
"""Font size of the labels, in px."""
_RADIUS = 6.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 16.0, 30.0, 46.0
_MANY = 16
"""With more dots than this, only the winner, the reference and the Pareto front have labels."""
_BAND = 34.0
"""Height of the band above the scale for outputs that are identical to the reference, in px."""
_KINDS = ("winner", "reference", "front", "misses")
"""Kinds of dots. The first three need a label, in this order."""
_DIRECTIONS = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))
"""From a dot to its label, to the right and down; the best first."""
_ANCHORS: Mapping[int, Anchor] = {1: "start", 0: "middle", -1: "end"}


@dataclass(frozen=True)
class Axis:
    """A linear scale from ``low`` at ``start`` px to ``high`` at ``end`` px, and ``perfect`` at ``far``."""

    metric: Metric
    low: float
    high: float
    start: float
    end: float
    ticks: tuple[tuple[float, str], ...]
    perfect: float | None = None
    far: float = 0.0

    def pixel(self, value: float) -> float:
        """Return the place of a value, in px."""
        if self.perfect is not None and value >= self.perfect:
            return self.far
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


@dataclass(frozen=True)
class Dot:
    """The place of a cell. ``kinds``: those of winner, reference, front and misses that apply."""

    id: str
    x: float
    y: float
    kinds: tuple[str, ...]
    title: str

    @property
    def on_front(self) -> bool:
        return "front" in self.kinds

    @property
    def box(self) -> Rect:
        """The square around it."""
        radius = 2 * _RADIUS if "winner" in self.kinds else _RADIUS
        return Rect(self.x - radius, self.y - radius, 2 * radius, 2 * radius)


@dataclass(frozen=True)
class Label:
    """The name of a cell; ``x`` and ``y`` are the place of its anchor on the base line.

    ``lead`` is the end of the line between the dot and a label that is not next to it.
    """

    text: str
    x: float
    y: float
    anchor: Anchor
    box: Rect
    dot: Dot
    lead: Point | None


@dataclass(frozen=True)
class Limit:
    """A condition of the objective: a line from (x1, y1) to (x2, y2), and the part of the plot that it excludes."""

    text: str
    line: tuple[float, float, float, float]
    out: Rect
    label: Rect


@dataclass(frozen=True)
class Scatter:
    """The whole plot. ``front``: the corners of the Pareto front's steps, from left to right."""

    width: float
    height: float
    frame: Rect
    x: Axis
    y: Axis
    dots: tuple[Dot, ...]
    labels: tuple[Label, ...]
    front: tuple[Point, ...]
    limits: tuple[Limit, ...]

    def kinds(self) -> set[str]:
        """Return the kinds of dots that occur; the empty one is for dots of no kind."""
        return {kind for dot in self.dots for kind in dot.kinds or ("",)}


def lay_out(report: Mapping[str, Any], width: float, height: float) -> Scatter | None:
    """Lay out the plot of a report.

    Args:
        report: The report of a sweep.
        width: Width of the plot in px.
        height: Height of the plot in px.

    Returns:
        The plot, or None if no cell has both speed and quality.
    """
    speed, quality = speed_metric(report["cells"]), quality_of(report)
    if quality is None:
        return None
    verdict = judge(report)
    values = {
        ranked.cell["id"]: (pace, worth)
        for ranked in verdict.order
        if (pace := median(ranked.cell, speed.name)) is not None
        and (worth := median(ranked.cell, quality.name)) is not None
    }
    if not values:
        return None
    frame = Rect(_LEFT, _TOP, width - _LEFT - _RIGHT, height - _TOP - _BOTTOM)
    conditions = verdict.objective.conditions
    x = _axis(speed, [pace for pace, _ in values.values()], conditions, frame.x, frame.right, int(width / 110))
    # Up is better, so the scale of a metric whose lower values are better is turned round.
    ends = (frame.bottom, frame.y) if quality.better == "higher" else (frame.y, frame.bottom)
    y = _axis(quality, [worth for _, worth in values.values()], conditions, *ends, int(height / 70))
    front = pareto(report["cells"], speed.name, quality.name)
    dots, names = [], {}
    for ranked in verdict.order:
        cell = ranked.cell
        if cell["id"] not in values:
            continue
        applies = (cell is verdict.winner, cell.get("is_reference"), cell["id"] in front, ranked.violations)
        kinds = tuple(kind for kind, true in zip(_KINDS, applies, strict=True) if true)
        first, second = values[cell["id"]]
        title = f"{variant(cell)}: {speed.full(first)}, {quality.title} {quality.full(second)}"
        dots.append(Dot(cell["id"], x.pixel(first), y.pixel(second), kinds, title))
        names[cell["id"]] = shortened(variant(cell), 26)
    limits, steps = _limits(conditions, x, y, frame, dots), _steps(dots, frame)
    lines = [*pairwise(steps), *((limit.line[:2], limit.line[2:]) for limit in limits)]
    labels = _labels(dots, names, frame, [limit.label for limit in limits], [_line_box(*line) for line in lines])
    # The winner is drawn last, above the others.
    dots.sort(key=lambda dot: "winner" in dot.kinds)
    return Scatter(width, height, frame, x, y, tuple(dots), labels, steps, limits)


# ----------------------------------------------------------------------------------------------------------- axes


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Return about ``count`` round numbers from ``low`` to ``high``."""
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _axis(
    metric: Metric, values: Sequence[float], conditions: Iterable[Condition], start: float, end: float, count: int
) -> Axis:
    limits = [condition.number for condition in conditions if condition.metric == metric.name]
    perfect = _top(metric)
    near = [value for value in values if perfect is None or value < perfect]
    scale = near + [limit for limit in limits if perfect is None or limit <= perfect]
    gap = perfect is not None and len(near) < len(values) and _far(perfect, near)
    if not gap:
        scale += values
    low, high = (min(scale), max(scale)) if scale else (0.0, 0.0)
    margin = 0.1 * (high - low) if high - low > 1e-6 * abs(high) else 0.05 * abs(high) or 1.0
    bottom = 0.0 if 0 <= low < 0.4 * high else max(0.0, low - margin) if low >= 0 else low - margin
    top = high + margin
    ticks = [tick for tick in nice_ticks(bottom, top, count) if perfect is None or tick <= perfect] if scale else []
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    digits = len(f"{step:.10f}".rstrip("0").partition(".")[2])
    texts = tuple((tick, f"{tick:.{digits}f}") for tick in ticks)
    if not gap or perfect is None:
        return Axis(metric, bottom, top, start, end, texts)
    band = math.copysign(_BAND, start - end)
    texts = (*texts, (perfect, metric.text(perfect)))
    return Axis(metric, bottom, top, start, end + band, texts, perfect, end + band / 2)


def _top(metric: Metric) -> float | None:
    """Return the perfect value if it is the highest one, which may have a band of its own. A scale shows a lowest 0."""
    return metric.perfect if metric.better == "higher" else None


def _far(perfect: float, near: Sequence[float]) -> bool:
    """Return True if the perfect value is so far away that it would press the others together."""
    return not near or perfect - max(near) > 0.6 * (max(near) - min(near))


def _steps(dots: Sequence[Dot], frame: Rect) -> tuple[Point, ...]:
    """Return the corners of the front; no dot lies above or to the right of them."""
    best = sorted((dot.x, dot.y) for dot in dots if dot.on_front)
    corners = [(frame.x, best[0][1])]
    for (x, y), (_, below) in zip(best, [*best[1:], (0.0, frame.bottom)], strict=True):
        corners += [(x, y), (x, below)]
    return tuple(corners)


def _limits(conditions: Iterable[Condition], x: Axis, y: Axis, frame: Rect, dots: Sequence[Dot]) -> tuple[Limit, ...]:
    limits: list[Limit] = []
    for condition in conditions:
        perfect = _top(METRICS[condition.metric])
        axis = {x.metric.name: x, y.metric.name: y}.get(condition.metric)
        if axis is None or (perfect is not None and condition.number > perfect):
            continue
        at = axis.pixel(condition.number)
        if not (frame.x <= at <= frame.right if axis is x else frame.y <= at <= frame.bottom):
            continue
        blocked = [*(dot.box for dot in dots), *(limit.label for limit in limits)]
        limits.append(_limit(condition, at, axis is x, frame, blocked))
    return tuple(limits)


def _limit(condition: Condition, at: float, upright: bool, frame: Rect, blocked: Sequence[Rect]) -> Limit:
    """Draw a condition as a line at ``at`` px, with its label at the first free place beside the line."""
    # Whether the line excludes what is left of it or below it.
    higher = upright or METRICS[condition.metric].better == "higher"
    minimum = (condition.sign in (">", ">=")) == higher
    width, height = text_width(condition.text, SIZE), SIZE + 4
    if upright:
        left, right = (frame.x, at) if minimum else (at, frame.right)
        line, out = (at, frame.y, at, frame.bottom), Rect(left, frame.y, right - left, frame.height)
        corners = [(x, y) for y in (frame.bottom - 20, frame.y + 4) for x in (at + 6, at - 6 - width)]
    else:
        top, bottom = (at, frame.bottom) if minimum else (frame.y, at)
        line, out = (frame.x, at, frame.right, at), Rect(frame.x, top, frame.width, bottom - top)
        corners = [(x, y) for x in (frame.right - width - 6, frame.x + 6) for y in (at - 19, at + 3)]
    places = [Rect(x, y, width, height) for x, y in corners]
    free = (box for box in places if box.inside(frame) and not any(box.overlaps(other) for other in blocked))
    return Limit(condition.text, line, out, next(free, places[0]))


# --------------------------------------------------------------------------------------------------------- labels


def _line_box(start: Point, end: Point) -> Rect:
    """Return the box of a level or upright line, 1 px larger on each side."""
    left, top = min(start[0], end[0]), min(start[1], end[1])
    return Rect(left - 1, top - 1, abs(start[0] - end[0]) + 2, abs(start[1] - end[1]) + 2)


def _labels(
    dots: Sequence[Dot], names: Mapping[str, str], frame: Rect, taken: Sequence[Rect], lines: Sequence[Rect]
) -> tuple[Label, ...]:
    """Label every dot that has room for one, the most important first."""
    ranks = {dot: min((_KINDS.index(kind) for kind in dot.kinds), default=3) for dot in dots}
    labels: list[Label] = []
    for dot in sorted(dots, key=ranks.__getitem__):
        if ranks[dot] == 3 and len(dots) > _MANY:
            break
        blocked = [*taken, *(other.box for other in dots), *(label.box for label in labels)]
        label = _label(dot, names[dot.id], frame, [*blocked, *lines], dots)
        if label is None and ranks[dot] < 3:
            # An important label may cross a line.
            label = _label(dot, names[dot.id], frame, blocked, dots)
        labels += [label] if label else []
    return tuple(labels)


def _label(dot: Dot, text: str, frame: Rect, blocked: Sequence[Rect], dots: Sequence[Dot]) -> Label | None:
    for label in _places(dot, text):
        free = label.box.inside(frame) and not any(label.box.overlaps(other) for other in blocked)
        if free and not (label.lead and _crosses(label.lead, dot, dots)):
            return label
    return None


def _crosses(lead: Point, dot: Dot, dots: Sequence[Dot]) -> bool:
    """Return True if the line from a dot to its label crosses another dot."""
    points = [(dot.x + (lead[0] - dot.x) * part / 8, dot.y + (lead[1] - dot.y) * part / 8) for part in range(9)]
    return any(other.box.overlaps(Rect(*point, 0.0, 0.0)) for other in dots if other is not dot for point in points)


def _places(dot: Dot, text: str) -> Iterable[Label]:
    """Yield the labels that a dot can have, the best first; those further away have a lead line."""
    width, height = text_width(text, SIZE, bold="winner" in dot.kinds), SIZE + 2
    near = 2 * _RADIUS + (4 if "winner" in dot.kinds else 0)
    for distance in (near, near + 12, near + 28):
        for right, down in _DIRECTIONS:
            reach = 0.7 * distance if right and down else distance
            x, y = dot.x + right * reach, dot.y + down * reach
            box = Rect(x - width * (1 - right) / 2, y - height * (1 - down) / 2, width, height)
            lead = (dot.x + right * (reach - 2), dot.y + down * (reach - 2)) if distance > near else None
            yield Label(text, x, box.y + SIZE, _ANCHORS[right], box, dot, lead)
