"""Leave out nodes that hand on what they get, such as a temporal window of one frame."""

from __future__ import annotations

from dataclasses import replace

from bmfgraph.plan.plan import Plan

__all__ = ["drop_identity"]


def drop_identity(plan: Plan) -> Plan:
    """Requires: types. Ensures: no node of one input is an identity."""
    for node in plan.nodes:
        consumers = {consumer.name: consumer for consumer, _ in plan.consumers(node.name)}
        # Without consumers it stays, so that `verify` names it and not the node before it.
        if consumers and len(node.inputs) == 1 and node.spec.identity(node.params):
            source = plan.node(node.name).inputs[0]
            plan = plan.replace(
                *(
                    replace(
                        one,
                        inputs=tuple(source if ref.node == node.name else ref for ref in plan.node(name).inputs),
                    )
                    for name, one in consumers.items()
                )
            )
            plan = replace(plan, nodes=tuple(one for one in plan.nodes if one.name != node.name))
    return plan
