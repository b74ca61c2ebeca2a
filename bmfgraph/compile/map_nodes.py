"""Apply a change to every node of a plan, and collect the errors of all nodes.

A node that cannot be compiled leaves the plan with all nodes that depend on it; the rest is still compiled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from bmfgraph import error_codes as codes
from bmfgraph.errors import BmfgraphError, PlanError
from bmfgraph.plan.plan import Plan, PlanNode

__all__ = ["kind_errors_as_plan_errors", "map_nodes"]


def map_nodes(plan: Plan, change: Callable[[Plan, PlanNode], PlanNode]) -> Plan:
    """Change every node, in running order.

    Args:
        plan: The plan.
        change: Gets the plan with all earlier nodes changed, and the node; returns the changed node.
    """
    for name in [node.name for node in plan]:
        if not plan.has(name):
            continue
        try:
            with kind_errors_as_plan_errors(plan.node(name)):
                plan = plan.replace(change(plan, plan.node(name)))
        except BmfgraphError as error:
            plan = plan.without(name, error)
    return plan


@contextlib.contextmanager
def kind_errors_as_plan_errors(node: PlanNode) -> Iterator[None]:
    """Turn an unexpected exception of a third party's kind into an error that names its node."""
    try:
        yield
    except BmfgraphError:
        raise
    except Exception as error:
        module = type(node.spec).__module__
        if module.startswith("bmfgraph."):
            raise
        raise PlanError(
            node.name,
            f"kind {node.kind!r}, which is defined in {module}, fails: {type(error).__name__}: {error}",
            hint="report it to the author of that package, or take the node out",
            code=codes.NODE_CONTRACT_VIOLATION,
        ) from error
