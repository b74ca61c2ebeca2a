"""Probe input files; fetch and read models."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from bmfgraph.compile.map_nodes import kind_errors_as_plan_errors
from bmfgraph.compile.name_outputs import with_names
from bmfgraph.compile.passes import compiler_pass
from bmfgraph.errors import BmfgraphError, PlanError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.plan import Plan, PlanNode

__all__ = ["errors_outside", "probe_inputs"]


@compiler_pass()
def probe_inputs(plan: Plan) -> Plan:
    """Set ``metadata`` of every node that depends on something outside the pipeline.

    The errors of one node do not hide those of another.
    """
    probed: list[PlanNode] = []
    errors: dict[str, BmfgraphError] = {}
    for node in plan:
        try:
            with kind_errors_as_plan_errors(node):
                node.spec.check_options(node.name)
                probed.append(replace(node, metadata=node.spec.probe(node.name)))
        except BmfgraphError as error:
            errors[node.name] = error
    plan = plan.replace(*probed)
    for name, reason in errors.items():
        plan = plan.without(name, reason)
    return plan


def errors_outside(nodes: Mapping[str, NodeSpec], plan: Plan) -> list[BmfgraphError]:
    """Return probe errors of nodes that the plan lacks because of another node's error.

    Args:
        nodes: The specs of all nodes, by name.
        plan: The plan.
    """
    errors = []
    for name, spec in nodes.items():
        try:
            with kind_errors_as_plan_errors(PlanNode(name, spec)):
                if not plan.has(name):
                    # The words of its name may come from a node that is missing, too.
                    with contextlib.suppress(PlanError):
                        spec = with_names(name, nodes, plan.name)
                    spec.compiled().check_options(name)
                    spec.probe(name)
        except BmfgraphError as error:
            errors.append(error)
    return errors
