"""The layers of a graph from left to right: what lies in each, in which order, and at what height.

The usual way of layered drawings: layers by the longest path, a stop for a long edge in every layer that it
passes, an order that crosses few edges, and then heights that keep edges straight. Sizes in pixels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["Block", "Edge", "Step", "Stop", "layered", "place", "sort"]

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
class Stop:
    """A block in its layer, or the place where a long edge passes one."""

    layer: int
    block: Block | None
    y: float = 0.0
    into: list[Step] = field(default_factory=list)
    out: list[Step] = field(default_factory=list)

    @property
    def height(self) -> float:
        return self.block.height if self.block else 0.0


@dataclass(eq=False)
class Step:
    """The part of an edge between two neighbouring layers. ``at`` and ``to`` count from the tops of its stops."""

    edge: Edge
    source: Stop
    at: float
    target: Stop
    to: float

    @property
    def begin(self) -> float:
        return self.source.y + self.at

    @property
    def end(self) -> float:
        return self.target.y + self.to


def layered(blocks: Sequence[Block], edges: Sequence[Edge]) -> tuple[list[list[Stop]], list[list[Step]]]:
    """The layers, and the steps of every edge. Blocks come after those that they take from."""
    numbers = _numbers(blocks, edges)
    layers: list[list[Stop]] = [[] for _ in range(max(numbers.values(), default=-1) + 1)]
    stops = {block.name: Stop(numbers[block.name], block) for block in blocks}
    for stop in stops.values():
        layers[stop.layer].append(stop)
    chains = [_chain(edge, stops[edge.source], stops[edge.target], layers) for edge in edges]
    for stop in stops.values():
        stop.into.sort(key=lambda step: step.to)
        stop.out.sort(key=lambda step: step.at)
    return layers, chains


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


def _chain(edge: Edge, source: Stop, target: Stop, layers: list[list[Stop]]) -> list[Step]:
    passed = [Stop(number, None) for number in range(source.layer + 1, target.layer)]
    for stop in passed:
        layers[stop.layer].append(stop)
    stops = [source, *passed, target]
    chain = [Step(edge, one, 0.0, other, 0.0) for one, other in itertools.pairwise(stops)]
    chain[0].at, chain[-1].to = edge.leaves, edge.arrives
    for step in chain:
        step.source.out.append(step)
        step.target.into.append(step)
    return chain


# ------------------------------------------------------------------------------------------------------- order


def sort(layers: list[list[Stop]]) -> None:
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


def _places(layers: list[list[Stop]]) -> dict[Stop, int]:
    return {stop: number for layer in layers for number, stop in enumerate(layer)}


def _means(layer: list[Stop], places: dict[Stop, int], back: bool) -> dict[Stop, float]:
    """The mean place of each stop's neighbours; what has none stays. Ports of one block count in their order."""
    found = {}
    for stop in layer:
        ends = [(step.target, step.to) for step in stop.out] if back else [(step.source, step.at) for step in stop.into]
        near = [places[end] + (offset / (2 * end.height) if end.height else 0.25) for end, offset in ends]
        found[stop] = sum(near) / len(near) if near else float(places[stop])
    return found


def _crossings(layers: list[list[Stop]]) -> int:
    places = _places(layers)
    count = 0
    for layer in layers:
        for one, other in itertools.combinations([step for stop in layer for step in stop.out], 2):
            begin, end = (places[one.source], one.at), (places[one.target], one.to)
            begins, ends = (places[other.source], other.at), (places[other.target], other.to)
            count += begin != begins and (begin < begins) != (end < ends)
    return count


# ------------------------------------------------------------------------------------------------------ heights


def place(layers: Sequence[list[Stop]]) -> None:
    """Heights in one row of layers, from 0 down. The first edge into a block runs straight where that can be."""
    for layer in layers:
        first = layer is layers[0]
        placed: list[Stop] = []
        # Blocks choose before edges that pass, and those that have something to align with before those that have not.
        for stop in sorted(layer, key=lambda one: (not one.into, one.block is None)):
            wish = stop.into[0].begin - stop.into[0].to if stop.into and not first else None
            stop.y = _nearest(wish, stop, layer, placed)
            placed.append(stop)
    _align_first(layers)
    stops = [stop for layer in layers for stop in layer]
    layer_of = {stop: layer for layer in layers for stop in layer}
    for chain in _passing(stops):
        _straighten(chain, layer_of)
    top = min((stop.y for stop in stops), default=0.0)
    for stop in stops:
        stop.y -= top


def _align_first(layers: Sequence[list[Stop]]) -> None:
    """Blocks that had nothing to align with go where their first edge runs straight."""
    for layer, after in itertools.pairwise(layers):
        for stop in reversed(layer):
            if stop.block and stop.out and stop.out[0].target in after and (not stop.into or layer is layers[0]):
                stop.y = _nearest(stop.out[0].end - stop.out[0].at, stop, layer, _others(stop, layer))


def _passing(stops: Iterable[Stop]) -> list[list[Stop]]:
    """For every long edge the places where it passes a layer of the row; the lowest edge first."""
    found: dict[int, list[Stop]] = {}
    for stop in stops:
        if stop.block is None:
            found.setdefault(id(stop.into[0].edge), []).append(stop)
    return sorted(found.values(), key=lambda chain: -max(stop.y for stop in chain))


def _straighten(stops: list[Stop], layer_of: dict[Stop, list[Stop]]) -> None:
    """Let a long edge pass its layers at one height, if there is one that is free in all of them."""
    ends = [stops[-1].out[0].end, stops[0].into[0].begin]
    for wish in [*ends, *sorted({stop.y for stop in stops}, reverse=True)]:
        free = (_nearest(wish, stop, layer_of[stop], _others(stop, layer_of[stop])) == wish for stop in stops)
        if all(free):
            for stop in stops:
                stop.y = wish
            return


def _others(stop: Stop, layer: list[Stop]) -> list[Stop]:
    return [other for other in layer if other is not stop]


def _nearest(wish: float | None, stop: Stop, layer: list[Stop], placed: Iterable[Stop]) -> float:
    """The height nearest to the one wished for that leaves room to those placed, and to those to come between."""
    here = layer.index(stop)
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


def _room(stops: Sequence[Stop]) -> float:
    """From the top of the first to the top of the last, at the least."""
    return sum(one.height + _between(one, other) for one, other in itertools.pairwise(stops))


def _between(one: Stop, other: Stop) -> float:
    if one.block and other.block:
        return _BLOCK_GAP
    return _STOP_GAP if one.block or other.block else _STOPS_GAP
