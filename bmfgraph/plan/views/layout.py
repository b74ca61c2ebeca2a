"""Place the blocks of a graph and route its edges, from left to right, and in rows where there are many layers.

Rows keep a wide graph readable on a page. Between two layers, the labels of the edges come first, then the bends,
then the arrows. So no label covers a block, another label or a bend. All sizes are in px.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bmfgraph.plan.views.drawing import Point, Rect, straight
from bmfgraph.plan.views.layers import (
    Block,
    Edge,
    Layer,
    Segment,
    Vertex,
    assign_coordinates,
    assign_layers,
    reduce_crossings,
)

__all__ = ["LABEL_GAP", "MAX_WIDTH", "Block", "Edge", "Layout", "lay_out"]

MAX_WIDTH = 1640.0
"""Layers that would exceed this width begin a new row."""
LABEL_GAP = 8.0
"""Distance between a block and the label of an edge."""
_ARROW, _TRACK, _MIN_SPACE = 22.0, 12.0, 52.0
"""Parts of the space between two layers: the arrow, each further track; and the minimum of the whole space."""
_ROW_GAP = 44.0

_Output = tuple[Vertex, float]
"""A vertex and its port. The edges of one output share their route as far as they can."""


@dataclass(frozen=True)
class Layout:
    """The result: the rectangle of every block by name, the route of every edge in order, and the whole size."""

    boxes: dict[str, Rect]
    paths: tuple[tuple[Point, ...], ...]
    width: float
    height: float

    def moved(self, right: float, down: float) -> Layout:
        """Return the layout, moved by that many px."""
        boxes = {name: replace(box, x=box.x + right, y=box.y + down) for name, box in self.boxes.items()}
        paths = tuple(tuple((x + right, y + down) for x, y in path) for path in self.paths)
        return replace(self, boxes=boxes, paths=paths)


def lay_out(blocks: Sequence[Block], edges: Sequence[Edge], *, max_width: float = MAX_WIDTH) -> Layout:
    """Place the blocks and route the edges of a graph without cycles.

    Args:
        blocks: In topological order.
        edges: Between those blocks.
        max_width: The width of a row in px; a single layer may exceed it.

    Returns:
        The layout, with its top left corner at (0, 0).
    """
    layers, segments = assign_layers(blocks, edges)
    reduce_crossings(layers)
    columns = [_Column(layer) for layer in layers]
    rows = [_Row(columns[start:end]) for start, end in _row_ranges([column.max_width for column in columns], max_width)]
    tracks = max((len(row.outputs) for row in rows[:-1]), default=0)
    left = _TRACK * (tracks - 1) + _ARROW if tracks else 0.0
    height = 0.0
    for row in rows:
        height = row.place(left, height)
    boxes = {
        vertex.block.name: Rect(column.left, vertex.y, column.width, vertex.height)
        for column in columns
        for vertex in column.layer
        if vertex.block
    }
    routes = {segment: route for row in rows for segment, route in row.routes(columns).items()}
    paths = tuple(straight([point for segment in edge for point in routes[segment]]) for edge in segments)
    return Layout(boxes, paths, max((row.right for row in rows), default=0.0), height)


def _row_ranges(widths: list[float], max_width: float) -> list[tuple[int, int]]:
    """Split the layers into as few rows as needed, of about the same width: first layer and end of each row."""
    total = sum(widths)
    share = total / max(1, math.ceil(total / max_width))
    ranges, start, used = [], 0, 0.0
    for index, width in enumerate(widths):
        if index > start and used + width / 2 > share:
            ranges.append((start, index))
            start, used = index, 0.0
        used += width
    return [*ranges, (start, len(widths))] if widths else []


class _Column:
    """A layer and the space to its right, in which its edges bend on tracks."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.segments = [segment for vertex in layer for segment in vertex.outgoing]
        self.width = max((vertex.block.width for vertex in layer if vertex.block), default=0.0)
        self.label_width = max(
            (segment.edge.label_width for segment in self.segments if segment.source.block), default=0.0
        )
        self.tracks: dict[_Output, int] = {}
        self.left = 0.0

    @property
    def max_width(self) -> float:
        """The width with its space if every output needs a track."""
        return self.width + self._space(len({_output(segment) for segment in self.segments}))

    @property
    def right(self) -> float:
        return self.left + self.width

    def space(self) -> float:
        """Return the width of the space to the right."""
        return self._space(max(self.tracks.values(), default=0) + 1)

    def _space(self, tracks: int) -> float:
        if not self.segments:
            return 0.0
        return max(_MIN_SPACE, 2 * LABEL_GAP + self.label_width + _TRACK * (tracks - 1) + _ARROW)

    def track_x(self, track: int) -> float:
        return self.right + 2 * LABEL_GAP + self.label_width + _TRACK * track

    def route(self, segment: Segment, target: float) -> list[Point]:
        """Route a segment to the next layer, whose left edge is at ``target``."""
        bend = self.track_x(self.tracks.get(_output(segment), 0))
        return [(self.right, segment.start_y), (bend, segment.start_y), (bend, segment.end_y), (target, segment.end_y)]

    def assign_tracks(self) -> None:
        """Give each output that bends a track where it meets no other output, in an order with few crossings.

        Two outputs that exchange their heights exactly, which is rare, still share a few px.
        """
        ends: dict[_Output, list[float]] = {}
        for segment in self.segments:
            if segment.start_y != segment.end_y:
                ends.setdefault(_output(segment), []).append(segment.end_y)
        spans = {output: (min(_start_y(output), *to), max(_start_y(output), *to)) for output, to in ends.items()}

        def key(output: _Output) -> tuple[bool, float]:
            down = spans[output][1] > _start_y(output)
            return not down, -_start_y(output) if down else _start_y(output)

        order: list[_Output] = []
        for output in sorted(ends, key=key):
            # An output that starts where another one ends would cover it; an earlier track keeps them apart.
            before = (index for index, other in enumerate(order) if _start_y(output) in ends[other])
            order.insert(next(before, len(order)), output)
        for output in order:
            low, high = spans[output]
            met = [track for other, track in self.tracks.items() if spans[other][0] <= high and low <= spans[other][1]]
            self.tracks[output] = max(met, default=-1) + 1


