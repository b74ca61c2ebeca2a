"""The layers of a graph from left to right: what lies in each, in which order, and at what height.

The usual way of layered drawings: layers by the longest path, a stop for a long edge in every layer that it
passes, an order that crosses few edges, and then heights that keep edges straight. Sizes in pixels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["Block", "Edge", "Segment", "Vertex", "layered", "place", "sort"]

_BLOCK_GAP, _STOP_GAP, _STOPS_GAP = 30.0, 26.0, 16.0
"""Between two blocks; between a block and an edge that passes; between two of those."""
_SWEEPS = 8


@dataclass(frozen=True)
class Block:
    """A box to be placed. ``width`` is the least; all blocks of a layer are as wide as the widest."""

    name: str
    width: float
    height: float


@dataclass(frozen=True)
class Edge:
    """From one block to another: how far below their tops it leaves and arrives, and the room for its words."""

    source: str
    leaves: float
    target: str
    arrives: float
    words: float = 0.0


@dataclass(eq=False)
class Vertex:
    """A block in its layer, or the place where a long edge passes one."""

    layer: int
    block: Block | None
    y: float = 0.0
    into: list[Segment] = field(default_factory=list)
    out: list[Segment] = field(default_factory=list)

    @property
    def height(self) -> float:
        return self.block.height if self.block else 0.0


@dataclass(eq=False)
class Segment:
    """The part of an edge between two neighbouring layers. ``at`` and ``to`` count from the tops of its stops."""

    edge: Edge
    source: Vertex
    at: float
    target: Vertex
    to: float

    @property
    def begin(self) -> float:
        return self.source.y + self.at

    @property
    def end(self) -> float:
        return self.target.y + self.to


def layered(blocks: Sequence[Block], edges: Sequence[Edge]) -> tuple[list[list[Vertex]], list[list[Segment]]]:
    """The layers, and the steps of every edge. Blocks come after those that they take from."""
    numbers = _numbers(blocks, edges)
    layers: list[list[Vertex]] = [[] for _ in range(max(numbers.values(), default=-1) + 1)]
    vertices = {block.name: Vertex(numbers[block.name], block) for block in blocks}
    for vertex in vertices.values():
        layers[vertex.layer].append(vertex)
    long_edges = [_long_edge(edge, vertices[edge.source], vertices[edge.target], layers) for edge in edges]
    for vertex in vertices.values():
        vertex.into.sort(key=lambda segment: segment.to)
        vertex.out.sort(key=lambda segment: segment.at)
    return layers, long_edges


def _numbers(blocks: Sequence[Block], edges: Sequence[Edge]) -> dict[str, int]:
    """Each block's layer: one after the last that it takes from; sources directly before their first consumer."""
    layers: dict[str, int] = {}
    for block in blocks:
        layers[block.name] = max((layers[edge.source] + 1 for edge in edges if edge.target == block.name), default=0)
    targets = {edge.target for edge in edges}
    for block in blocks:
        after = [layers[edge.target] for edge in edges if edge.source == block.name]
        if block.name not in targets and after:
            layers[block.name] = min(after) - 1
    return layers


def _long_edge(edge: Edge, source: Vertex, target: Vertex, layers: list[list[Vertex]]) -> list[Segment]:
    passed = [Vertex(number, None) for number in range(source.layer + 1, target.layer)]
    for vertex in passed:
        layers[vertex.layer].append(vertex)
    vertices = [source, *passed, target]
    long_edge = [Segment(edge, one, 0.0, other, 0.0) for one, other in itertools.pairwise(vertices)]
    long_edge[0].at, long_edge[-1].to = edge.leaves, edge.arrives
    for segment in long_edge:
        segment.source.out.append(segment)
        segment.target.into.append(segment)
    return long_edge


# ------------------------------------------------------------------------------------------------------- order


def sort(layers: list[list[Vertex]]) -> None:
    """Order each layer by the mean place of its neighbours, forth and back, and keep the best order seen."""
    best, fewest = [list(layer) for layer in layers], _crossings(layers)
    for sweep in range(_SWEEPS):
        back = sweep % 2 == 1
        for layer in reversed(layers[:-1]) if back else layers[1:]:
            means = _means(layer, _places(layers), back)
            layer.sort(key=means.__getitem__)
        found = _crossings(layers)
        if found < fewest:
            best, fewest = [list(layer) for layer in layers], found
    layers[:] = best


def _places(layers: list[list[Vertex]]) -> dict[Vertex, int]:
    return {vertex: number for layer in layers for number, vertex in enumerate(layer)}


