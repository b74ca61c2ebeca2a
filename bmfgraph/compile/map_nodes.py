"""What passes do alike: a node that cannot be compiled leaves the plan with all that depend on it, and its error stays.

So one mistake hides no other: the rest of the plan is compiled on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from bmfgraph.errors import BmfgraphError, PlanError
from bmfgraph.plan.plan import Plan, PlanNode

__all__ = ["kind_errors_as_plan_errors", "map_nodes"]


def map_nodes(plan: Plan, change: Callable[[Plan, PlanNode], PlanNode]) -> Plan:
    """Change every node, in running order; ``change`` sees the plan with the nodes before it changed."""
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
    """Turn what a third party's kind raises, and should not, into an error that names its node."""
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
            hint="tell the author of that package, or take the node out",
            code="E307",
        ) from error
