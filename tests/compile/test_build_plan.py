"""Spec to plan: order, edges, ports."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from bmfgraph.compile.build_plan import build_plan
from bmfgraph.config.pipeline import parse_pipeline
from bmfgraph.errors import SpecError
from bmfgraph.plan.plan import Plan, Ref


def lowered(nodes: dict[str, Any]) -> Plan:
    return build_plan(parse_pipeline({"name": "x", "nodes": nodes}))


NODES: dict[str, Any] = {
    "source": {"kind": "decoder", "path": "a.mp4"},
    "left": {"kind": "preprocess", "inputs": ["source"]},
    "right": {"kind": "preprocess", "inputs": ["source.video"]},
    "one": {"kind": "frames", "inputs": ["left"]},
    "sink": {"kind": "encoder", "inputs": ["one", "source.audio"], "path": "b.mp4"},
    "other": {"kind": "frames", "inputs": "right"},
    "second": {"kind": "encoder", "inputs": "other", "path": "c.mp4"},
}


@pytest.mark.sample(40)
@pytest.mark.parametrize("order", list(itertools.permutations(NODES))[::37])
def test_nodes_come_after_those_they_take_from(order: tuple[str, ...]) -> None:
    plan = lowered({name: NODES[name] for name in order})
    place = {node.name: number for number, node in enumerate(plan)}
    assert set(place) == set(NODES)
    for node in plan:
        assert all(place[ref.node] < place[node.name] for ref in node.inputs)


def test_a_node_without_a_port_means_its_first_one() -> None:
    plan = lowered(NODES)
    assert plan.node("left").inputs == (Ref("source", "video"),)
    assert plan.node("one").inputs == (Ref("left", "out"),)
    assert plan.node("sink").inputs == (Ref("one", "out"), Ref("source", "audio"))


def test_the_plan_has_no_types_yet() -> None:
    plan = lowered(NODES)
    assert all(node.outputs == () and node.params is None and node.metadata is None for node in plan)


def test_every_bad_edge_is_told() -> None:
    nodes = NODES | {"sink": NODES["sink"] | {"inputs": ["on", "source.sound"]}}
    plan = lowered(nodes)
    (error,) = plan.errors
    assert isinstance(error, SpecError)
    assert [problem.path for problem in error.problems] == [
        "pipeline.nodes.sink.inputs.0",
        "pipeline.nodes.sink.inputs.1",
    ]


def test_a_circle_is_told_in_the_direction_of_the_data() -> None:
    nodes = NODES | {"left": {"kind": "preprocess", "inputs": ["one"]}}
    plan = lowered(nodes)
    (error,) = plan.errors
    assert isinstance(error, SpecError)
    assert re.search(r"left → one → left|one → left → one", str(error))
    assert {node.name for node in plan} == {"source", "right", "other", "second"}


def test_what_a_bad_edge_does_not_concern_stays() -> None:
    nodes = NODES | {"one": NODES["one"] | {"inputs": ["gone"]}}
    plan = lowered(nodes)
    assert [problem.code for error in plan.errors for problem in error.problems] == ["E216"]
    assert {node.name for node in plan} == {"source", "left", "right", "other", "second"}


def test_nodes_that_are_wrong_in_themselves_are_no_unknown_nodes() -> None:
    spec = parse_pipeline({"name": "x", "nodes": {name: node for name, node in NODES.items() if name != "left"}})
    plan = build_plan(spec, lost=["left"])
    assert plan.errors == ()
    assert {node.name for node in plan} == {"source", "right", "other", "second"}


def test_a_node_that_nobody_takes_from_is_told() -> None:
    plan = lowered(NODES | {"idle": {"kind": "preprocess", "inputs": ["source"]}})
    assert [str(error) for error in plan.errors] == [
        "pipeline.nodes.idle: (preprocess) its output is not connected\n"
        "  → connect it, or take it out with ~pipeline.nodes.idle"
    ]
    assert plan.has("idle")