def _means(layer: list[Vertex], places: dict[Vertex, int], back: bool) -> dict[Vertex, float]:
    """The mean place of each stop's neighbours; what has none stays. Ports of one block count in their order."""
    found = {}
    for vertex in layer:
        ends = (
            [(segment.target, segment.to) for segment in vertex.out]
            if back
            else [(segment.source, segment.at) for segment in vertex.into]
        )
        near = [places[end] + (offset / (2 * end.height) if end.height else 0.25) for end, offset in ends]
        found[vertex] = sum(near) / len(near) if near else float(places[vertex])
    return found


def _crossings(layers: list[list[Vertex]]) -> int:
    places = _places(layers)
    count = 0
    for layer in layers:
        for one, other in itertools.combinations([segment for vertex in layer for segment in vertex.out], 2):
            begin, end = (places[one.source], one.at), (places[one.target], one.to)
            begins, ends = (places[other.source], other.at), (places[other.target], other.to)
            count += begin != begins and (begin < begins) != (end < ends)
    return count


# ------------------------------------------------------------------------------------------------------ heights


def place(layers: Sequence[list[Vertex]]) -> None:
    """Heights in one row of layers, from 0 down. The first edge into a block runs straight where that can be."""
    for layer in layers:
        first = layer is layers[0]
        placed: list[Vertex] = []
        # Blocks choose before edges that pass, and those that have something to align with before those that have not.
        for vertex in sorted(layer, key=lambda one: (not one.into, one.block is None)):
            wish = vertex.into[0].begin - vertex.into[0].to if vertex.into and not first else None
            vertex.y = _nearest(wish, vertex, layer, placed)
            placed.append(vertex)
    _align_first(layers)
    vertices = [vertex for layer in layers for vertex in layer]
    layer_of = {vertex: layer for layer in layers for vertex in layer}
    for long_edge in _passing(vertices):
        _straighten(long_edge, layer_of)
    top = min((vertex.y for vertex in vertices), default=0.0)
    for vertex in vertices:
        vertex.y -= top


def _align_first(layers: Sequence[list[Vertex]]) -> None:
    """Blocks that had nothing to align with go where their first edge runs straight."""
    for layer, after in itertools.pairwise(layers):
        for vertex in reversed(layer):
            if (
                vertex.block
                and vertex.out
                and vertex.out[0].target in after
                and (not vertex.into or layer is layers[0])
            ):
                vertex.y = _nearest(vertex.out[0].end - vertex.out[0].at, vertex, layer, _others(vertex, layer))


def _passing(vertices: Iterable[Vertex]) -> list[list[Vertex]]:
    """For every long edge the places where it passes a layer of the row; the lowest edge first."""
    found: dict[int, list[Vertex]] = {}
    for vertex in vertices:
        if vertex.block is None:
            found.setdefault(id(vertex.into[0].edge), []).append(vertex)
    return sorted(found.values(), key=lambda long_edge: -max(vertex.y for vertex in long_edge))


def _straighten(vertices: list[Vertex], layer_of: dict[Vertex, list[Vertex]]) -> None:
    """Let a long edge pass its layers at one height, if there is one that is free in all of them."""
    ends = [vertices[-1].out[0].end, vertices[0].into[0].begin]
    for wish in [*ends, *sorted({vertex.y for vertex in vertices}, reverse=True)]:
        free = (
            _nearest(wish, vertex, layer_of[vertex], _others(vertex, layer_of[vertex])) == wish for vertex in vertices
        )
        if all(free):
            for vertex in vertices:
                vertex.y = wish
            return


def _others(vertex: Vertex, layer: list[Vertex]) -> list[Vertex]:
    return [other for other in layer if other is not vertex]


def _nearest(wish: float | None, vertex: Vertex, layer: list[Vertex], placed: Iterable[Vertex]) -> float:
    """The height nearest to the one wished for that leaves room to those placed, and to those to come between."""
    here = layer.index(vertex)
    lowest, highest = -math.inf, math.inf
    for other in placed:
        there = layer.index(other)
        if there < here:
            lowest = max(lowest, other.y + _room(layer[there : here + 1]))
        else:
            highest = min(highest, other.y - _room(layer[here : there + 1]))
    if wish is None:
        wish = next((limit for limit in (lowest, highest) if math.isfinite(limit)), 0.0)
    return min(max(wish, lowest), highest)


def _room(vertices: Sequence[Vertex]) -> float:
    """From the top of the first to the top of the last, at the least."""
    return sum(one.height + _between(one, other) for one, other in itertools.pairwise(vertices))


def _between(one: Vertex, other: Vertex) -> float:
    if one.block and other.block:
        return _BLOCK_GAP
    return _STOP_GAP if one.block or other.block else _STOPS_GAP
