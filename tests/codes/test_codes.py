"""Test that the command line can provoke every code, with a place, a message and a hint."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from bmfgraph.error_codes import CODES
from bmfgraph.errors import did_you_mean
from tests.codes.command import Situation, run_cli
from tests.codes.conftest import Shop
from tests.codes.row import COPY, UP, Row
from tests.codes.table import ELSEWHERE, ROWS

_PLACE = re.compile(r"[\w./:+=, -]+: |.*('[^']+'|--\w+)")
"""A YAML path or a file at the beginning, or the name of a node, an argument or a flag."""
_NOWHERE = {"E701", "E702"}
"""Codes of the machine, which have no place."""


def cases() -> Iterator[Any]:
    """Yield the rows; those after the first of each code are left to ``make wide``."""
    numbers: Counter[str] = Counter()
    for row in ROWS:
        numbers[row.code] += 1
        marks = [pytest.mark.wide] if numbers[row.code] > 1 else []
        yield pytest.param(row, id=f"{row.code}-{numbers[row.code]}", marks=marks)


@pytest.mark.parametrize("row", list(cases()))
def test_a_mistake(shop: Shop, row: Row) -> None:
    outcome = shop.outcome(row)
    assert outcome.code == row.exit, outcome
    for text in (outcome.out, outcome.err):
        assert "Traceback" not in text
    assert {problem["code"] for problem in outcome.problems} == {row.code, *row.also}, outcome
    for problem, text in zip(outcome.problems, outcome.texts, strict=True):
        assert problem["severity"] == ("warning" if problem["code"].startswith("W") else "error")
        assert problem["hint"], text
        assert _PLACE.match(text) or problem["code"] in _NOWHERE, text
    assert any(shop.text(row) in text for text in outcome.texts), outcome.texts


@pytest.mark.wide
def test_no_two_mistakes_give_the_same_text(shop: Shop) -> None:
    texts = Counter(outcome.texts for row in ROWS if not shop.unfit(row) and (outcome := shop.outcome(row)))
    assert [text for text, count in texts.items() if count > 1] == []


def test_every_code_is_provoked() -> None:
    provoked = {row.code for row in ROWS}
    assert set(ELSEWHERE) & provoked == set()
    assert provoked | set(ELSEWHERE) == set(CODES)


def test_a_broken_package_harms_only_those_who_ask_for_its_kind(shop: Shop) -> None:
    for pack in ("broken", "leaving"):
        assert run_cli(UP, shop.folder, Situation(packs=(f"packs/{pack}",))).problems == ()
    twice = run_cli(COPY, shop.folder, Situation(packs=("packs/first", "packs/second")))
    assert twice.code == 0


def test_nearest_words_are_suggested_whatever_their_capitals() -> None:
    assert did_you_mean("nchw", ["NCHW", "NHWC"]) == " (did you mean 'NCHW'?)"
    assert did_you_mean("records", ["records", "report"]) == ""
    assert did_you_mean("restore", ["source", "sink"]) == ""
