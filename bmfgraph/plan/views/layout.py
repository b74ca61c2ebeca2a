"""Where the blocks of a graph lie and how its edges run: left to right, and in rows where there are many layers.

Rows keep a wide graph readable on a page. Between two layers the words of the edges come first, then the
bends, then the arrows, so that no word lies on a block, on another word or on a bend. Sizes in pixels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bmfgraph.plan.views.drawing import Point, Rect, straight
from bmfgraph.plan.views.layers import Block, Edge, Segment, Vertex, layered, place, sort

__all__ = ["LEAD", "WIDEST", "Block", "Edge", "Layout", "lay_out"]

WIDEST = 1640.0
"""Layers that go further begin a new row."""
LEAD = 8.0
"""From a block to the words of an edge."""
_ARROW, _TRACK, _LEAST_GAP = 22.0, 12.0, 52.0
"""Of the space between two layers: for the arrow, for each bend but the first, and in all."""
_ROW_GAP = 44.0

_Output = tuple[Vertex, float]
"""A stop, and how far below its top edges leave: those that share it share their way as far as they can."""


@dataclass(frozen=True)
class Layout:
    """What came out: a box for every block, the way of every edge in the order given, and the size of it all."""

    boxes: dict[str, Rect]
    paths: tuple[tuple[Point, ...], ...]
    width: float
    height: float

    def moved(self, right: float, down: float) -> Layout:
        """The same elsewhere."""
        boxes = {name: replace(box, x=box.x + right, y=box.y + down) for name, box in self.boxes.items()}
        paths = tuple(tuple((x + right, y + down) for x, y in path) for path in self.paths)
        return replace(self, boxes=boxes, paths=paths)


def lay_out(blocks: Sequence[Block], edges: Sequence[Edge], *, widest: float = WIDEST) -> Layout:
    """Place blocks and edges of a graph without circles; blocks come after those that they take from."""
    layers, long_edges = layered(blocks, edges)
    sort(layers)
    columns = [_Column(layer) for layer in layers]
    rows = [_Row(columns[start:end]) for start, end in _cuts([column.most for column in columns], widest)]
    maximum = max((len(row.outputs) for row in rows[:-1]), default=0)
    left = _TRACK * (maximum - 1) + _ARROW if maximum else 0.0
    height = 0.0
    for row in rows:
        height = row.put(left, height)
    boxes = {
        vertex.block.name: Rect(column.left, vertex.y, column.width, vertex.height)
        for column in columns
        for vertex in column.stops
        if vertex.block
    }
    ways = {segment: way for row in rows for segment, way in row.ways(columns).items()}
    paths = tuple(straight([point for segment in long_edge for point in ways[segment]]) for long_edge in long_edges)
    return Layout(boxes, paths, max((row.right for row in rows), default=0.0), height)


def _cuts(widths: list[float], widest: float) -> list[tuple[int, int]]:
    """First layer and end of each row: as few rows as it takes, of about the same width."""
    total = sum(widths)
    share = total / max(1, math.ceil(total / widest))
    cuts, start, used = [], 0, 0.0
    for number, width in enumerate(widths):
        if number > start and used + width / 2 > share:
            cuts.append((start, number))
            start, used = number, 0.0
        used += width
    return [*cuts, (start, len(widths))] if widths else []


class _Column:
    """A layer and the space behind it."""

    def __init__(self, vertices: list[Vertex]) -> None:
        self.stops = vertices
        self.steps = [segment for vertex in vertices for segment in vertex.out]
        self.width = max((vertex.block.width for vertex in vertices if vertex.block), default=0.0)
        self.words = max((segment.edge.words for segment in self.steps if segment.source.block), default=0.0)
        self.tracks: dict[_Output, int] = {}
        self.left = 0.0

    @property
    def most(self) -> float:
        """The most width that it can take, with its space."""
        return self.width + self._space(len({_output(segment) for segment in self.steps}))

    @property
    def right(self) -> float:
        return self.left + self.width

    def behind(self) -> float:
        """Width of the space behind."""
        return self._space(max(self.tracks.values(), default=0) + 1)

    def _space(self, tracks: int) -> float:
        if not self.steps:
            return 0.0
        return max(_LEAST_GAP, 2 * LEAD + self.words + _TRACK * (tracks - 1) + _ARROW)

    def bend(self, track: int) -> float:
        """Where edges on that track turn."""
        return self.right + 2 * LEAD + self.words + _TRACK * track

    def way(self, segment: Segment, target: float) -> list[Point]:
        """From this layer to the next, which begins at ``target``."""
        bend = self.bend(self.tracks.get(_output(segment), 0))
        return [(self.right, segment.begin), (bend, segment.begin), (bend, segment.end), (target, segment.end)]

    def assign(self) -> None:
        """Give each output that bends a track on which it meets no other, such that few cross.

        Two that swap their heights exactly, which is rare, share a few pixels all the same.
        """
        ends: dict[_Output, list[float]] = {}
        for segment in self.steps:
            if segment.begin != segment.end:
                ends.setdefault(_output(segment), []).append(segment.end)
        spans = {output: (min(_begin(output), *to), max(_begin(output), *to)) for output, to in ends.items()}

        def rank(output: _Output) -> tuple[bool, float]:
            down = spans[output][1] > _begin(output)
            return not down, -_begin(output) if down else _begin(output)

        order: list[_Output] = []
        for output in sorted(ends, key=rank):
            # Before one that ends at the height where it begins, or they would run on top of each other.
            first = (place for place, other in enumerate(order) if _begin(output) in ends[other])
            order.insert(next(first, len(order)), output)
        for output in order:
            low, high = spans[output]
            met = [track for other, track in self.tracks.items() if spans[other][0] <= high and low <= spans[other][1]]
            self.tracks[output] = max(met, default=-1) + 1


def _output(segment: Segment) -> _Output:
    return segment.source, segment.at


def _begin(output: _Output) -> float:
    return output[0].y + output[1]


class _Row:
    """Neighbouring layers at one height."""

    def __init__(self, columns: list[_Column]) -> None:
        self.columns = columns
        place([column.stops for column in columns])
        ends = {_output(segment): segment.begin for segment in columns[-1].steps}
        # The lowest turns first, so that they run around each other and cross nothing.
        self.outputs = sorted(ends, key=lambda output: -ends[output])
        self.channel = self.right = 0.0

    def put(self, left: float, top: float) -> float:
        """Fix the places; the height at which the next row begins, or the picture ends."""
        vertices = [vertex for column in self.columns for vertex in column.stops]
        for vertex in vertices:
            vertex.y += top
        bottom = max(vertex.y + vertex.height for vertex in vertices)
        for column in self.columns:
            column.left = left
            if column is not self.columns[-1]:
                column.assign()
            left += column.width + column.behind()
        last = self.columns[-1]
        self.right = last.bend(len(self.outputs) - 1) if self.outputs else last.right
        self.channel = bottom + _ROW_GAP / 2
        return bottom + _ROW_GAP + _TRACK * (len(self.outputs) - 1) if self.outputs else bottom

    def ways(self, columns: list[_Column]) -> dict[Segment, list[Point]]:
        """Of every step that begins here. ``columns``: those of all rows."""
        after = {column: later for column, later in itertools.pairwise(columns) if column in self.columns}
        return {
            segment: self._around(segment, later.left)
            if column is self.columns[-1]
            else column.way(segment, later.left)
            for column, later in after.items()
            for segment in column.steps
        }

    def _around(self, segment: Segment, target: float) -> list[Point]:
        """From the last layer down and back to the left, and to the first of the next row at ``target``."""
        number, last = self.outputs.index(_output(segment)), self.columns[-1]
        turn, channel, back = last.bend(number), self.channel + _TRACK * number, _TRACK * number
        high, low = segment.begin, segment.end
        return [(last.right, high), (turn, high), (turn, channel), (back, channel), (back, low), (target, low)]
