"""A plan's picture as PNG, twice as large as the SVG is wide, for places that take no SVG."""

from __future__ import annotations

import io
import itertools
import math
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from bmfgraph.plan.plan import Plan
from bmfgraph.plan.views.drawing import (
    BOLD,
    INK,
    PALETTES,
    RADIUS,
    SIZES,
    Card,
    Line,
    Picture,
    Point,
    Rect,
    Text,
    arrow,
    rounded,
)
from bmfgraph.plan.views.scene import draw_plan

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

__all__ = ["SCALE", "plan_png"]

SCALE = 2
"""Pixels of the PNG for one of the picture's."""
_SENSITIVE = 4
"""Shapes are drawn that much larger, and then made smaller, because Pillow draws them with hard edges."""


def plan_png(plan: Plan) -> bytes:
    """The picture of the plan as a PNG file's bytes."""
    picture = draw_plan(plan)
    image = _shapes(picture)
    _Words(image).write(picture)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _shapes(picture: Picture) -> Image:
    """All but the words."""
    from PIL import Image, ImageDraw

    size = (picture.width * SCALE, picture.height * SCALE)
    image = Image.new("RGBA", (size[0] * _SENSITIVE, size[1] * _SENSITIVE), INK["page"] + "00")
    brush = _Brush(ImageDraw.Draw(image))
    brush.rect(Rect(0.5, 0.5, picture.width - 1, picture.height - 1), 12, INK["page"], INK["frame"])
    for group in picture.groups:
        brush.rect(group.box, 14, INK["group"])
        brush.dashes(_outline(group.box, 14), (4, 4), INK["group edge"], 1)
    for line in picture.lines:
        _line(brush, line)
    for card in picture.cards:
        _card(brush, card)
    for box, device in picture.legend:
        brush.rect(box, 3, PALETTES[device].fill, PALETTES[device].strong)
    return image.resize(size, Image.Resampling.BOX)


def _card(brush: _Brush, card: Card) -> None:
    tint, box = PALETTES[card.device], card.box
    brush.rect(box, RADIUS, tint.fill, tint.edge)
    brush.rect(Rect(box.x + 6, box.y + 12, 3, box.height - 24), 1.5, tint.strong)


def _line(brush: _Brush, line: Line) -> None:
    tip, left, right, end = arrow(line.points)
    points = [line.points[0]]
    for curve in rounded(line.points, RADIUS):
        points += _curve(*curve)
    points.append(end)
    if line.dashed:
        brush.dashes(points, (2, 4), INK["line"], 1.5)
    else:
        brush.line(points, INK["line"], 1.5)
    brush.fill([tip, left, right], INK["line"])


def _curve(begin: Point, corner: Point, end: Point) -> list[Point]:
    """A quadratic Bézier curve as short straight pieces."""
    steps = 12
    found = []
    for step in range(steps + 1):
        t = step / steps
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
        found.append((a * begin[0] + b * corner[0] + c * end[0], a * begin[1] + b * corner[1] + c * end[1]))
    return found


def _outline(box: Rect, radius: float) -> list[Point]:
    """A box with round corners as a closed polyline."""
    corners = [(box.x, box.y), (box.right, box.y), (box.right, box.bottom), (box.x, box.bottom)]
    middle = (box.x + box.width / 2, box.y)
    points = [middle]
    for curve in rounded((middle, *corners[1:], corners[0], middle), radius):
        points += _curve(*curve)
    return [*points, middle]


class _Brush:
    """Pillow's drawing, in the picture's own measure."""

    def __init__(self, draw: ImageDraw) -> None:
        self.draw, self.scale = draw, SCALE * _SENSITIVE

    def _points(self, points: list[Point]) -> list[Point]:
        return [(x * self.scale, y * self.scale) for x, y in points]

    def rect(self, box: Rect, radius: float, fill: str, edge: str | None = None) -> None:
        half = 0.5 if edge else 0.0
        outer = self._points([(box.x - half, box.y - half), (box.right + half, box.bottom + half)])
        # Pillow counts the last pixel in.
        place = [*outer[0], outer[1][0] - 1, outer[1][1] - 1]
        self.draw.rounded_rectangle(place, (radius + half) * self.scale, fill, edge, self.scale if edge else 0)

    def line(self, points: list[Point], color: str, width: float) -> None:
        self.draw.line(self._points(points), color, round(width * self.scale), joint="curve")

    def fill(self, points: list[Point], color: str) -> None:
        self.draw.polygon(self._points(points), color)

    def dashes(self, points: list[Point], pattern: tuple[float, float], color: str, width: float) -> None:
        """A line of dashes and gaps, of those lengths."""
        drawn, left, dash = True, pattern[0], [points[0]]
        for start, end in itertools.pairwise(points):
            length = math.dist(start, end)
            gone = 0.0
            while length - gone > left:
                gone += left
                share = gone / length
                dash.append((start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share))
                if drawn:
                    self.line(dash, color, width)
                drawn = not drawn
                left, dash = pattern[0 if drawn else 1], dash[-1:]
            left -= length - gone
            dash.append(end)
        if drawn and len(dash) > 1:
            self.line(dash, color, width)


# ------------------------------------------------------------------------------------------------------- words


class _Words:
    """Writes with the font that Pillow brings along, which has little more than ASCII."""

    def __init__(self, image: Image) -> None:
        from PIL import ImageDraw

        self.draw = ImageDraw.Draw(image)

    def write(self, picture: Picture) -> None:
        for text in _texts(picture):
            self._write(text)

    def _write(self, text: Text) -> None:
        font = _font(SIZES[text.role] * SCALE)
        pieces = _pieces(text.text)
        arrow_width = 0.9 * font.size
        width = sum(arrow_width if piece == "→" else font.getlength(piece) for piece in pieces)
        x = text.x * SCALE - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[text.anchor]
        for piece in pieces:
            if piece == "→":
                self._arrow(x, text, arrow_width)
                x += arrow_width
                continue
            # The font has one weight: bold is written twice, one pixel apart.
            for shift in (0, 1) if text.role in BOLD else (0,):
                self.draw.text((x + shift, text.y * SCALE), piece, text.ink, font, anchor="ls")
            x += font.getlength(piece)

    def _arrow(self, x: float, text: Text, width: float) -> None:
        size = SIZES[text.role] * SCALE
        y, tip = text.y * SCALE - 0.3 * size, x + 0.86 * width
        self.draw.line([(x + 0.1 * width, y), (tip, y)], text.ink, 2)
        self.draw.line(
            [(tip - 0.24 * size, y - 0.22 * size), (tip, y), (tip - 0.24 * size, y + 0.22 * size)], text.ink, 2
        )


def _texts(picture: Picture) -> list[Text]:
    return [
        *picture.notes,
        *(group.caption for group in picture.groups),
        *(label for line in picture.lines for label in line.labels),
        *(text for card in picture.cards for text in card.texts),
    ]


@cache
def _font(size: float) -> FreeTypeFont:
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _pieces(text: str) -> list[str]:
    """The text in letters that the font has, cut at its arrows, which are drawn."""
    found: list[str] = []
    for piece in text.replace("→", "\0→\0").split("\0"):
        found.append(piece if piece == "→" else "".join(map(_letter, piece)))
    return [piece for piece in found if piece]


@cache
def _letter(char: str) -> str:
    """The letter, or without its accents, or a question mark."""
    for one in (char, unicodedata.normalize("NFKD", char)[:1]):
        if _known(one):
            return one
    return "?"


@cache
def _known(char: str) -> bool:
    font = _font(20)
    return bytes(font.getmask(char)) != bytes(font.getmask("\uffff"))
