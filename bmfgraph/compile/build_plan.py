"""Build the plan of a spec: check edges, find cycles, sort nodes into running order."""

from __future__ import annotations

import graphlib
from collections.abc import Collection, Iterable

from bmfgraph import error_codes as codes
from bmfgraph.config.pipeline import PipelineSpec
from bmfgraph.errors import PlanError, Problem, SpecError, did_you_mean, join_sorted, nearest
from bmfgraph.plan.plan import Plan, PlanNode, Ref

__all__ = ["build_plan", "idle_errors"]


def build_plan(spec: PipelineSpec, lost: Collection[str] = ()) -> Plan:
    """Return a plan whose edges begin at existing ports and whose nodes come after their inputs.

    Nodes with a bad edge, or in a cycle, are left out with all nodes that depend on them; the plan's ``errors`` have
    the reasons.

    Args:
        spec: The pipeline.
        lost: Names of the YAML's nodes that the spec lacks because they could not be read.
    """
    problems: list[Problem] = []
    nodes: dict[str, PlanNode] = {}
    for name, node in spec.nodes.items():
        refs = tuple(Ref.parse(text) for text in node.inputs)
        checked = [(index, _check(spec, ref)) for index, ref in enumerate(refs) if ref.node not in lost]
        bad = [
            Problem(f"pipeline.nodes.{name}.inputs.{index}", f"{str(refs[index])!r}: {message}", code, hint)
            for index, (message, code, hint) in checked
            if message
        ]
        problems += bad
        if not bad and not any(ref.node in lost for ref in refs):
            nodes[name] = PlanNode(name, node.compiled(), tuple(_named(spec, ref) for ref in refs))
    while missing := [name for name, node in nodes.items() if any(ref.node not in nodes for ref in node.inputs)]:
        for name in missing:
            del nodes[name]
    # A wrong edge leaves its intended source idle, so idle nodes are reported only if all edges are right.
    idle = [] if problems or lost else idle_errors(nodes.values())
    errors: list[SpecError | PlanError] = [SpecError(problems)] if problems else [*idle]
    while True:
        sources = {name: [ref.node for ref in node.inputs] for name, node in nodes.items()}
        try:
            order = tuple(graphlib.TopologicalSorter(sources).static_order())
        except graphlib.CycleError as error:
            cycle = error.args[1]
            text = f"the graph has a cycle: {' → '.join(reversed(cycle))}"
            hint = f"change the `inputs` of one of them, such as pipeline.nodes.{cycle[0]}.inputs"
            errors.append(SpecError([Problem("pipeline.nodes", text, codes.EDGE_CYCLE, hint)]))
            nodes = {name: node for name, node in nodes.items() if not _depends_on(sources, name, set(cycle))}
        else:
            return Plan(spec.name, tuple(nodes[name] for name in order), errors=tuple(errors))


def idle_errors(nodes: Iterable[PlanNode]) -> list[PlanError]:
    """Return an error for each node whose outputs have no consumer."""
    nodes = tuple(nodes)
    connected = {ref.node for node in nodes for ref in node.inputs}
    return [
        PlanError(
            node.name,
            f"({node.kind}) its output is not connected",
            hint=f"connect it, or take it out with ~pipeline.nodes.{node.name}",
            code=codes.UNUSED_NODE,
        )
        for node in nodes
        if node.spec.ports() and node.name not in connected
    ]


def _depends_on(sources: dict[str, list[str]], name: str, cycle: set[str]) -> bool:
    """Return whether a node is in the cycle, or depends on it."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in cycle:
            return True
        if current not in seen:
            seen.add(current)
            waiting += sources[current]
    return False


def _check(spec: PipelineSpec, ref: Ref) -> tuple[str, str, str]:
    """Return message, code and hint for a wrong edge; empty strings for a right one."""
    if ref.node not in spec.nodes:
        near = nearest(ref.node, spec.nodes)
        text = f"there is no node {ref.node!r}{did_you_mean(ref.node, spec.nodes)}; nodes: {join_sorted(spec.nodes)}"
        return (
            text,
            codes.UNKNOWN_NODE,
            f"write {Ref(near, ref.port)}" if near else "name one of those nodes, or add this one",
        )
    ports = spec.nodes[ref.node].ports()
    if not ports:
        sources = [name for name, node in spec.nodes.items() if node.ports()]
        kind = spec.nodes[ref.node].kind
        text = f"node {ref.node!r} ({kind}) has no output; nodes that have one: {join_sorted(sources)}"
        return text, codes.UNKNOWN_PORT, "connect one of those"
    if ref.port and ref.port not in ports:
        text = f"node {ref.node!r} has no port {ref.port!r}{did_you_mean(ref.port, ports)}; ports: {join_sorted(ports)}"
        return text, codes.UNKNOWN_PORT, f"write {Ref(ref.node, nearest(ref.port, ports) or ports[0])}"
    return "", "", ""


def _named(spec: PipelineSpec, ref: Ref) -> Ref:
    """Return the ref with its port: the first one if it names none."""
    if ref.node not in spec.nodes or ref.port or not spec.nodes[ref.node].ports():
        return ref
    return Ref(ref.node, spec.nodes[ref.node].ports()[0])
