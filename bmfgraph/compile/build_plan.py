"""Spec to plan: edges checked, cycles found, nodes in running order."""

from __future__ import annotations

import graphlib
from collections.abc import Collection

from bmfgraph.config.pipeline import PipelineSpec
from bmfgraph.errors import PlanError, Problem, SpecError, did_you_mean, join_sorted, nearest
from bmfgraph.plan.plan import Plan, PlanNode, Ref

__all__ = ["build_plan"]


def build_plan(spec: PipelineSpec, lost: Collection[str] = ()) -> Plan:
    """Ensures: every edge begins at a port that exists, and nodes come after those they take from.

    ``lost``: nodes that the YAML has and the spec lacks, because they are wrong in themselves. Nodes with a bad edge,
    or in a cycle, are left out with all that depend on them; the plan's ``errors`` tell of them.
    """
    problems: list[Problem] = []
    nodes: dict[str, PlanNode] = {}
    for name, node in spec.nodes.items():
        refs = tuple(Ref.parse(text) for text in node.inputs)
        found = [(index, _check(spec, ref)) for index, ref in enumerate(refs) if ref.node not in lost]
        bad = [
            Problem(f"pipeline.nodes.{name}.inputs.{index}", f"{str(refs[index])!r}: {message}", code, hint)
            for index, (message, code, hint) in found
            if message
        ]
        problems += bad
        if not bad and not any(ref.node in lost for ref in refs):
            nodes[name] = PlanNode(name, node, tuple(_named(spec, ref) for ref in refs))
    while missing := [name for name, node in nodes.items() if any(ref.node not in nodes for ref in node.inputs)]:
        for name in missing:
            del nodes[name]
    # An edge that leads astray leaves the node idle that it was meant for.
    errors: list[SpecError | PlanError] = [SpecError(problems)] if problems else [] if lost else [*_idle(spec)]
    while True:
        takes = {name: [ref.node for ref in node.inputs] for name, node in nodes.items()}
        try:
            order = tuple(graphlib.TopologicalSorter(takes).static_order())
        except graphlib.CycleError as error:
            ring = error.args[1]
            text = f"the edges run in a circle: {' → '.join(reversed(ring))}"
            hint = f"change the `inputs` of one of them, such as pipeline.nodes.{ring[0]}.inputs"
            errors.append(SpecError([Problem("pipeline.nodes", text, "E218", hint)]))
            nodes = {name: node for name, node in nodes.items() if not _leads_to(takes, name, set(ring))}
        else:
            return Plan(spec.name, tuple(nodes[name] for name in order), errors=tuple(errors))


def _idle(spec: PipelineSpec) -> list[PlanError]:
    """Nodes whose output nobody takes."""
    taken = {Ref.parse(text).node for node in spec.nodes.values() for text in node.inputs}
    return [
        PlanError(
            name,
            f"({node.kind}) nobody takes what it makes",
            hint=f"connect it, or take it out with ~pipeline.nodes.{name}",
            code="E304",
        )
        for name, node in spec.nodes.items()
        if node.ports() and name not in taken
    ]


def _leads_to(takes: dict[str, list[str]], name: str, ring: set[str]) -> bool:
    """Whether a node is in the ring, or depends on it."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in ring:
            return True
        if one not in seen:
            seen.add(one)
            waiting += takes[one]
    return False


def _check(spec: PipelineSpec, ref: Ref) -> tuple[str, str, str]:
    """What is wrong with an edge, its code, and what to do; empty strings for nothing."""
    if ref.node not in spec.nodes:
        near = nearest(ref.node, spec.nodes)
        text = f"there is no node {ref.node!r}{did_you_mean(ref.node, spec.nodes)}; nodes: {join_sorted(spec.nodes)}"
        return text, "E216", f"write {Ref(near, ref.port)}" if near else "take one of those nodes, or add this one"
    ports = spec.nodes[ref.node].ports()
    if not ports:
        sources = [name for name, node in spec.nodes.items() if node.ports()]
        kind = spec.nodes[ref.node].kind
        text = f"node {ref.node!r} ({kind}) has no output; nodes that have: {join_sorted(sources)}"
        return text, "E217", "take from one of those"
    if ref.port and ref.port not in ports:
        text = f"node {ref.node!r} has no port {ref.port!r}{did_you_mean(ref.port, ports)}; ports: {join_sorted(ports)}"
        return text, "E217", f"write {Ref(ref.node, nearest(ref.port, ports) or ports[0])}"
    return "", "", ""


def _named(spec: PipelineSpec, ref: Ref) -> Ref:
    """A ref without a port means the first one."""
    if ref.node not in spec.nodes or ref.port or not spec.nodes[ref.node].ports():
        return ref
    return Ref(ref.node, spec.nodes[ref.node].ports()[0])
