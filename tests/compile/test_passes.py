"""Conditions of passes, and errors that name the pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bmfgraph.compile import PASSES
from bmfgraph.compile.assign_devices import assign_devices
from bmfgraph.compile.fuse_stages import fuse
from bmfgraph.compile.passes import CONDITIONS, PassError, compiler_pass, run_passes
from bmfgraph.nodes.encoder import EncoderSpec
from bmfgraph.plan.plan import Plan
from tests.compile.pipelines import UPSCALE, MakePlan


def test_all_conditions_are_known_and_ensured_before_they_are_required() -> None:
    ensured: set[str] = set()
    for step in PASSES:
        assert set(step.requires) <= ensured, step.name
        ensured |= set(step.ensures)
    assert ensured == set(CONDITIONS)


def test_every_condition_can_fail(plan: MakePlan) -> None:
    made = plan(UPSCALE, fuse)
    net, sink = made.node("net"), made.node("sink")
    assert isinstance(sink.spec, EncoderSpec)
    broken = {
        "types": replace(made, nodes=made.nodes[::-1]),
        "engines": made.replace(replace(net, params=replace(net.params, engine=None))),
        "devices": made.replace(replace(net, device="cuda")),
        "joined": made.replace(replace(made.node("sink"), inputs=(made.node("prepare").inputs[0],))),
        "bmf nodes": made.replace(replace(net, bmf_node="source")),
        "own audio": made.replace(replace(sink, spec=sink.spec.model_copy(update={"backend": "bmf"}))),
    }
    assert broken.keys() == CONDITIONS.keys()
    for condition, wrong in broken.items():
        assert all(CONDITIONS[condition](made, node) for node in made), condition
        assert not all(CONDITIONS[condition](wrong, node) for node in wrong), condition


def test_a_violation_names_the_pass_and_those_before_it(plan: MakePlan) -> None:
    def forget_types(plan: Plan) -> Plan:
        return plan.replace(*(replace(node, outputs=()) for node in plan))

    def nothing(plan: Plan) -> Plan:
        return plan

    forgetful = compiler_pass(ensures=("types",))(forget_types)
    with pytest.raises(PassError) as caught:
        run_passes(plan(UPSCALE, assign_devices), [compiler_pass()(nothing), forgetful])
    assert str(caught.value) == (
        "compiler pass forget_types failed (passes before it: nothing): "
        "forget_types ensures 'types', which node 'prepare' (preprocess) does not have"
    )


def test_an_exception_names_the_pass(plan: MakePlan) -> None:
    def divide(plan: Plan) -> Plan:
        raise ZeroDivisionError("by zero")

    with pytest.raises(PassError, match=r"^compiler pass divide failed \(passes before it: none\): ZeroDivisionError"):
        run_passes(plan(UPSCALE, assign_devices), [compiler_pass()(divide)])
