"""HTML and SVG that cannot be broken by what it says: every text is escaped unless it is markup made here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

__all__ = ["Html", "copy_button", "escaped", "joined", "tag"]

_VOID = ("br", "input", "link", "meta")
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\u007e\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Control characters and halves of pairs: no document can hold them."""


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def escaped(text: object) -> Html:
    """The text as markup; markup stays what it is."""
    return text if isinstance(text, Html) else Html(escape(_FORBIDDEN.sub("�", str(text)), quote=True))


def joined(parts: Iterable[object], between: str = "") -> Html:
    """The parts, each escaped where it needs it, one after the other."""
    return Html(between.join(map(escaped, parts)))


def tag(name: str, /, *children: object, **attributes: str | float | bool | None) -> Html:
    """An element. ``class_`` stands for class, ``data_x`` for data-x; an attribute of None or False is left out."""
    written = "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not None and value is not False
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(children)}</{name}>")


def copy_button(text: str, what: str) -> Html:
    """A button that puts a text on the clipboard; the page's script makes it work."""
    return tag("button", "copy", type="button", class_="copy", data_copy=text, aria_label=f"copy {what}")


def _attribute(key: str, value: str | float | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f' {name}=""'
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f' {name}="{escaped(text)}"'
