"""Lay out a directed graph in layers from left to right, after Sugiyama.

The method has the usual four steps (Sugiyama, Tagawa, Toda: "Methods for visual understanding of hierarchical system
structures", 1981): ranks by the longest path, dummy vertices where a long edge passes a layer, crossing reduction by
barycentres, and coordinate assignment that keeps edges straight. The graph has no cycles. All sizes are in px.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["Block", "Edge", "Segment", "Vertex", "assign_coordinates", "assign_layers", "reduce_crossings"]

_BLOCK_GAP, _BLOCK_DUMMY_GAP, _DUMMY_GAP = 30.0, 26.0, 16.0
"""Distance between two blocks, between a block and a dummy vertex, and between two dummy vertices."""
_SWEEPS = 8


@dataclass(frozen=True)
class Block:
    """A box to be placed. ``width`` is a minimum: all blocks of a layer get the width of the widest."""

    name: str
    width: float
    height: float


@dataclass(frozen=True)
class Edge:
    """An edge between two blocks. Its ports are measured from the top of each block, its label is at the source."""

    source: str
    source_port: float
    target: str
    target_port: float
    label_width: float = 0.0


@dataclass(eq=False)
class Vertex:
    """A vertex of a layer: a block, or (``block`` is None) a dummy vertex where a long edge passes the layer."""

    rank: int
    block: Block | None
    y: float = 0.0
    incoming: list[Segment] = field(default_factory=list)
    outgoing: list[Segment] = field(default_factory=list)

    @property
    def height(self) -> float:
        return self.block.height if self.block else 0.0


@dataclass(eq=False)
class Segment:
    """The part of an edge between two neighbouring layers. Ports are measured from the tops of its vertices."""

    edge: Edge
    source: Vertex
    source_port: float
    target: Vertex
    target_port: float

    @property
    def start_y(self) -> float:
        return self.source.y + self.source_port

    @property
    def end_y(self) -> float:
        return self.target.y + self.target_port


Layer = list[Vertex]


def assign_layers(blocks: Sequence[Block], edges: Sequence[Edge]) -> tuple[list[Layer], list[list[Segment]]]:
    """Put every block into a layer, and insert dummy vertices into long edges.

    Args:
        blocks: In topological order.
        edges: Between those blocks.

    Returns:
        The layers from left to right, and the segments of each edge.
    """
    ranks = _ranks(blocks, edges)
    layers: list[Layer] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    vertices = {block.name: Vertex(ranks[block.name], block) for block in blocks}
    for vertex in vertices.values():
        layers[vertex.rank].append(vertex)
    segments = [_split_edge(edge, vertices[edge.source], vertices[edge.target], layers) for edge in edges]
    for vertex in vertices.values():
        vertex.incoming.sort(key=lambda segment: segment.target_port)
        vertex.outgoing.sort(key=lambda segment: segment.source_port)
    return layers, segments


def _ranks(blocks: Sequence[Block], edges: Sequence[Edge]) -> dict[str, int]:
    """Rank each block by its longest path; move a source directly before its first consumer."""
    ranks: dict[str, int] = {}
    for block in blocks:
        ranks[block.name] = max((ranks[edge.source] + 1 for edge in edges if edge.target == block.name), default=0)
    targets = {edge.target for edge in edges}
    for block in blocks:
        consumers = [ranks[edge.target] for edge in edges if edge.source == block.name]
        if block.name not in targets and consumers:
            ranks[block.name] = min(consumers) - 1
    return ranks


def _split_edge(edge: Edge, source: Vertex, target: Vertex, layers: list[Layer]) -> list[Segment]:
    dummies = [Vertex(rank, None) for rank in range(source.rank + 1, target.rank)]
    for dummy in dummies:
        layers[dummy.rank].append(dummy)
    pairs = itertools.pairwise([source, *dummies, target])
    segments = [Segment(edge, left, 0.0, right, 0.0) for left, right in pairs]
    segments[0].source_port, segments[-1].target_port = edge.source_port, edge.target_port
    for segment in segments:
        segment.source.outgoing.append(segment)
        segment.target.incoming.append(segment)
    return segments


# ----------------------------------------------------------------------------------------- crossing reduction


def reduce_crossings(layers: list[Layer]) -> None:
    """Order the vertices of each layer by their barycentres, sweeping forth and back; keep the best order."""
    best, fewest = [list(layer) for layer in layers], _crossings(layers)
    for sweep in range(_SWEEPS):
        back = sweep % 2 == 1
        for layer in reversed(layers[:-1]) if back else layers[1:]:
            layer.sort(key=_barycentres(layer, _positions(layers), back).__getitem__)
        crossings = _crossings(layers)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    layers[:] = best


def _positions(layers: list[Layer]) -> dict[Vertex, int]:
    return {vertex: position for layer in layers for position, vertex in enumerate(layer)}


def _barycentres(layer: Layer, positions: dict[Vertex, int], back: bool) -> dict[Vertex, float]:
    """Return the mean position of each vertex's neighbours, ports included; a vertex without any stays."""
    means = {}
    for vertex in layer:
        ends = (
            [(segment.target, segment.target_port) for segment in vertex.outgoing]
            if back
            else [(segment.source, segment.source_port) for segment in vertex.incoming]
        )
        near = [positions[end] + (port / (2 * end.height) if end.height else 0.25) for end, port in ends]
        means[vertex] = sum(near) / len(near) if near else float(positions[vertex])
    return means


