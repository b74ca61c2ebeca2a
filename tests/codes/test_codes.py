"""Every code is provoked through the command line, and its message says where, what and what to do."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from bmfgraph.error_codes import CODES
from bmfgraph.errors import did_you_mean
from tests.codes.command import Situation, run_words
from tests.codes.conftest import Shop
from tests.codes.row import COPY, UP, Row
from tests.codes.table import ELSEWHERE, ROWS

_PLACE = re.compile(r"[\w./:+=, -]+: |.*('[^']+'|--\w+)")
"""A path in YAML or of a file at the beginning, or a node, a word or a flag by its name."""
_NOWHERE = {"E701", "E702"}
"""They concern the machine."""


def ids() -> list[str]:
    numbers: Counter[str] = Counter()
    found = []
    for row in ROWS:
        numbers[row.code] += 1
        found.append(f"{row.code}-{numbers[row.code]}")
    return found


@pytest.mark.parametrize("row", ROWS, ids=ids())
def test_a_mistake(shop: Shop, row: Row) -> None:
    told = shop.told(row)
    assert told.code == row.exit, told
    for text in (told.out, told.err):
        assert "Traceback" not in text
    assert {problem["code"] for problem in told.problems} == {row.code, *row.also}, told
    for problem, text in zip(told.problems, told.texts, strict=True):
        assert problem["severity"] == ("warning" if problem["code"].startswith("W") else "error")
        assert problem["hint"], text
        assert _PLACE.match(text) or problem["code"] in _NOWHERE, text
    assert any(shop.text(row) in text for text in told.texts), told.texts


def test_no_two_mistakes_give_the_same_text(shop: Shop) -> None:
    texts = Counter(told.texts for row in ROWS if not shop.unfit(row) and (told := shop.told(row)))
    assert [text for text, count in texts.items() if count > 1] == []


def test_every_code_is_provoked() -> None:
    provoked = {row.code for row in ROWS}
    assert set(ELSEWHERE) & provoked == set()
    assert provoked | set(ELSEWHERE) == set(CODES)


def test_a_broken_package_harms_only_those_who_ask_for_its_kind(shop: Shop) -> None:
    for pack in ("broken", "leaving"):
        assert run_words(UP, shop.folder, Situation(packs=(f"packs/{pack}",))).problems == ()
    twice = run_words(COPY, shop.folder, Situation(packs=("packs/first", "packs/second")))
    assert twice.code == 0


def test_nearest_words_are_suggested_whatever_their_capitals() -> None:
    assert did_you_mean("nchw", ["NCHW", "NHWC"]) == " (did you mean 'NCHW'?)"
    assert did_you_mean("records", ["records", "report"]) == ""
    assert did_you_mean("restore", ["source", "sink"]) == ""
