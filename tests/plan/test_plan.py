"""Plans as values: lookup, change, JSON, hash."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import pytest

from bmfgraph.plan.plan import SCHEMA, Plan, PlanNode, Ref, json_ready
from bmfgraph.plan.types import AudioSpec, Port, TrackSpec
from tests.tools import frames, node, tensor


@pytest.fixture
def plan() -> Plan:
    source = dataclasses.replace(
        node("decoder", name="source", path="a.mp4"),
        outputs=(Port("video", frames()), Port("audio", AudioSpec((TrackSpec(1, "audio", "aac", "", 48000, 1),)))),
    )
    sink = node("encoder", "source.video", "source.audio", name="sink", path="b.mp4")
    return Plan("copy", (source, sink))


@pytest.mark.parametrize(
    ("text", "ref"), [("a", Ref("a")), ("a.b", Ref("a", "b")), ("a.b.c", Ref("a", "b.c")), ("", Ref(""))]
)
def test_a_ref_is_split_at_the_first_dot(text: str, ref: Ref) -> None:
    assert Ref.parse(text) == ref
    assert str(ref) == text


def test_lookup(plan: Plan) -> None:
    assert plan.node("sink").kind == "encoder"
    assert [one.name for one in plan] == ["source", "sink"]
    assert [(consumer.name, index) for consumer, index in plan.consumers("source")] == [("sink", 0), ("sink", 1)]
    assert plan.consumers("sink") == ()
    assert plan.type_of(Ref("source", "audio")) == AudioSpec((TrackSpec(1, "audio", "aac", "", 48000, 1),))
    assert plan.type_of(Ref("source")) == frames()
    with pytest.raises(KeyError, match="nobody"):
        plan.node("nobody")
    with pytest.raises(KeyError, match=r"source\.smell"):
        plan.type_of(Ref("source", "smell"))


def test_replace_makes_a_new_plan(plan: Plan) -> None:
    changed = plan.replace(dataclasses.replace(plan.node("sink"), bmf_node="here"))
    assert changed.node("sink").bmf_node == "here"
    assert plan.node("sink").bmf_node == ""
    assert changed.node("source") is plan.node("source")


def test_equal_plans_have_equal_hashes_and_a_change_shows(plan: Plan) -> None:
    assert plan.hash() == dataclasses.replace(plan).hash()
    assert len(plan.hash()) == 64
    changed = plan.replace(dataclasses.replace(plan.node("sink"), params={"crf": 3}))
    assert changed.hash() != plan.hash()
    assert Plan("other", plan.nodes).hash() != plan.hash()


def test_json_survives_a_round_trip_and_carries_the_schema(plan: Plan) -> None:
    data = plan.as_json()
    assert json.loads(json.dumps(data)) == data
    assert data["schema"] == SCHEMA == 2
    source = data["nodes"][0]
    assert source["outputs"]["video"]["rate"] == "25/1"
    assert source["outputs"]["audio"]["is"] == "audio aac 48000 Hz 1 ch"
    assert data["nodes"][1]["inputs"] == ["source.video", "source.audio"]


def test_tensors_in_json_show_shape_and_placement() -> None:
    made = PlanNode("p", node("preprocess", "a").spec, (), (Port("out", tensor()),))
    out = Plan("x", (made,)).as_json()["nodes"][0]["outputs"]["out"]
    assert out["shape"] == [1, 3, 48, 64]
    assert out["placement"]["scale_x"] == 1.0
    assert "source" not in out


def test_json_ready_takes_what_plans_hold_and_nothing_else() -> None:
    assert json_ready({1: (Fraction(1, 3), Path("a/b"), None, True)}) == {"1": ["1/3", "a/b", None, True]}
    with pytest.raises(TypeError, match="set has no JSON form"):
        json_ready({1})
    with pytest.raises(TypeError, match="type has no JSON form"):
        json_ready(Port)