def _crossings(layers: list[Layer]) -> int:
    positions = _positions(layers)
    count = 0
    for layer in layers:
        ends = [
            ((positions[segment.source], segment.source_port), (positions[segment.target], segment.target_port))
            for vertex in layer
            for segment in vertex.outgoing
        ]
        for (start, end), (other_start, other_end) in itertools.combinations(ends, 2):
            count += start != other_start and (start < other_start) != (end < other_end)
    return count


# ------------------------------------------------------------------------------------------- coordinate assignment


def assign_coordinates(layers: Sequence[Layer]) -> None:
    """Set ``y`` of every vertex in one row of layers, from 0 down.

    The first edge into a block is straight where there is room, and a long edge passes its layers at one height.
    """
    for layer in layers:
        placed: list[Vertex] = []
        # Blocks are placed before dummy vertices, and vertices with something to align to before the others.
        for vertex in sorted(layer, key=lambda vertex: (not vertex.incoming, vertex.block is None)):
            aligned = bool(vertex.incoming) and layer is not layers[0]
            wish = vertex.incoming[0].start_y - vertex.incoming[0].target_port if aligned else None
            vertex.y = _nearest(wish, vertex, layer, placed)
            placed.append(vertex)
    _align_sources(layers)
    vertices = [vertex for layer in layers for vertex in layer]
    layer_of = {vertex: layer for layer in layers for vertex in layer}
    for dummies in _dummy_chains(vertices):
        _straighten(dummies, layer_of)
    top = min((vertex.y for vertex in vertices), default=0.0)
    for vertex in vertices:
        vertex.y -= top


def _align_sources(layers: Sequence[Layer]) -> None:
    """Move the blocks that had nothing to align to, so that their first edge is straight."""
    for layer, following in itertools.pairwise(layers):
        for vertex in reversed(layer):
            free = vertex.block and (not vertex.incoming or layer is layers[0])
            if free and vertex.outgoing and vertex.outgoing[0].target in following:
                wish = vertex.outgoing[0].end_y - vertex.outgoing[0].source_port
                vertex.y = _nearest(wish, vertex, layer, _others(vertex, layer))


def _dummy_chains(vertices: Iterable[Vertex]) -> list[list[Vertex]]:
    """Group the dummy vertices by edge; the lowest edge first."""
    chains: dict[int, list[Vertex]] = {}
    for vertex in vertices:
        if vertex.block is None:
            chains.setdefault(id(vertex.incoming[0].edge), []).append(vertex)
    return sorted(chains.values(), key=lambda dummies: -max(dummy.y for dummy in dummies))


def _straighten(dummies: list[Vertex], layer_of: dict[Vertex, Layer]) -> None:
    """Move the dummy vertices of an edge to one height, if there is one that is free in all their layers."""
    ends = [dummies[-1].outgoing[0].end_y, dummies[0].incoming[0].start_y]
    for wish in [*ends, *sorted({dummy.y for dummy in dummies}, reverse=True)]:
        places = (_nearest(wish, dummy, layer_of[dummy], _others(dummy, layer_of[dummy])) for dummy in dummies)
        if all(place == wish for place in places):
            for dummy in dummies:
                dummy.y = wish
            return


def _others(vertex: Vertex, layer: Layer) -> Layer:
    return [other for other in layer if other is not vertex]


def _nearest(wish: float | None, vertex: Vertex, layer: Layer, placed: Iterable[Vertex]) -> float:
    """Return the height nearest to ``wish`` that leaves room for the placed vertices and for those between."""
    position = layer.index(vertex)
    lowest, highest = -math.inf, math.inf
    for other in placed:
        other_position = layer.index(other)
        if other_position < position:
            lowest = max(lowest, other.y + _distance(layer[other_position : position + 1]))
        else:
            highest = min(highest, other.y - _distance(layer[position : other_position + 1]))
    if wish is None:
        wish = next((limit for limit in (lowest, highest) if math.isfinite(limit)), 0.0)
    return min(max(wish, lowest), highest)


def _distance(vertices: Sequence[Vertex]) -> float:
    """Return the minimum distance between the tops of the first and the last vertex."""
    return sum(upper.height + _gap(upper, lower) for upper, lower in itertools.pairwise(vertices))


def _gap(upper: Vertex, lower: Vertex) -> float:
    if upper.block and lower.block:
        return _BLOCK_GAP
    return _BLOCK_DUMMY_GAP if upper.block or lower.block else _DUMMY_GAP
