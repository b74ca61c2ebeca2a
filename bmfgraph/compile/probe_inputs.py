"""Look at the world: input files are probed, models fetched and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bmfgraph.compile.map_nodes import kind_errors_as_plan_errors
from bmfgraph.errors import BmfgraphError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.plan import Plan, PlanNode

__all__ = ["discover", "errors_outside"]


def discover(plan: Plan) -> Plan:
    """Ensures: ``facts`` of every node that depends on something outside the pipeline.

    A node's own errors do not depend on those that it takes from, so that all are found.
    """
    found: list[PlanNode] = []
    errors: dict[str, BmfgraphError] = {}
    for node in plan:
        try:
            with kind_errors_as_plan_errors(node):
                found.append(replace(node, metadata=node.spec.probe(node.name)))
        except BmfgraphError as error:
            errors[node.name] = error
    plan = plan.replace(*found)
    for name, failed in errors.items():
        plan = plan.without(name, failed)
    return plan


def errors_outside(nodes: Mapping[str, NodeSpec], plan: Plan) -> list[BmfgraphError]:
    """What is wrong outside the pipeline with those nodes that did not make it into the plan, by others' fault."""
    errors = []
    for name, spec in nodes.items():
        try:
            with kind_errors_as_plan_errors(PlanNode(name, spec)):
                if not plan.has(name):
                    spec.probe(name)
        except BmfgraphError as error:
            errors.append(error)
    return errors
