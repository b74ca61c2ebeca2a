"""Leave out nodes that pass their input on unchanged, such as a temporal window of one frame."""

from __future__ import annotations

from dataclasses import replace

from bmfgraph.compile.passes import compiler_pass
from bmfgraph.plan.plan import Plan

__all__ = ["drop_identity"]


@compiler_pass(requires=("types",), ensures=("types",))
def drop_identity(plan: Plan) -> Plan:
    """Leave out identities that have one input and a consumer."""
    for node in plan.nodes:
        consumers = {consumer.name: consumer for consumer, _ in plan.consumers(node.name)}
        # A node without consumers stays, so that `verify` names it and not the node before it.
        if consumers and len(node.inputs) == 1 and node.spec.identity(node.params):
            source = plan.node(node.name).inputs[0]
            plan = plan.replace(
                *(
                    replace(
                        consumer,
                        inputs=tuple(source if ref.node == node.name else ref for ref in plan.node(name).inputs),
                    )
                    for name, consumer in consumers.items()
                )
            )
            plan = replace(plan, nodes=tuple(other for other in plan.nodes if other.name != node.name))
    return plan
