"""The drawings of a sweep's page, as inline SVG: quality over speed, and bars that stretch with the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bmfgraph.sweep.metrics import METRICS, Metric, finite, median
from bmfgraph.sweep.report.markup import Html, joined, tag
from bmfgraph.sweep.report.scatter import SIZE, Axis, Dot, Label, Limit, Scatter
from bmfgraph.sweep.report.text import variant
from bmfgraph.sweep.verdict import Verdict

__all__ = ["Bar", "bar_list", "latency_bars", "legend_list", "metric_bars", "node_bars", "point_keys", "scatter_svg"]

_COLORS = 8
"""How many nodes have a colour of their own, in the style sheet; the last one is for all the rest."""
_LATENCIES = ("latency_p99_ms", "latency_p95_ms", "latency_p50_ms")


# ----------------------------------------------------------------------------------------------- quality over speed


def scatter_svg(plot: Scatter, class_: str) -> Html:
    """The plot as one ``svg`` element."""
    frame, x, y = plot.frame, plot.x, plot.y
    best = sum("front" in dot.kinds for dot in plot.dots)
    about = f"{y.metric.title} over {x.metric.title}: {len(plot.dots)} variants, {best} on the Pareto front."
    way = "L".join(f"{left:.1f} {top:.1f}" for left, top in plot.front)
    return tag(
        "svg",
        tag("title", about),
        *map(_out, plot.limits),
        *_x_axis(x, plot),
        *_y_axis(y, plot),
        tag("path", class_="steps", d=f"M{way}"),
        *map(_limit, plot.limits),
        *(tag("path", class_="lead", d=_lead(label)) for label in plot.labels if label.lead),
        # The winner lies above the others.
        *map(_dot, sorted(plot.dots, key=lambda dot: "winner" in dot.kinds)),
        *map(_label, plot.labels),
        tag("rect", class_="frame", x=frame.x, y=frame.y, width=frame.width, height=frame.height),
        class_=f"plot {class_}",
        viewBox=f"0 0 {plot.width:g} {plot.height:g}",
        role="img",
        aria_label=about,
    )


def _x_axis(axis: Axis, plot: Scatter) -> Iterable[Html]:
    frame = plot.frame
    bottom = frame.y + frame.height
    for value, text in axis.ticks:
        at = axis.at(value)
        yield tag("line", class_="grid", x1=at, y1=frame.y, x2=at, y2=bottom)
        yield tag("text", text, class_="tick", x=at, y=bottom + 18, text_anchor="middle")
    yield tag(
        "text", _title(axis.metric, "→"), class_="axis", x=frame.x + frame.width, y=bottom + 38, text_anchor="end"
    )


def _y_axis(axis: Axis, plot: Scatter) -> Iterable[Html]:
    frame = plot.frame
    for value, text in axis.ticks:
        at, kind = axis.at(value), "grid gap" if value == axis.perfect else "grid"
        yield tag("line", class_=kind, x1=frame.x, y1=at, x2=frame.x + frame.width, y2=at)
        yield tag("text", text, class_="tick", x=frame.x - 8, y=at + 4, text_anchor="end")
    yield tag("text", _title(axis.metric, "↑"), class_="axis", x=4.0, y=14.0)
    if axis.perfect is not None:
        # Two strokes where the scale is cut.
        for top in (axis.end - 2, axis.end + 2):
            yield tag("path", class_="cut", d=f"M{frame.x - 5:g} {top + 3:g}L{frame.x + 5:g} {top - 3:g}")


def _title(metric: Metric, arrow: str) -> str:
    return f"{arrow} {metric.title}{f', {metric.unit}' if metric.unit else ''}"


def _out(limit: Limit) -> Html:
    return tag("rect", class_="out", x=limit.out.x, y=limit.out.y, width=limit.out.width, height=limit.out.height)


def _limit(limit: Limit) -> Html:
    x1, y1, x2, y2 = limit.line
    line = tag("line", class_="limit", x1=x1, y1=y1, x2=x2, y2=y2)
    return joined([line, tag("text", limit.text, class_="limit-text", x=limit.label.x, y=limit.label.y + SIZE)])


def _dot(dot: Dot) -> Html:
    ring = [tag("circle", class_="ring", cx=dot.x, cy=dot.y, r=11)] if "winner" in dot.kinds else []
    shape = (
        tag("path", d=f"M{dot.x:.1f} {dot.y - 7:.1f}l7 7l-7 7l-7 -7Z")
        if "reference" in dot.kinds
        else tag("circle", cx=dot.x, cy=dot.y, r=6 if "winner" in dot.kinds else 5)
    )
    return tag(
        "g",
        tag("title", dot.title),
        *ring,
        shape,
        class_=" ".join(("dot", *dot.kinds)).rstrip(),
        data_id=dot.id or None,
    )


def _lead(label: Label) -> str:
    x, y = label.lead or (0.0, 0.0)
    return f"M{label.dot.x:.1f} {label.dot.y:.1f}L{x:.1f} {y:.1f}"


def _label(label: Label) -> Html:
    box, kind = label.box, "label winner" if "winner" in label.dot.kinds else "label"
    # On the side of the dot, so that a font that is narrower than thought leaves no gap.
    if box.x > label.dot.x:
        return tag("text", label.text, class_=kind, x=box.x, y=box.y + SIZE)
    if box.x + box.width < label.dot.x:
        return tag("text", label.text, class_=kind, x=box.x + box.width, y=box.y + SIZE, text_anchor="end")
    return tag("text", label.text, class_=kind, x=box.x + box.width / 2, y=box.y + SIZE, text_anchor="middle")


# ------------------------------------------------------------------------------------------------------------ bars


@dataclass(frozen=True)
class Bar:
    """A cell's bar: pieces of (style class, begin, length, tooltip), lengths as shares of the greatest bar."""

    name: str
    won: bool
    pieces: tuple[tuple[str, float, float, str], ...]
    text: str


