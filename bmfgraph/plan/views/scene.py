"""From a plan to its picture: what the cards say, which lie on one ground, and the words on the edges."""

from __future__ import annotations

import math
from collections.abc import Iterable

from bmfgraph.plan.plan import Plan, PlanNode, Ref
from bmfgraph.plan.types import AudioSpec, Device
from bmfgraph.plan.views.drawing import (
    PALETTES,
    SIZES,
    Card,
    Group,
    Line,
    Picture,
    Point,
    Rect,
    Text,
    straight,
    text_width,
)
from bmfgraph.plan.views.layout import LEAD, Block, Edge, lay_out
from bmfgraph.plan.views.text import DEVICES, hosts, node_facts, node_title, shortened, summary, type_parts

__all__ = ["draw_plan"]

_MARGIN = 28.0
_HEADING = 46.0
_INSET, _FREE = 18.0, 12.0
"""Left and right of a card's words."""
_NAME, _KIND, _FACT, _FACTS, _FOOT = 26.0, 43.0, 64.0, 17.0, 15.0
"""Base lines from a card's top, from one fact to the next, and what stays free below the last."""
_PORT, _PORTS = 38.0, 40.0
"""The first input or output from a card's top, and from one to the next."""
_LEAST_WIDTH = 132.0
_MOST = 30
"""Letters of a name or fact."""
_GROUP_PADDING, _CAPTION, _BETWEEN = 14.0, 28.0, 44.0
"""Around a group's cards, above the first for the caption, and from one card to the next."""
_ABOVE, _BELOW, _BESIDE = -6.0, 14.0, 9.0
"""Base lines of an edge's words from its line, and how far they stay from one that runs down."""
_SWATCH = 12.0
_HALF = 0.5
"""Of a pixel, so that an outline of one pixel fills one."""


def draw_plan(plan: Plan) -> Picture:
    """The plan's picture. Requires the types of its edges and the hosts of its nodes."""
    towers = [_BmfNodeBox(plan, name, members) for name, members in hosts(plan).items()]
    home = {node.name: tower for tower in towers for node in tower.members}
    uses = [(ref, node, index) for node in plan for index, ref in enumerate(node.inputs)]
    uses = [(ref, node, index) for ref, node, index in uses if home[ref.node] is not home[node.name]]
    edges = [
        Edge(begin.name, begin.leaves(ref), end.name, end.arrives(node, index), _room(plan, ref))
        for ref, node, index in uses
        for begin, end in [(home[ref.node], home[node.name])]
    ]
    layout = lay_out([tower.block() for tower in towers], edges).moved(_MARGIN + _HALF, _MARGIN + _HEADING + _HALF)
    lines = [line for tower in towers for line in tower.inner(layout.boxes[tower.name])]
    told: set[Ref] = set()
    for (ref, node, _), path in zip(uses, layout.paths, strict=True):
        # Lines begin and end at the cards, which lie further in where they have a ground.
        start = (path[0][0] - home[ref.node].group_padding, path[0][1])
        tip = (path[-1][0] + home[node.name].group_padding, path[-1][1])
        labels = () if ref in told else _beside_line(plan, ref, path[0])
        told.add(ref)
        lines.append(_line(plan, ref, node, straight((start, *path, tip)), labels))
    notes, legend, width = _heading(plan, layout.width)
    return Picture(
        width=math.ceil(width + 2 * _MARGIN + _HALF),
        height=math.ceil(layout.height + _HEADING + 2 * _MARGIN + _HALF),
        title=f"{plan.name}: {summary(plan)}",
        description=". ".join(node_title(plan, node) for node in plan) + ".",
        cards=tuple(card for tower in towers for card in tower.cards(layout.boxes[tower.name])),
        groups=tuple(group for tower in towers for group in tower.groups(layout.boxes[tower.name])),
        lines=tuple(lines),
        notes=notes,
        legend=legend,
    )


