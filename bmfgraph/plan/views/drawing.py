"""Define the parts of a drawing: texts, rectangles, lines, and a plan's picture made of them.

All places and sizes are in px, counted from the top left corner of the drawing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bmfgraph.plan.types import Device

__all__ = [
    "BOLD",
    "INK",
    "PALETTES",
    "SIZES",
    "Anchor",
    "Card",
    "Group",
    "Line",
    "Palette",
    "Picture",
    "Point",
    "Rect",
    "Role",
    "Text",
    "arrow",
    "rounded",
    "straight",
    "text_width",
]

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]
Role = Literal["title", "note", "name", "kind", "fact", "label"]

SIZES: dict[Role, float] = {"title": 17, "note": 12, "name": 14, "kind": 11.5, "fact": 12, "label": 11}
"""Font size of each role, in px."""
RADIUS = 10.0
"""Radius of rounded corners, in px."""
ARROW = 8.0
"""Length and width of an arrow head, in px."""
BOLD: frozenset[Role] = frozenset({"title", "name"})
"""Roles that are set in bold."""


@dataclass(frozen=True)
class Palette:
    """The colours of a card."""

    fill: str
    edge: str
    strong: str
    """Colour of the bar at the left and of the node kind."""


PALETTES: dict[Device, Palette] = {
    "cpu": Palette("#f5f8fd", "#c3d1e8", "#3f66a8"),
    "cuda": Palette("#f1f9f1", "#b5d8b6", "#2f7d3b"),
}
INK = {
    "page": "#ffffff",
    "frame": "#e3e7ee",
    "group": "#fafafc",
    "group edge": "#ccd2de",
    "line": "#8b96a8",
    "title": "#1b2330",
    "name": "#1b2330",
    "note": "#667085",
    "fact": "#3d4757",
    "label": "#566073",
}
"""Colours of everything else."""

_NARROW = {char: width for chars, width in (("iljI.,:;'|!", 0.31), (' ftr()[]/\\-·"`', 0.40)) for char in chars}
_WIDE = {char: width for chars, width in (("mwMW@%…", 0.97), ("→", 0.95)) for char in chars}
_KNOWN = _NARROW | _WIDE


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Estimate the width of a text in any usual sans-serif font. The estimate is an upper bound for most fonts.

    Args:
        text: A single line.
        size: Font size in px.
        bold: Whether the text is set in bold.

    Returns:
        The width in px.
    """
    ems = 0.0
    for char in text:
        plain = 0.70 if char.isupper() else 0.64 if char.isdigit() else 0.62
        ems += _KNOWN.get(char, plain if ord(char) < 0x2000 else 1.05)
    return ems * size * (1.11 if bold else 1.0)


@dataclass(frozen=True)
class Rect:
    """An upright rectangle, in px; ``x`` and ``y`` are its top left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    def overlaps(self, other: Rect) -> bool:
        """Return True if the two share more than an edge."""
        return self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom

    def inside(self, other: Rect) -> bool:
        """Return True if ``other`` contains all of this rectangle."""
        return other.x <= self.x and other.y <= self.y and self.right <= other.right and self.bottom <= other.bottom


@dataclass(frozen=True)
class Text:
    """One line of text; ``x`` and ``y`` are the place of its anchor on the base line."""

    text: str
    x: float
    y: float
    role: Role
    anchor: Anchor = "start"
    color: str = ""
    """Empty: the colour of its role."""

    @property
    def ink(self) -> str:
        return self.color or INK[self.role]

    @property
    def box(self) -> Rect:
        """The rectangle that the text needs."""
        size = SIZES[self.role]
        width = text_width(self.text, size, self.role in BOLD)
        left = self.x - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor]
        return Rect(left, self.y - 0.8 * size, width, 1.05 * size)


@dataclass(frozen=True)
class Card:
    """One node of the plan."""

    name: str
    box: Rect
    device: Device
    texts: tuple[Text, ...]
    title: str


@dataclass(frozen=True)
class Group:
    """The background of several cards that run in one BMF node."""

    box: Rect
    caption: Text


@dataclass(frozen=True)
class Line:
    """An edge, from its source to the tip of its arrow. Only the first edge of an output has labels."""

    points: tuple[Point, ...]
    title: str
    dashed: bool = False
    labels: tuple[Text, ...] = ()


@dataclass(frozen=True)
class Picture:
    """All that is drawn of a plan; ``width`` and ``height`` in px."""

    width: int
    height: int
    title: str
    description: str
    cards: tuple[Card, ...]
    groups: tuple[Group, ...]
    lines: tuple[Line, ...]
    notes: tuple[Text, ...]
    """The heading and the texts of the legend."""
    legend: tuple[tuple[Rect, Device], ...] = ()


def rounded(points: Sequence[Point], radius: float) -> list[tuple[Point, Point, Point]]:
    """Round the corners of a polyline.

    Args:
        points: The polyline.
        radius: Distance from a corner to the ends of its curve, in px; less where a side is short.

    Returns:
        For each corner: where its curve begins, the corner (the control point of a quadratic Bézier curve), and where
        the curve ends.
    """
    curves = []
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        reach = min(radius, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        curves.append((_towards(corner, before, reach), corner, _towards(corner, after, reach)))
    return curves


def _towards(start: Point, end: Point, reach: float) -> Point:
    share = reach / (math.dist(start, end) or 1.0)
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def straight(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return a polyline of level and upright segments without its repeated and needless points."""
    kept = [point for point, _ in itertools.groupby(points)]
    index = 1
    while index < len(kept) - 1:
        (ax, ay), (bx, by), (cx, cy) = kept[index - 1 : index + 2]
        if ax == bx == cx or ay == by == cy:
            del kept[index]
        else:
            index += 1
    return tuple(kept)


def arrow(points: Sequence[Point]) -> tuple[Point, Point, Point, Point]:
    """Return the arrow head of a line: its tip, its two other corners, and the middle between those two."""
    (bx, by), (x, y) = points[-2:]
    length = math.dist((bx, by), (x, y)) or 1.0
    dx, dy = (x - bx) / length, (y - by) / length
    mx, my = x - dx * ARROW, y - dy * ARROW
    return (x, y), (mx - dy * ARROW / 2, my + dx * ARROW / 2), (mx + dy * ARROW / 2, my - dx * ARROW / 2), (mx, my)
