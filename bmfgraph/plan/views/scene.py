"""Make the picture of a plan: cards for nodes, a background for each shared BMF node, labels for edges."""

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
from bmfgraph.plan.views.layout import LABEL_GAP, Block, Edge, lay_out
from bmfgraph.plan.views.text import DEVICES, bmf_nodes, node_facts, node_title, summary, type_parts
from bmfgraph.system.text import shortened

__all__ = ["draw_plan"]

_MARGIN = 28.0
_HEADING = 46.0
_INSET, _RIGHT_SPACE = 18.0, 12.0
"""Space to the left and to the right of a card's texts."""
_NAME, _KIND, _FACT, _FACT_STEP, _FOOT = 26.0, 43.0, 64.0, 17.0, 15.0
"""Base lines from the top of a card, the distance of two facts, and the space below the last one."""
_PORT, _PORT_STEP = 38.0, 40.0
"""The first port from the top of a card, and the distance of two ports."""
_MIN_WIDTH = 132.0
_MAX_LETTERS = 30
"""The longest name or fact, in characters."""
_GROUP_PADDING, _CAPTION, _CARD_GAP = 14.0, 28.0, 44.0
"""Space around the cards of a group, above the first card for the caption, and between two cards."""
_ABOVE, _BELOW, _BESIDE = -6.0, 14.0, 9.0
"""Base lines of an edge's labels from its line, and their distance from a line that runs down."""
_SWATCH = 12.0
_HALF = 0.5
"""An outline of one px fills whole px if its middle lies on half a px."""


def draw_plan(plan: Plan) -> Picture:
    """Make the picture of a plan.

    Args:
        plan: With the types of its edges and the BMF nodes of its nodes.

    Returns:
        The picture, ready to be written as SVG.
    """
    boxes = [_BmfNodeBox(plan, name, members) for name, members in bmf_nodes(plan).items()]
    box_of = {node.name: box for box in boxes for node in box.members}
    uses = [(ref, node, index) for node in plan for index, ref in enumerate(node.inputs)]
    uses = [(ref, node, index) for ref, node, index in uses if box_of[ref.node] is not box_of[node.name]]
    edges = [
        Edge(source.name, source.output_y(ref), target.name, target.input_y(node, index), _label_width(plan, ref))
        for ref, node, index in uses
        for source, target in [(box_of[ref.node], box_of[node.name])]
    ]
    layout = lay_out([box.block() for box in boxes], edges).moved(_MARGIN + _HALF, _MARGIN + _HEADING + _HALF)
    lines = [line for box in boxes for line in box.inner_lines(layout.boxes[box.name])]
    labelled: set[Ref] = set()
    for (ref, node, _), path in zip(uses, layout.paths, strict=True):
        # Lines start and end at the cards, which lie inside the padding of their group.
        start = (path[0][0] - box_of[ref.node].padding, path[0][1])
        tip = (path[-1][0] + box_of[node.name].padding, path[-1][1])
        labels = () if ref in labelled else _labels_at_start(plan, ref, path[0])
        labelled.add(ref)
        lines.append(_line(plan, ref, node, straight((start, *path, tip)), labels))
    notes, legend, width = _heading(plan, layout.width)
    return Picture(
        width=math.ceil(width + 2 * _MARGIN + _HALF),
        height=math.ceil(layout.height + _HEADING + 2 * _MARGIN + _HALF),
        title=f"{plan.name}: {summary(plan)}",
        description=". ".join(node_title(plan, node) for node in plan) + ".",
        cards=tuple(card for box in boxes for card in box.cards(layout.boxes[box.name])),
        groups=tuple(group for box in boxes for group in box.groups(layout.boxes[box.name])),
        lines=tuple(lines),
        notes=notes,
        legend=legend,
    )


