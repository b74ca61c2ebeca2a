"""Insert the nodes that belong behind the outputs of others, such as the tone mapping of a decoder."""

from __future__ import annotations

from dataclasses import replace

from bmfgraph.compile.passes import compiler_pass
from bmfgraph.plan.plan import Plan, PlanNode, Ref

__all__ = ["insert_followers"]


@compiler_pass()
def insert_followers(plan: Plan) -> Plan:
    """Put each follower between its output and the consumers of that output."""
    nodes: list[PlanNode] = []
    moved: dict[Ref, Ref] = {}
    names = {node.name for node in plan}
    for node in plan:
        nodes.append(replace(node, inputs=tuple(moved.get(ref, ref) for ref in node.inputs)))
        follower = node.spec.follower(node)
        if follower is None:
            continue
        port, spec = follower
        name = f"{node.name}-{spec.kind}"
        while name in names:
            name += "-"
        names.add(name)
        nodes.append(PlanNode(name, spec, (Ref(node.name, port),)))
        moved[Ref(node.name, port)] = Ref(name, spec.ports()[0])
    return replace(plan, nodes=tuple(nodes))
