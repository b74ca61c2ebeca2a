"""Last look at the whole plan: no node idle, no file written twice or over an input."""

from __future__ import annotations

from pathlib import Path

from bmfgraph.errors import PlanError
from bmfgraph.plan import Plan

__all__ = ["verify"]


def verify(plan: Plan) -> Plan:
    """Requires: everything. Ensures nothing further; raises PlanError."""
    written: dict[Path, str] = {}
    reads = {
        Path(node.work.path).resolve(): node.name for node in plan if not node.inputs and hasattr(node.work, "path")
    }
    for node in plan:
        if node.outputs and not plan.consumers(node.name):
            raise PlanError(
                node.name,
                f"({node.kind}) nobody takes what it makes",
                hint="connect it, or take it out with ~pipeline.nodes." + node.name,
            )
        path = getattr(node.work, "path", None)
        if node.outputs or path is None:
            continue
        full = Path(path).resolve()
        if full in written:
            raise PlanError(
                node.name,
                f"path {path!r} is also written by {written[full]!r}",
                hint=f"give pipeline.nodes.{node.name}.path another name",
            )
        if full in reads:
            raise PlanError(node.name, f"path {path!r} is what {reads[full]!r} reads", hint="write to another file")
        written[full] = node.name
    return plan
