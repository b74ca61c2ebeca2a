"""Which stages share a BMF node."""

from __future__ import annotations

import itertools

from bmfgraph.plan.plan import Plan
from tests.compile.pipelines import UPSCALE, MakePlan


def hosts(plan: Plan) -> dict[str, str]:
    return {node.name: node.bmf_node for node in plan}


def test_a_chain_of_tensor_stages_is_one_host(plan: MakePlan) -> None:
    made = hosts(plan(UPSCALE))
    assert made["prepare"] == made["net"] == made["restore"] == "prepare+net+restore"
    assert made["source"] == "source"
    assert made["sink"] == "sink"
    assert made["source-rgb24"] == "source-rgb24"


def test_a_tensor_with_two_consumers_ends_the_chain(plan: MakePlan) -> None:
    text = (
        UPSCALE
        + """
look: {kind: frames, inputs: prepare}
sink2: {kind: encoder, inputs: look, path: "@look.mp4"}
"""
    )
    made = hosts(plan(text))
    assert made["prepare"] == "prepare"
    assert made["net"] == made["restore"] == "net+restore"
    assert made["look"] == "look"


def test_frames_between_stages_are_not_fused(plan: MakePlan) -> None:
    text = (
        UPSCALE.replace("inputs: [restore,", "inputs: [back,")
        + """
again: {kind: preprocess, inputs: restore}
back: {kind: frames, inputs: again}
"""
    )
    made = hosts(plan(text))
    assert made["restore"] == "prepare+net+restore"
    assert made["again"] == made["back"] == "again+back"


def test_every_host_is_one_chain_in_running_order(plan: MakePlan) -> None:
    made = plan(UPSCALE)
    for host in {node.bmf_node for node in made}:
        members = [node for node in made if node.bmf_node == host]
        assert "+".join(node.name for node in members) == host
        for before, after in itertools.pairwise(members):
            assert [ref.node for ref in after.inputs] == [before.name]
