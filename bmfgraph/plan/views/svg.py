"""Write the picture of a plan as SVG: one file without references, for browsers and READMEs."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

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
    Point,
    Rect,
    Text,
    arrow,
    rounded,
)
from bmfgraph.plan.views.scene import draw_plan
from bmfgraph.system.text import printable

__all__ = ["plan_svg", "write_svg"]

_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def plan_svg(plan: Plan) -> str:
    """Return the picture of the plan as an SVG document."""
    return write_svg(draw_plan(plan))


def write_svg(picture: Picture, *, fonts: str = _FONTS) -> str:
    """Return a picture as an SVG document.

    Args:
        picture: What is drawn.
        fonts: Font families, as in CSS, without double quotes.

    Returns:
        The document; its user units are px.
    """
    return "\n".join([*_document(picture, fonts), ""])


def _document(picture: Picture, fonts: str) -> Iterable[str]:
    width, height = picture.width, picture.height
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" font-family="{fonts}">'
    )
    yield _tag("title", picture.title)
    yield _tag("desc", picture.description)
    yield _rect(Rect(0.5, 0.5, width - 1, height - 1), 12, INK["page"], INK["frame"])
    for group in picture.groups:
        yield from _group(group)
    for line in picture.lines:
        yield from _line(line)
    for card in picture.cards:
        yield from _card(card)
    for box, device in picture.legend:
        yield _rect(box, 3, PALETTES[device].fill, PALETTES[device].strong)
    yield from map(_text, picture.notes)
    yield "</svg>"


def _group(group: Group) -> Iterable[str]:
    yield _rect(group.box, 14, INK["group"], INK["group edge"], dashes="4 4")
    yield _text(group.caption)


def _card(card: Card) -> Iterable[str]:
    palette, box = PALETTES[card.device], card.box
    yield "<g>"
    yield _tag("title", card.title)
    yield _rect(box, RADIUS, palette.fill, palette.edge)
    yield _rect(Rect(box.x + 6, box.y + 12, 3, box.height - 24), 1.5, palette.strong)
    yield from map(_text, card.texts)
    yield "</g>"


def _line(line: Line) -> Iterable[str]:
    curves = "".join(
        f"L{_point(begin)}Q{_point(corner)} {_point(end)}" for begin, corner, end in rounded(line.points, RADIUS)
    )
    # The line ends inside the arrow head, because its own end would blunt the tip.
    *head, end = arrow(line.points)
    dashes = ' stroke-dasharray="1 4" stroke-linecap="round"' if line.dashed else ""
    yield "<g>"
    yield _tag("title", line.title)
    path = f"M{_point(line.points[0])}{curves}L{_point(end)}"
    yield f'<path d="{path}" fill="none" stroke="{INK["line"]}" stroke-width="1.5"{dashes}/>'
    yield f'<path d="M{"L".join(map(_point, head))}Z" fill="{INK["line"]}"/>'
    yield from map(_text, line.labels)
    yield "</g>"


def _rect(box: Rect, radius: float, fill: str, edge: str = "", dashes: str = "") -> str:
    place = f'x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="{radius:g}"'
    stroke = f' stroke="{edge}"' if edge else ""
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<rect {place} fill="{fill}"{stroke}{dashed}/>'


def _text(text: Text) -> str:
    weight = ' font-weight="600"' if text.role in BOLD else ""
    anchor = f' text-anchor="{text.anchor}"' if text.anchor != "start" else ""
    size = f'font-size="{SIZES[text.role]:g}"'
    return _tag("text", text.text, f' x="{text.x:g}" y="{text.y:g}" {size} fill="{text.ink}"{weight}{anchor}')


def _tag(name: str, text: str, attributes: str = "") -> str:
    return f"<{name}{attributes}>{escape(printable(text))}</{name}>"


def _point(point: Point) -> str:
    return f"{point[0]:g} {point[1]:g}"
