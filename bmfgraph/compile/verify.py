"""Last look at the whole plan: no node idle, no file written twice or over an input."""

from __future__ import annotations

from pathlib import Path

from bmfgraph.errors import PlanError
from bmfgraph.plan import Plan, PlanNode, json_ready

__all__ = ["files_read", "files_written", "verify"]


def verify(plan: Plan) -> Plan:
    """Requires: everything. Ensures nothing further; raises PlanError."""
    reads, written = files_read(plan), dict[Path, str]()
    for node in plan:
        _check_node(plan, node)
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


def files_read(plan: Plan) -> dict[Path, str]:
    """Every file that a plan reads, in full, and the node that does: inputs and models."""
    found = {}
    for node in plan:
        path = getattr(node.work, "path", None) if not node.inputs else None
        engine = getattr(node.work, "engine", None)
        for one in (path, getattr(engine, "path", None), getattr(engine, "onnx", None)):
            if one:
                found[Path(one).resolve()] = node.name
    return found


def files_written(plan: Plan) -> dict[Path, str]:
    """Every file that a plan writes, in full, and the node that does."""
    paths = {node.name: getattr(node.work, "path", None) for node in plan if not node.outputs}
    return {Path(path).resolve(): name for name, path in paths.items() if path}


def _check_node(plan: Plan, node: PlanNode) -> None:
    if node.outputs and not plan.consumers(node.name):
        raise PlanError(
            node.name,
            f"({node.kind}) nobody takes what it makes",
            hint="connect it, or take it out with ~pipeline.nodes." + node.name,
        )
    if node.spec.stage and len(node.spec.ports()) > 1:
        raise PlanError(
            node.name,
            f"kind {node.kind!r} has a stage and {len(node.spec.ports())} ports; a stage has one output",
            hint="make a kind for each of the outputs",
        )
    try:
        json_ready(node.work)
    except TypeError as error:
        raise PlanError(
            node.name,
            f"kind {node.kind!r} resolves to settings without a JSON form: {error}",
            hint="make them a frozen dataclass of plain values",
        ) from None
