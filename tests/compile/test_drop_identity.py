"""Nodes that do nothing are left out."""

from __future__ import annotations

import pytest

from bmfgraph.compile.drop_identity import drop_identity
from bmfgraph.compile.infer_types import infer_types
from bmfgraph.errors import PlanError
from bmfgraph.plan.plan import Ref
from tests.compile.pipelines import UPSCALE, MakePlan, names


def test_a_window_of_one_is_left_out(plan: MakePlan) -> None:
    assert "window" in names(plan(UPSCALE, infer_types))
    made = plan(UPSCALE, drop_identity)
    assert "window" not in names(made)
    assert made.node("net").inputs == (Ref("prepare", "out"),)


def test_two_in_a_row_are_left_out(plan: MakePlan) -> None:
    text = UPSCALE.replace("inputs: window\n", "inputs: again\n") + "again: {kind: window, inputs: window}\n"
    made = plan(text, drop_identity)
    assert made.node("net").inputs == (Ref("prepare", "out"),)
    assert {"window", "again"}.isdisjoint(names(made))
    assert plan(text)


def test_one_that_nobody_takes_from_stays(plan: MakePlan) -> None:
    text = UPSCALE.replace("inputs: window\n", "inputs: prepare\n")
    assert "window" in names(plan(text, drop_identity))
    with pytest.raises(PlanError) as caught:
        plan(text)
    assert caught.value.node == "window"