def bar_list(bars: Iterable[Bar], label: str) -> Html:
    """The bars under each other, each between its name and its number."""
    return tag("ol", *map(_bar, bars), class_="bars", aria_label=label)


def _bar(bar: Bar) -> Html:
    pieces = [
        tag(
            "rect",
            tag("title", title),
            class_=kind,
            x=f"{100 * begin:.2f}%",
            width=f"{100 * length:.2f}%",
            height="100%",
        )
        for kind, begin, length, title in bar.pieces
    ]
    drawing = tag("svg", *pieces, role="img", aria_label="; ".join(title for *_, title in bar.pieces))
    name = tag("span", bar.name, class_="name", title=bar.name)
    return tag("li", name, drawing, tag("span", bar.text, class_="number"), class_="won" if bar.won else None)


def metric_bars(verdict: Verdict, metric: Metric) -> list[Bar]:
    """One plain bar for each cell that has the metric."""
    values = [(one.cell, median(one.cell, metric.name)) for one in verdict.order]
    maximum = max((value for _, value in values if value is not None), default=0) or 1
    return [
        Bar(
            variant(cell),
            cell is verdict.winner,
            (("plain", 0, value / maximum, metric.full(value)),),
            metric.full(value),
        )
        for cell, value in values
        if value is not None
    ]


def latency_bars(verdict: Verdict) -> list[Bar]:
    """The percentiles over each other, the longest behind."""
    rows = []
    for one in verdict.order:
        values = [(METRICS[name], median(one.cell, name)) for name in _LATENCIES]
        known = [(metric, value) for metric, value in values if value is not None]
        if known:
            rows.append((one.cell, known))
    maximum = max((value for _, known in rows for _, value in known), default=0) or 1
    return [
        Bar(
            variant(cell),
            cell is verdict.winner,
            tuple(
                (metric.name[8:11], 0, value / maximum, f"{metric.title} {metric.full(value)}")
                for metric, value in known
            ),
            " / ".join(metric.text(value) for metric, value in reversed(known)) + " ms",
        )
        for cell, known in rows
    ]


def node_bars(verdict: Verdict) -> tuple[list[Bar], list[tuple[str, str]]]:
    """Every cell's nodes in a row, in ms a frame; and the legend, (style class, node), in the pipeline's order."""
    rows = [(one.cell, _times(one.cell)) for one in verdict.order if one.cell["status"] == "ok"]
    rows = [(cell, times) for cell, times in rows if times]
    names = list(dict.fromkeys(name for _, times in rows for name in times))
    slow = sorted(names, key=lambda name: -max(times.get(name, 0) for _, times in rows))
    own = names if len(names) <= _COLORS else [name for name in names if name in slow[: _COLORS - 1]]
    kinds = {name: f"n{number}" for number, name in enumerate(own)}
    maximum = max((sum(times.values()) for _, times in rows), default=0) or 1
    bars = [
        Bar(variant(cell), cell is verdict.winner, _pieces(times, kinds, maximum), _slowest(times))
        for cell, times in rows
    ]
    legend = [(kind, name) for name, kind in kinds.items()]
    return bars, legend + ([(f"n{_COLORS - 1}", "other nodes")] if len(own) < len(names) else [])


def _times(cell: Mapping[str, Any]) -> dict[str, float]:
    found = {str(node["name"]): finite(node.get("frame_ms")) for node in cell.get("nodes") or ()}
    return {name: value for name, value in found.items() if value is not None}


def _pieces(
    times: Mapping[str, float], kinds: Mapping[str, str], maximum: float
) -> tuple[tuple[str, float, float, str], ...]:
    rest = [name for name in times if name not in kinds]
    pieces: list[tuple[str, float, float, str]] = []
    begin = 0.0
    for name in [*(name for name in times if name in kinds), *rest]:
        pieces.append(
            (kinds.get(name, f"n{_COLORS - 1}"), begin, times[name] / maximum, f"{name} {times[name]:.2f} ms")
        )
        begin += times[name] / maximum
    return tuple(pieces)


def _slowest(times: Mapping[str, float]) -> str:
    name = max(times, key=lambda name: times[name])
    return f"{name} {times[name]:.1f} ms"


def legend_list(entries: Sequence[tuple[str, str]]) -> Html:
    """What the colours stand for."""
    items = [
        tag("li", tag("svg", tag("rect", class_=kind, width="100%", height="100%"), aria_hidden="true"), text)
        for kind, text in entries
    ]
    return tag("ul", *items, class_="legend")


def point_keys(plot: Scatter) -> Html:
    """What the points of this plot stand for."""
    said = {
        "winner": "winner",
        "reference": "reference",
        "front": "on the Pareto front",
        "misses": "misses a condition",
        "": "beaten by another",
    }
    there = {kind for dot in plot.dots for kind in dot.kinds or ("",)}
    dots = [Dot("", 13, 12, (kind,), text) for kind, text in said.items() if kind in there]
    items = [tag("li", tag("svg", _dot(dot), viewBox="0 0 26 24", aria_hidden="true"), dot.title) for dot in dots]
    return tag("ul", *items, class_="keys")
