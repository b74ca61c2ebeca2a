"""Check the helpers for short texts."""

from __future__ import annotations

import pytest

from bmfgraph.system.text import counted, printable, shortened, size_text


def test_shortened() -> None:
    assert [shortened("abcdefgh", maximum) for maximum in (8, 7, 4)] == ["abcdefgh", "abc…fgh", "ab…h"]


def test_counted() -> None:
    assert [counted(number, "node") for number in (0, 1, 2)] == ["0 nodes", "1 node", "2 nodes"]


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0.0 kB"), (65_536, "65.5 kB"), (1.25e6, "1.2 MB"), (3e9, "3,000.0 MB")]
)
def test_sizes(size: float, text: str) -> None:
    assert size_text(size) == text


def test_printable() -> None:
    assert printable("\x07\x85\ud800é𝄞\n") == "\ufffd\ufffd\ufffdé𝄞\n"
