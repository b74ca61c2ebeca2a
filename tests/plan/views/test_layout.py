"""Check that a layout overlaps nothing, for any graph."""

from __future__ import annotations

import graphlib
import itertools
import random
from collections.abc import Iterator, Sequence

import pytest

from bmfgraph.plan.views.drawing import Point, Rect, straight as without_needless_points
from bmfgraph.plan.views.layout import LABEL_GAP, Block, Edge, Layout, lay_out

TALL = 94.0
FIRST, APART = 38.0, 40.0

Links = Sequence[tuple[str, str]]


def graph(links: Links, *, alone: Sequence[str] = ()) -> tuple[list[Block], list[Edge]]:
    """Blocks in running order, all edges of a block from one output, to its inputs in order."""
    before: dict[str, list[str]] = {name: [] for name in alone}
    edges = []
    for source, target in links:
        inputs = before.setdefault(target, [])
        edges.append(Edge(source, FIRST, target, FIRST + APART * len(inputs), 60))
        inputs.append(source)
    names = graphlib.TopologicalSorter(before).static_order()
    blocks = [Block(name, 140, max(TALL, FIRST + APART * len(before.get(name, ())))) for name in names]
    return blocks, edges


CHAIN = [(str(number), str(number + 1)) for number in range(11)]
SHAPES: dict[str, Links] = {
    "chain": CHAIN[:4],
    "fan-out": [("a", "b"), ("a", "c"), ("a", "d"), ("a", "e")],
    "two sources into one model": [("a", "model"), ("b", "model"), ("model", "sink")],
    "two sinks": [("a", "b"), ("b", "sink"), ("b", "other"), ("a", "other")],
    "12 nodes": [*CHAIN, ("0", "11"), ("2", "7")],
    "diamond with a long edge": [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d")],
    "crossed": [("a", "d"), ("b", "c"), ("a", "c"), ("b", "d")],
}


def segments(path: Sequence[Point]) -> Iterator[Rect]:
    """A path's pieces, each of which is level or upright, as boxes without area."""
    for (x, y), (right, bottom) in itertools.pairwise(path):
        assert x == right or y == bottom, path
        yield Rect(min(x, right), min(y, bottom), abs(right - x), abs(bottom - y))


def words_of(edges: Sequence[Edge], layout: Layout) -> dict[tuple[str, float], Rect]:
    """The room that the words of each output have."""
    found = {}
    for edge in edges:
        box = layout.boxes[edge.source]
        found[edge.source, edge.source_port] = Rect(
            box.right + LABEL_GAP, box.y + edge.source_port - 15, edge.label_width, 30
        )
    return found


def on_each_other(one: Rect, other: Rect) -> bool:
    """Whether two segments run along each other."""
    level = one.height == other.height == 0 and one.y == other.y
    upright = one.width == other.width == 0 and one.x == other.x
    return (level and one.x < other.right and other.x < one.right) or (
        upright and one.y < other.bottom and other.y < one.bottom
    )


def check(blocks: Sequence[Block], edges: Sequence[Edge], layout: Layout) -> int:
    """Assert that nothing lies on anything else but edges on edges; how often those do."""
    boxes = layout.boxes
    assert boxes.keys() == {block.name for block in blocks}
    for block in blocks:
        assert boxes[block.name].width >= block.width
        assert boxes[block.name].height == block.height
    for one, other in itertools.combinations(boxes.values(), 2):
        assert not one.overlaps(other)
    words = words_of(edges, layout)
    for one, other in itertools.combinations(words.values(), 2):
        assert not one.overlaps(other)
    assert not any(word.overlaps(box) for word in words.values() for box in boxes.values())
    pieces = []
    for edge, path in zip(edges, layout.paths, strict=True):
        source, target = boxes[edge.source], boxes[edge.target]
        assert path[0] == (source.right, source.y + edge.source_port)
        assert path[-1] == (target.x, target.y + edge.target_port)
        assert path == without_needless_points(path)
        pieces += [((edge.source, edge.source_port), piece) for piece in segments(path)]
    for output, piece in pieces:
        assert not any(piece.overlaps(box) for box in boxes.values())
        assert not any(piece.overlaps(word) for other, word in words.items() if other != output)
        # Its own words stand above and below its level beginning.
        assert piece.height == 0 or not piece.overlaps(words[output])
        assert piece.x >= 0
        assert piece.right <= layout.width
        assert piece.y >= 0
        assert piece.bottom <= layout.height
    return sum(
        output != another and on_each_other(piece, other)
        for (output, piece), (another, other) in itertools.combinations(pieces, 2)
    )


@pytest.mark.parametrize("max_width", [1e9, 800.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_lies_on_anything_else(shape: str, max_width: float) -> None:
    blocks, edges = graph(SHAPES[shape])
    assert check(blocks, edges, lay_out(blocks, edges, max_width=max_width)) == 0


def test_random_graphs() -> None:
    shared = 0
    for seed in range(500):
        dice = random.Random(seed)
        count = dice.randint(2, 14)
        outputs = [dice.choice([1, 1, 1, 2]) for _ in range(count)]
        edges = [
            Edge(str(source), FIRST + APART * dice.randrange(outputs[source]), str(target), FIRST + 24 * place, 60)
            for target in range(1, count)
            for place, source in enumerate(dice.sample(range(target), min(target, dice.choice([0, 1, 1, 1, 2, 3]))))
        ]
        blocks = [Block(str(name), dice.randint(100, 200), dice.choice([94, 110, 300])) for name in range(count)]
        shared += check(blocks, edges, lay_out(blocks, edges, max_width=dice.choice([700, 1000, 1e9])))
    assert shared <= 1, "only two edges that swap their heights exactly share a piece"


def crossings(edges: Sequence[Edge], layout: Layout) -> int:
    pieces = [
        (edge.source, edge.source_port, piece)
        for edge, path in zip(edges, layout.paths, strict=True)
        for piece in segments(path)
    ]
    return sum(
        one[:2] != other[:2] and one[2].x < other[2].x < one[2].right and other[2].y < one[2].y < other[2].bottom
        for one, other in itertools.permutations(pieces, 2)
    )


def test_a_chain_is_one_straight_line_to_the_right() -> None:
    blocks, edges = graph(SHAPES["chain"])
    layout = lay_out(blocks, edges)
    assert {path[0][1] for path in layout.paths} == {path[-1][1] for path in layout.paths} == {FIRST}
    assert all(len(path) == 2 for path in layout.paths)
    lefts = [layout.boxes[block.name].x for block in blocks]
    assert lefts == sorted(lefts)


def test_a_long_edge_passes_at_one_height() -> None:
    _, edges = graph([*CHAIN[:4], ("0", "4")])
    blocks = [Block(str(number), 140, height) for number, height in enumerate((94, 94, 300, 200, 94))]
    long = lay_out(blocks, edges).paths[-1]
    assert len(long) == 6, "down, along, up"


def test_sources_stand_where_their_edges_run_straight() -> None:
    _, edges = graph([("a", "x"), ("b", "y")])
    blocks = [Block("a", 140, 94), Block("b", 140, 94), Block("x", 140, 200), Block("y", 140, 94)]
    assert all(len(path) == 2 for path in lay_out(blocks, edges).paths)


def test_an_order_without_crossings_is_found() -> None:
    blocks = [Block(name, 140, TALL) for name in "abcyxz"]
    edges = [Edge(source, FIRST, target, FIRST) for source, target in ("ax", "by", "cz")]
    layout = lay_out(blocks, edges)
    assert crossings(edges, layout) == 0
    assert sorted("xyz", key=lambda name: layout.boxes[name].y) == ["x", "y", "z"]


def test_bends_are_nested() -> None:
    blocks = [Block("s", 140, 140), Block("t", 140, 500), Block("x", 140, TALL), Block("y", 140, TALL)]
    down = [Edge("s", FIRST + APART * place, target, FIRST, 60) for place, target in enumerate("txy")]
    assert crossings(down, lay_out(blocks, down)) == 0
    # Upwards: the edges join where the first one has led.
    up = [*down, *(Edge(source, FIRST, "end", FIRST + APART * place, 60) for place, source in enumerate("txy"))]
    assert crossings(up, lay_out([*blocks, Block("end", 140, 140)], up)) == 0


def test_edges_that_go_to_the_next_row_run_around_each_other() -> None:
    blocks, edges = graph([*CHAIN, ("0", "11")])
    assert crossings(edges, lay_out(blocks, edges, max_width=1000)) == 0


def test_a_late_source_stands_beside_its_consumer() -> None:
    boxes = lay_out(*graph([*CHAIN[:3], ("sound", "3")], alone=["0", "1", "2", "sound", "3"])).boxes
    assert boxes["sound"].x == boxes["2"].x


def test_many_layers_go_into_rows() -> None:
    blocks, edges = graph(CHAIN)
    wide = lay_out(blocks, edges, max_width=1e9)
    rows = lay_out(blocks, edges, max_width=1000)
    assert wide.width > 2000
    assert rows.width < 1100
    assert len({box.y for box in rows.boxes.values()}) == 3
    assert len({box.y for box in wide.boxes.values()}) == 1


def test_nothing_to_lay_out() -> None:
    assert lay_out([], []) == Layout({}, (), 0.0, 0.0)
    only = lay_out([Block("a", 100, 50)], [])
    assert (only.boxes, only.width, only.height) == ({"a": Rect(0, 0, 100, 50)}, 100, 50)


def test_moved() -> None:
    layout = lay_out(*graph(CHAIN[:1]))
    moved = layout.moved(10, 5)
    assert moved.boxes["0"] == Rect(10, 5, 140, TALL)
    assert moved.paths[0][0] == (layout.paths[0][0][0] + 10, FIRST + 5)
