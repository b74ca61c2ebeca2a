"""Bind engines: the file, the runtime and the input shapes go into every inference node."""

from __future__ import annotations

from dataclasses import replace

from bmfgraph.engines.request import EngineRequest
from bmfgraph.nodes.inference import InferenceSpec, InferenceWork
from bmfgraph.plan import Plan, PlanNode

__all__ = ["bind_engines"]


def bind_engines(plan: Plan) -> Plan:
    """Requires: types. Ensures: ``work.engine`` of every inference node."""
    return plan.replace(*(_bound(node) for node in plan if isinstance(node.spec, InferenceSpec)))


def _bound(node: PlanNode) -> PlanNode:
    assert isinstance(node.spec, InferenceSpec)
    work: InferenceWork = node.work
    options = node.spec.engine
    request = EngineRequest(
        # The one runtime there is; the choice among several belongs here.
        runtime="onnxruntime",
        path=str(node.facts.path),
        sha256=node.facts.sha256,
        precision=options.precision,
        batch=options.batch,
        threads=options.threads,
        input_shapes=((work.input, work.input_shape),),
        free_dims=node.spec.free_dims(node),
    )
    return replace(node, work=replace(work, engine=request))
