"""Check the whole plan: no node is idle, and no file is written twice or over an input."""

from __future__ import annotations

from pathlib import Path

from bmfgraph import error_codes as codes
from bmfgraph.compile.build_plan import idle_errors
from bmfgraph.compile.map_nodes import map_nodes
from bmfgraph.compile.passes import compiler_pass
from bmfgraph.errors import PlanError
from bmfgraph.plan.plan import Plan, PlanNode, files_read, json_ready

__all__ = ["verify"]


@compiler_pass(requires=("types", "own audio", "engines", "joined", "bmf nodes"))
def verify(plan: Plan) -> Plan:
    """Refuse idle nodes, files that are written twice or over an input, and kinds that break their contract."""
    reads, written = files_read(plan), dict[Path, str]()
    pipes: dict[str, str] = {}
    # Nodes that left the plan no longer consume the outputs of others.
    idle = [] if plan.errors else idle_errors(plan)

    def check(plan: Plan, node: PlanNode) -> PlanNode:
        _check_contract(plan, node)
        info = node.spec.source(node.params)
        if info and info.pipe and pipes.setdefault(info.pipe, node.name) != node.name:
            raise PlanError(
                node.name,
                f"input {info.pipe!r} is a pipe, and {pipes[info.pipe]!r} reads it already",
                hint="write it to a file first, or connect both to one decoder",
                code=codes.UNREADABLE_PIPE,
            )
        path = node.written
        if path is None:
            return node
        full = Path(path).resolve()
        if full in written:
            raise PlanError(
                node.name,
                f"path {path!r} is also written by {written[full]!r}",
                hint=f"give pipeline.nodes.{node.name}.path another name",
                code=codes.DUPLICATE_OUTPUT_PATH,
            )
        if full in reads:
            raise PlanError(
                node.name,
                f"path {path!r} is read by {reads[full]!r}",
                hint="write to another file",
                code=codes.INPUT_OVERWRITE,
            )
        written[full] = node.name
        return node

    plan = map_nodes(plan, check)
    for error in idle:
        plan = plan.without(error.node, error) if plan.has(error.node) else plan
    return plan


def _check_contract(plan: Plan, node: PlanNode) -> None:
    if node.spec.stage and len(node.spec.ports()) > 1:
        raise PlanError(
            node.name,
            f"kind {node.kind!r} has a stage and {len(node.spec.ports())} ports; a stage has one output",
            hint="make a kind for each of the outputs",
            code=codes.NODE_CONTRACT_VIOLATION,
        )
    if not node.spec.stage and node.spec.bmf_module(node, plan) is None:
        raise PlanError(
            node.name,
            f"kind {node.kind!r} has neither a stage nor a BMF module",
            hint="set `stage` of its class to package.module:Class",
            code=codes.NODE_CONTRACT_VIOLATION,
        )
    # Methods of a third party's kind fail here, where the error names the node, and not while it runs.
    node.spec.needs(node.params)
    node.spec.source(node.params)
    node.spec.summary(node, tuple(plan.type_of(ref) for ref in node.inputs))
    try:
        json_ready(node.params)
    except TypeError as error:
        raise PlanError(
            node.name,
            f"kind {node.kind!r} infers params without a JSON form: {error}",
            hint="make them a frozen dataclass of plain values",
            code=codes.NODE_CONTRACT_VIOLATION,
        ) from None