class _BmfNodeBox:
    """A BMF node: the cards of the nodes that run in it, one above the other."""

    def __init__(self, plan: Plan, name: str, members: list[PlanNode]) -> None:
        self.plan, self.name, self.members = plan, name, members
        self.group_padding = _GROUP_PADDING if len(members) > 1 else 0.0
        self.facts = {
            node.name: [shortened(fact, _MOST) for fact in node_facts(plan, node) if fact] for node in members
        }
        # Outputs that somebody outside takes, in the order of the ports.
        inside = {node.name for node in members}
        self.taken = {
            node.name: [
                port.name
                for port in node.outputs
                if any(Ref(node.name, port.name) in other.inputs and other.name not in inside for other in plan)
            ]
            for node in members
        }
        self.tops: dict[str, float] = {}
        y = _CAPTION if self.group_padding else 0.0
        for node in members:
            self.tops[node.name] = y
            y += self._height(node) + _BETWEEN
        self.height = y - _BETWEEN + self.group_padding

    def block(self) -> Block:
        widths = [
            _LEAST_WIDTH,
            *(text.box.width + _INSET + _FREE for node in self.members for text in self._texts(node, Rect(0, 0, 0, 0))),
        ]
        # Words stand on both sides of the lines between the cards, which run down the middle.
        widths += [2 * (_room(self.plan, ref) + _BESIDE) for ref, _ in self._steps()]
        return Block(self.name, float(round(max(widths) + 2 * self.group_padding)), self.height)

    def leaves(self, ref: Ref) -> float:
        return self.tops[ref.node] + _PORT + _PORTS * self.taken[ref.node].index(ref.port)

    def arrives(self, node: PlanNode, index: int) -> float:
        return self.tops[node.name] + _PORT + _PORTS * index

    def _height(self, node: PlanNode) -> float:
        said = _FACT + _FACTS * (len(self.facts[node.name]) - 1) + _FOOT
        outputs = _PORT + _PORTS * (len(self.taken[node.name]) - 1) + _FOOT
        return max(said, outputs, _PORT + _PORTS * (len(node.inputs) - 1) + _FOOT)

    def _card_box(self, node: PlanNode, box: Rect) -> Rect:
        return Rect(
            box.x + self.group_padding,
            box.y + self.tops[node.name],
            box.width - 2 * self.group_padding,
            self._height(node),
        )

    def _texts(self, node: PlanNode, box: Rect) -> tuple[Text, ...]:
        x = box.x + _INSET
        facts = [Text(fact, x, box.y + _FACT + _FACTS * row, "fact") for row, fact in enumerate(self.facts[node.name])]
        return (
            Text(shortened(node.name, _MOST), x, box.y + _NAME, "name"),
            Text(shortened(node.kind, _MOST), x, box.y + _KIND, "kind", color=PALETTES[node.device].strong),
            *facts,
        )

    def cards(self, box: Rect) -> list[Card]:
        places = [(node, self._card_box(node, box)) for node in self.members]
        return [
            Card(node.name, place, node.device, self._texts(node, place), node_title(self.plan, node))
            for node, place in places
        ]

    def groups(self, box: Rect) -> list[Group]:
        """The ground, if there are several cards."""
        return (
            [Group(box, Text("one BMF node", box.x + self.group_padding, box.y + 19, "label"))]
            if self.group_padding
            else []
        )

    def _steps(self) -> list[tuple[Ref, PlanNode]]:
        """The edges inside, each with the node that it runs to."""
        inside = {node.name for node in self.members}
        return [(ref, node) for node in self.members for ref in node.inputs if ref.node in inside]

    def inner(self, box: Rect) -> list[Line]:
        """The edges inside, drawn."""
        lines = []
        for ref, node in self._steps():
            above, below = self._card_box(self.plan.node(ref.node), box), self._card_box(node, box)
            x, y = above.x + above.width / 2, (above.bottom + below.y) / 2 + 2
            one, other = type_parts(self.plan.type_of(ref))
            labels = (Text(one, x - _BESIDE, y, "label", "end"), Text(other, x + _BESIDE, y, "label"))
            lines.append(_line(self.plan, ref, node, ((x, above.bottom), (x, below.y)), labels))
        return lines


def _line(plan: Plan, ref: Ref, node: PlanNode, points: tuple[Point, ...], labels: Iterable[Text]) -> Line:
    kind = plan.type_of(ref)
    said = tuple(label for label in labels if label.text)
    return Line(points, f"{ref} to {node.name}: {kind}", isinstance(kind, AudioSpec), said)


def _beside_line(plan: Plan, ref: Ref, start: Point) -> tuple[Text, ...]:
    """What travels, above and below the beginning of its line."""
    x, y = start[0] + LEAD, start[1]
    above, below = type_parts(plan.type_of(ref))
    return Text(above, x, y + _ABOVE, "label"), Text(below, x, y + _BELOW, "label")


def _room(plan: Plan, ref: Ref) -> float:
    """Width of the words for what leaves there, in whole pixels."""
    return float(max(math.ceil(text_width(part, SIZES["label"])) for part in type_parts(plan.type_of(ref))))


def _heading(plan: Plan, width: float) -> tuple[tuple[Text, ...], tuple[tuple[Rect, Device], ...], float]:
    """Name and numbers at the left, the legend at the right where both devices occur; and how wide it all is."""
    base = _MARGIN + 13
    name = Text(plan.name, _MARGIN, base, "title")
    notes = [name, Text(summary(plan), name.box.right + 12, base, "note")]
    width = max(width, notes[-1].box.right - _MARGIN)
    devices = sorted({node.device for node in plan})
    if len(devices) < 2:
        return tuple(notes), (), width
    rooms = [3 * _SWATCH + text_width(DEVICES[device], SIZES["note"]) for device in devices]
    width = max(width, notes[-1].box.right - _MARGIN + sum(rooms))
    legend: list[tuple[Rect, Device]] = []
    x = _MARGIN + width - sum(rooms)
    for device, room in zip(devices, rooms, strict=True):
        # What stays free of its room is at the left.
        legend.append((Rect(x + 1.5 * _SWATCH, base - 10, _SWATCH, _SWATCH), device))
        notes.append(Text(DEVICES[device], x + 3 * _SWATCH, base, "note"))
        x += room
    return tuple(notes), tuple(legend), width
