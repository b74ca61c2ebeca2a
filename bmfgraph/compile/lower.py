"""Spec to plan: edges checked, cycles found, nodes in running order."""

from __future__ import annotations

import graphlib

from bmfgraph.errors import Problem, SpecError, did_you_mean, one_of
from bmfgraph.plan import Plan, PlanNode, Ref
from bmfgraph.spec import PipelineSpec

__all__ = ["lower"]


def lower(spec: PipelineSpec) -> Plan:
    """Ensures: every edge begins at a port that exists, and nodes come after those they take from.

    Raises SpecError with every bad edge, or with the nodes of a cycle.
    """
    problems: list[Problem] = []
    nodes: dict[str, PlanNode] = {}
    for name, node in spec.nodes.items():
        refs = tuple(Ref.parse(text) for text in node.inputs)
        for index, ref in enumerate(refs):
            problem = _check(spec, ref)
            if problem:
                problems.append(Problem(f"pipeline.nodes.{name}.inputs.{index}", f"{str(ref)!r}: {problem}"))
        nodes[name] = PlanNode(name, node, tuple(_named(spec, ref) for ref in refs))
    if problems:
        raise SpecError(problems)
    try:
        order = graphlib.TopologicalSorter(
            {name: [ref.node for ref in node.inputs] for name, node in nodes.items()}
        ).static_order()
        ordered = tuple(nodes[name] for name in order)
    except graphlib.CycleError as error:
        ring = " → ".join(reversed(error.args[1]))
        raise SpecError(
            [Problem("pipeline.nodes", f"the edges run in a circle: {ring}; take one of them out")]
        ) from None
    return Plan(spec.name, ordered)


def _check(spec: PipelineSpec, ref: Ref) -> str:
    if ref.node not in spec.nodes:
        return f"there is no node {ref.node!r}{did_you_mean(ref.node, spec.nodes)}; nodes: {one_of(spec.nodes)}"
    ports = spec.nodes[ref.node].ports()
    if not ports:
        sources = [name for name, node in spec.nodes.items() if node.ports()]
        return f"node {ref.node!r} ({spec.nodes[ref.node].kind}) has no output; nodes that have: {one_of(sources)}"
    if ref.port and ref.port not in ports:
        return f"node {ref.node!r} has no port {ref.port!r}{did_you_mean(ref.port, ports)}; ports: {one_of(ports)}"
    return ""


def _named(spec: PipelineSpec, ref: Ref) -> Ref:
    """A ref without a port means the first one."""
    if ref.node not in spec.nodes or ref.port or not spec.nodes[ref.node].ports():
        return ref
    return Ref(ref.node, spec.nodes[ref.node].ports()[0])
