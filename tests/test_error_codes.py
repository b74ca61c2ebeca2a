"""The codes of errors and warnings, and the page that explains them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from bmfgraph.error_codes import CODES
from docs.generate import errors_page
from tests.conftest import REPOSITORY

PAGE = REPOSITORY / "docs" / "errors.md"


def used() -> Counter[str]:
    """Every code that the source names."""
    files = (path for path in (REPOSITORY / "bmfgraph").rglob("*.py") if path.name != "error_codes.py")
    return Counter(code for path in files for code in re.findall(r'"([EW]\d{3})"', path.read_text()))


def test_every_code_that_is_used_is_explained_and_the_other_way_round() -> None:
    assert set(used()) == set(CODES)


def test_the_page_is_current(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--regenerate-golden"):
        PAGE.write_text(errors_page())
    assert PAGE.read_text() == errors_page(), "python -m pytest tests/test_error_codes.py --regenerate-golden"


def test_entries_are_sentences_in_the_order_of_their_codes() -> None:
    assert list(CODES) == sorted(CODES)
    for code, entry in CODES.items():
        assert entry.title.endswith("."), code
        assert entry.cure.endswith("."), code
    titles = [entry.title for entry in CODES.values()]
    assert len(set(titles)) == len(titles)


def test_a_page_on_disk_is_markdown_that_has_each_code_once() -> None:
    text = Path(PAGE).read_text()
    assert Counter(re.findall(r"^\| ([EW]\d{3}) \|", text, re.MULTILINE)) == Counter(list(CODES))
