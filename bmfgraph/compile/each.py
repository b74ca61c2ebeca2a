"""What passes do alike: a node that cannot be compiled leaves the plan with all that depend on it, and its error stays.

So one mistake hides no other: the rest of the plan is compiled on.
"""

from __future__ import annotations

from collections.abc import Callable

from bmfgraph.errors import BmfgraphError
from bmfgraph.plan import Plan, PlanNode

__all__ = ["each"]


def each(plan: Plan, change: Callable[[Plan, PlanNode], PlanNode]) -> Plan:
    """Change every node, in running order; ``change`` sees the plan with the nodes before it changed."""
    for name in [node.name for node in plan]:
        if not plan.has(name):
            continue
        try:
            plan = plan.replace(change(plan, plan.node(name)))
        except BmfgraphError as error:
            plan = plan.without(name, error)
    return plan
