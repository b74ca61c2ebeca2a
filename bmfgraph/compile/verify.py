"""Last look at the whole plan: no node idle, no file written twice or over an input."""

from __future__ import annotations

from pathlib import Path

from bmfgraph.compile.map_nodes import map_nodes
from bmfgraph.errors import PlanError
from bmfgraph.nodes.bmf_options import native_module
from bmfgraph.plan.plan import Plan, PlanNode, files_read, json_ready

__all__ = ["verify"]


def verify(plan: Plan) -> Plan:
    """Requires: everything. Ensures nothing further."""
    reads, written = files_read(plan), dict[Path, str]()

    def check(plan: Plan, node: PlanNode) -> PlanNode:
        _check_node(plan, node)
        path = node.written
        if path is None:
            return node
        full = Path(path).resolve()
        if full in written:
            raise PlanError(
                node.name,
                f"path {path!r} is also written by {written[full]!r}",
                hint=f"give pipeline.nodes.{node.name}.path another name",
                code="E305",
            )
        if full in reads:
            raise PlanError(
                node.name, f"path {path!r} is what {reads[full]!r} reads", hint="write to another file", code="E306"
            )
        written[full] = node.name
        return node

    return map_nodes(plan, check)


def _check_node(plan: Plan, node: PlanNode) -> None:
    # Where nodes left the plan, those that they took from have lost their consumers.
    if node.outputs and not plan.errors and not plan.consumers(node.name):
        raise PlanError(
            node.name,
            f"({node.kind}) nobody takes what it makes",
            hint="connect it, or take it out with ~pipeline.nodes." + node.name,
            code="E304",
        )
    if node.spec.stage and len(node.spec.ports()) > 1:
        raise PlanError(
            node.name,
            f"kind {node.kind!r} has a stage and {len(node.spec.ports())} ports; a stage has one output",
            hint="make a kind for each of the outputs",
            code="E307",
        )
    if not node.spec.stage:
        # It raises where the node is none of BMF's.
        native_module(plan, node)
    try:
        json_ready(node.params)
    except TypeError as error:
        raise PlanError(
            node.name,
            f"kind {node.kind!r} resolves to settings without a JSON form: {error}",
            hint="make them a frozen dataclass of plain values",
            code="E307",
        ) from None
