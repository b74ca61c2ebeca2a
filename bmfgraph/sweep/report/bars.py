"""Compute the bars of a sweep's page; the page stretches them to its width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bmfgraph.sweep.metrics import METRICS, Metric, finite, median
from bmfgraph.sweep.report.text import variant
from bmfgraph.sweep.verdict import Verdict

__all__ = ["Bar", "Piece", "latency_bars", "metric_bars", "node_bars"]

_COLORS = 8
"""Number of node colours in the style sheet; the last one is shared by the rest."""
_LATENCIES = {"latency_p99_ms": "p99", "latency_p95_ms": "p95", "latency_p50_ms": "p50"}
"""Metric -> style class."""


@dataclass(frozen=True)
class Piece:
    """A part of a bar. ``start`` and ``length`` are shares of the longest bar."""

    kind: str
    """Style class."""
    start: float
    length: float
    title: str


@dataclass(frozen=True)
class Bar:
    """The bar of one cell, between the name of the cell and a number."""

    name: str
    won: bool
    pieces: tuple[Piece, ...]
    text: str


def metric_bars(verdict: Verdict, metric: Metric) -> list[Bar]:
    """Return a plain bar for each cell that has the metric, best cell first."""
    rows = [(ranked.cell, median(ranked.cell, metric.name)) for ranked in verdict.order]
    known = [(cell, value) for cell, value in rows if value is not None]
    longest = max((value for _, value in known), default=0) or 1
    return [
        _bar(verdict, cell, [Piece("plain", 0, value / longest, metric.full(value))], metric.full(value))
        for cell, value in known
    ]


def latency_bars(verdict: Verdict) -> list[Bar]:
    """Return the latency percentiles of each cell, drawn over each other, the longest behind."""
    rows = []
    for ranked in verdict.order:
        values = [(METRICS[name], kind, median(ranked.cell, name)) for name, kind in _LATENCIES.items()]
        known = [(metric, kind, value) for metric, kind, value in values if value is not None]
        if known:
            rows.append((ranked.cell, known))
    longest = max((value for _, known in rows for *_, value in known), default=0) or 1
    bars = []
    for cell, known in rows:
        pieces = [
            Piece(kind, 0, value / longest, f"{metric.title} {metric.full(value)}") for metric, kind, value in known
        ]
        text = " / ".join(metric.text(value) for metric, _, value in reversed(known))
        bars.append(_bar(verdict, cell, pieces, f"{text} ms"))
    return bars


def node_bars(verdict: Verdict) -> tuple[list[Bar], list[tuple[str, str]]]:
    """Compute the time of each node, in ms per frame.

    Returns:
        A bar for each cell with the times of its nodes one after the other, and the legend: style class and node name
        in the order of the pipeline.
    """
    rows = [(ranked.cell, _times(ranked.cell)) for ranked in verdict.order if ranked.cell["status"] == "ok"]
    rows = [(cell, times) for cell, times in rows if times]
    names = list(dict.fromkeys(name for _, times in rows for name in times))
    slowest_first = sorted(names, key=lambda name: -max(times.get(name, 0) for _, times in rows))
    colored = names if len(names) <= _COLORS else [name for name in names if name in slowest_first[: _COLORS - 1]]
    kinds = {name: f"n{number}" for number, name in enumerate(colored)}
    rest = f"n{_COLORS - 1}"
    longest = max((sum(times.values()) for _, times in rows), default=0) or 1
    bars = []
    for cell, times in rows:
        slowest = max(times, key=times.__getitem__)
        bars.append(_bar(verdict, cell, _pieces(times, kinds, rest, longest), f"{slowest} {times[slowest]:.1f} ms"))
    legend = [(kind, name) for name, kind in kinds.items()]
    return bars, legend + ([(rest, "other nodes")] if len(colored) < len(names) else [])


def _times(cell: Mapping[str, Any]) -> dict[str, float]:
    times = {str(node["name"]): finite(node.get("frame_ms")) for node in cell.get("nodes") or ()}
    return {name: value for name, value in times.items() if value is not None}


def _pieces(times: Mapping[str, float], kinds: Mapping[str, str], rest: str, longest: float) -> list[Piece]:
    """Put nodes with a colour of their own first, so that the shared colour is one piece."""
    pieces: list[Piece] = []
    start = 0.0
    for name in sorted(times, key=lambda name: name not in kinds):
        pieces.append(Piece(kinds.get(name, rest), start, times[name] / longest, f"{name} {times[name]:.2f} ms"))
        start += times[name] / longest
    return pieces


def _bar(verdict: Verdict, cell: Mapping[str, Any], pieces: list[Piece], text: str) -> Bar:
    return Bar(variant(cell), cell is verdict.winner, tuple(pieces), text)