class _BmfNodeBox:
    """The cards of the nodes that run in one BMF node, one below the other."""

    def __init__(self, plan: Plan, name: str, members: list[PlanNode]) -> None:
        self.plan, self.name, self.members = plan, name, members
        self.padding = _GROUP_PADDING if len(members) > 1 else 0.0
        self.facts = {
            node.name: [shortened(fact, _MAX_LETTERS) for fact in node_facts(plan, node) if fact] for node in members
        }
        inside = {node.name for node in members}
        outside = {ref for other in plan if other.name not in inside for ref in other.inputs}
        self.outputs = {
            node.name: [port.name for port in node.outputs if Ref(node.name, port.name) in outside] for node in members
        }
        self.tops: dict[str, float] = {}
        y = _CAPTION if self.padding else 0.0
        for node in members:
            self.tops[node.name] = y
            y += self._height(node) + _CARD_GAP
        self.height = y - _CARD_GAP + self.padding

    def block(self) -> Block:
        texts = [text for node in self.members for text in self._texts(node, Rect(0, 0, 0, 0))]
        widths = [_MIN_WIDTH, *(text.box.width + _INSET + _RIGHT_SPACE for text in texts)]
        # Labels stand on both sides of the lines between the cards, which run down the middle.
        widths += [2 * (_label_width(self.plan, ref) + _BESIDE) for ref, _ in self._inner_edges()]
        return Block(self.name, float(round(max(widths) + 2 * self.padding)), self.height)

    def output_y(self, ref: Ref) -> float:
        return self.tops[ref.node] + _PORT + _PORT_STEP * self.outputs[ref.node].index(ref.port)

    def input_y(self, node: PlanNode, index: int) -> float:
        return self.tops[node.name] + _PORT + _PORT_STEP * index

    def _height(self, node: PlanNode) -> float:
        texts = _FACT + _FACT_STEP * (len(self.facts[node.name]) - 1)
        ports = _PORT + _PORT_STEP * (max(len(self.outputs[node.name]), len(node.inputs)) - 1)
        return max(texts, ports) + _FOOT

    def _card_box(self, node: PlanNode, box: Rect) -> Rect:
        top = box.y + self.tops[node.name]
        return Rect(box.x + self.padding, top, box.width - 2 * self.padding, self._height(node))

    def _texts(self, node: PlanNode, box: Rect) -> tuple[Text, ...]:
        x, first = box.x + _INSET, box.y + _FACT
        return (
            Text(shortened(node.name, _MAX_LETTERS), x, box.y + _NAME, "name"),
            Text(shortened(node.kind, _MAX_LETTERS), x, box.y + _KIND, "kind", color=PALETTES[node.device].strong),
            *(Text(fact, x, first + _FACT_STEP * row, "fact") for row, fact in enumerate(self.facts[node.name])),
        )

    def cards(self, box: Rect) -> list[Card]:
        places = [(node, self._card_box(node, box)) for node in self.members]
        return [
            Card(node.name, place, node.device, self._texts(node, place), node_title(self.plan, node))
            for node, place in places
        ]

    def groups(self, box: Rect) -> list[Group]:
        """Return the background if there are several cards."""
        caption = Text("one BMF node", box.x + self.padding, box.y + 19, "label")
        return [Group(box, caption)] if self.padding else []

    def _inner_edges(self) -> list[tuple[Ref, PlanNode]]:
        """Return the edges between the members, each with its target."""
        inside = {node.name for node in self.members}
        return [(ref, node) for node in self.members for ref in node.inputs if ref.node in inside]

    def inner_lines(self, box: Rect) -> list[Line]:
        lines = []
        for ref, node in self._inner_edges():
            upper, lower = self._card_box(self.plan.node(ref.node), box), self._card_box(node, box)
            x, y = upper.x + upper.width / 2, (upper.bottom + lower.y) / 2 + 2
            left, right = type_parts(self.plan.type_of(ref))
            labels = (Text(left, x - _BESIDE, y, "label", "end"), Text(right, x + _BESIDE, y, "label"))
            lines.append(_line(self.plan, ref, node, ((x, upper.bottom), (x, lower.y)), labels))
        return lines


def _line(plan: Plan, ref: Ref, node: PlanNode, points: tuple[Point, ...], labels: Iterable[Text]) -> Line:
    kind = plan.type_of(ref)
    texts = tuple(label for label in labels if label.text)
    return Line(points, f"{ref} to {node.name}: {kind}", isinstance(kind, AudioSpec), texts)


def _labels_at_start(plan: Plan, ref: Ref, start: Point) -> tuple[Text, ...]:
    """Return the labels above and below the start of a line."""
    x, y = start[0] + LABEL_GAP, start[1]
    above, below = type_parts(plan.type_of(ref))
    return Text(above, x, y + _ABOVE, "label"), Text(below, x, y + _BELOW, "label")


def _label_width(plan: Plan, ref: Ref) -> float:
    """Return the width of an edge's labels, in whole px."""
    return float(max(math.ceil(text_width(part, SIZES["label"])) for part in type_parts(plan.type_of(ref))))


def _heading(plan: Plan, width: float) -> tuple[tuple[Text, ...], tuple[tuple[Rect, Device], ...], float]:
    """Return the texts of the heading, the legend (if both devices occur) at the right, and the width of it all."""
    base = _MARGIN + 13
    name = Text(plan.name, _MARGIN, base, "title")
    notes = [name, Text(summary(plan), name.box.right + 12, base, "note")]
    devices = sorted({node.device for node in plan})
    entries = [3 * _SWATCH + text_width(DEVICES[device], SIZES["note"]) for device in devices]
    if len(devices) < 2:
        entries = []
    width = max(width, notes[-1].box.right - _MARGIN + sum(entries))
    legend: list[tuple[Rect, Device]] = []
    x = _MARGIN + width - sum(entries)
    for device, entry in zip(devices, entries, strict=False):
        legend.append((Rect(x + 1.5 * _SWATCH, base - 10, _SWATCH, _SWATCH), device))
        notes.append(Text(DEVICES[device], x + 3 * _SWATCH, base, "note"))
        x += entry
    return tuple(notes), tuple(legend), width
