"""Run neighbouring stages in one BMF node, except between frames: tensors and results need no queue of their own."""

from __future__ import annotations

from dataclasses import replace

from bmfgraph.compile.passes import compiler_pass
from bmfgraph.plan.plan import Plan
from bmfgraph.plan.types import FrameSpec

__all__ = ["fuse"]


@compiler_pass(requires=("types", "joined"), ensures=("bmf nodes",))
def fuse(plan: Plan) -> Plan:
    """Set ``bmf_node`` of every node; nodes that share one form a chain in running order."""
    chains: dict[str, list[str]] = {}
    head: dict[str, str] = {}
    for node in plan:
        head[node.name] = node.name
        chains[node.name] = [node.name]
        if not node.spec.stage or len(node.inputs) != 1:
            continue
        before = plan.node(node.inputs[0].node)
        alone = len(plan.consumers(before.name)) == 1
        if before.spec.stage and alone and not isinstance(plan.type_of(node.inputs[0]), FrameSpec):
            head[node.name] = head[before.name]
            chains[head[before.name]] += chains.pop(node.name)
    names = {member: "+".join(chain) for chain in chains.values() for member in chain}
    return plan.replace(*(replace(node, bmf_node=names[node.name]) for node in plan))