def _output(segment: Segment) -> _Output:
    return segment.source, segment.source_port


def _start_y(output: _Output) -> float:
    return output[0].y + output[1]


class _Row:
    """Neighbouring layers that lie side by side."""

    def __init__(self, columns: list[_Column]) -> None:
        self.columns = columns
        assign_coordinates([column.layer for column in columns])
        starts = {_output(segment): segment.start_y for segment in columns[-1].segments}
        # The lowest output bends first, so that the routes to the next row are nested and do not cross.
        self.outputs = sorted(starts, key=lambda output: -starts[output])
        self.channel = self.right = 0.0

    def place(self, left: float, top: float) -> float:
        """Place the row; return where the next row begins or the drawing ends."""
        vertices = [vertex for column in self.columns for vertex in column.layer]
        for vertex in vertices:
            vertex.y += top
        bottom = max(vertex.y + vertex.height for vertex in vertices)
        for column in self.columns:
            column.left = left
            if column is not self.columns[-1]:
                column.assign_tracks()
            left += column.width + column.space()
        last = self.columns[-1]
        self.right = last.track_x(len(self.outputs) - 1) if self.outputs else last.right
        self.channel = bottom + _ROW_GAP / 2
        return bottom + _ROW_GAP + _TRACK * (len(self.outputs) - 1) if self.outputs else bottom

    def routes(self, columns: list[_Column]) -> dict[Segment, list[Point]]:
        """Route every segment that begins in this row. ``columns``: those of all rows."""
        following = {column: after for column, after in itertools.pairwise(columns) if column in self.columns}
        return {
            segment: self._route_to_next_row(segment, after.left)
            if column is self.columns[-1]
            else column.route(segment, after.left)
            for column, after in following.items()
            for segment in column.segments
        }

    def _route_to_next_row(self, segment: Segment, target: float) -> list[Point]:
        """Route a segment down and back to the left, to the first layer of the next row at ``target``."""
        track, last = self.outputs.index(_output(segment)), self.columns[-1]
        turn, channel, back = last.track_x(track), self.channel + _TRACK * track, _TRACK * track
        start, end = segment.start_y, segment.end_y
        return [(last.right, start), (turn, start), (turn, channel), (back, channel), (back, end), (target, end)]
