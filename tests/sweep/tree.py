"""Parse an HTML page into a tree of elements."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

__all__ = ["Node", "parsed"]

VOID = {"br", "input", "link", "meta"}


@dataclass
class Node:
    """An element of a page."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Any] = field(default_factory=list)

    def all(self, name: str = "", **attributes: str) -> list[Node]:
        """Return the elements inside with a name and with words in their attributes."""
        inside = [node for child in self.children if isinstance(child, Node) for node in child.all(name, **attributes)]
        own = all(
            word in self.attributes.get(key.rstrip("_").replace("_", "-"), "").split()
            for key, word in attributes.items()
        )
        return ([self] if own and name in ("", self.name) else []) + inside

    def text(self) -> str:
        """Return the text inside."""
        return "".join(child.text() if isinstance(child, Node) else child for child in self.children)


class Parser(HTMLParser):
    """Build the tree; every element must be closed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("")
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), tag
        node = Node(tag, {key: value or "" for key, value in attrs})
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().name == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parsed(text: str) -> Node:
    parser = Parser()
    parser.feed(text)
    parser.close()
    assert parser.open == [parser.root]
    return parser.root
