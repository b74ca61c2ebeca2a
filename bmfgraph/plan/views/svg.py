"""A plan's picture as SVG: one file that needs nothing else, for browsers and READMEs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from bmfgraph.plan.plan import Plan
from bmfgraph.plan.views.drawing import (
    BOLD,
    INK,
    PALETTES,
    RADIUS,
    SIZES,
    Card,
    Group,
    Line,
    Picture,
    Text,
    arrow,
    rounded,
)
from bmfgraph.plan.views.scene import draw_plan

__all__ = ["plan_svg"]

_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML has no way to write."""


def plan_svg(plan: Plan) -> str:
    """The picture of the plan as an SVG document."""
    picture = draw_plan(plan)
    return "\n".join([*_document(picture), ""])


def _document(picture: Picture) -> Iterable[str]:
    width, height = picture.width, picture.height
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" font-family={quoteattr(_FONTS)}>'
    )
    yield _tag("title", picture.title)
    yield _tag("desc", picture.description)
    yield _rect(0.5, 0.5, width - 1, height - 1, 12, INK["page"], INK["frame"])
    for group in picture.groups:
        yield from _group(group)
    for line in picture.lines:
        yield from _line(line)
    for card in picture.cards:
        yield from _card(card)
    for box, device in picture.legend:
        yield _rect(box.x, box.y, box.width, box.height, 3, PALETTES[device].fill, PALETTES[device].strong)
    for note in picture.notes:
        yield _text(note)
    yield "</svg>"


def _group(group: Group) -> Iterable[str]:
    box = group.box
    yield _rect(box.x, box.y, box.width, box.height, 14, INK["group"], INK["group edge"], dashes="4 4")
    yield _text(group.caption)


def _card(card: Card) -> Iterable[str]:
    tint, box = PALETTES[card.device], card.box
    yield "<g>"
    yield _tag("title", card.title)
    yield _rect(box.x, box.y, box.width, box.height, RADIUS, tint.fill, tint.edge)
    yield _rect(box.x + 6, box.y + 12, 3, box.height - 24, 1.5, tint.strong)
    yield from map(_text, card.texts)
    yield "</g>"


def _line(line: Line) -> Iterable[str]:
    points = line.points
    way = [f"M{_point(points[0])}"]
    for begin, corner, end in rounded(points, RADIUS):
        way.append(f"L{_point(begin)}Q{_point(corner)} {_point(end)}")
    # It ends inside the arrow head, whose tip is to stay sharp.
    head = arrow(points)
    way.append(f"L{_point(head[3])}")
    dashes = ' stroke-dasharray="2 4" stroke-linecap="round"' if line.dashed else ""
    yield "<g>"
    yield _tag("title", line.title)
    yield f'<path d="{"".join(way)}" fill="none" stroke="{INK["line"]}" stroke-width="1.5"{dashes}/>'
    yield f'<path d="M{"L".join(map(_point, head[:3]))}Z" fill="{INK["line"]}"/>'
    yield from map(_text, line.labels)
    yield "</g>"


def _rect(
    x: float, y: float, width: float, height: float, radius: float, fill: str, edge: str = "", dashes: str = ""
) -> str:
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}"'
    stroke = f' stroke="{edge}"' if edge else ""
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<rect {place} fill="{fill}"{stroke}{dashed}/>'


def _text(text: Text) -> str:
    weight = ' font-weight="600"' if text.role in BOLD else ""
    anchor = f' text-anchor="{text.anchor}"' if text.anchor != "start" else ""
    return _tag(
        "text",
        text.text,
        f' x="{text.x:g}" y="{text.y:g}" font-size="{SIZES[text.role]:g}" fill="{text.ink}"{weight}{anchor}',
    )


def _tag(name: str, words: str, attributes: str = "") -> str:
    return f"<{name}{attributes}>{escape(_FORBIDDEN.sub('�', words))}</{name}>"


def _point(point: tuple[float, float]) -> str:
    return f"{point[0]:g} {point[1]:g}"
