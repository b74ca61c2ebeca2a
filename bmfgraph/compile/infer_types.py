"""What travels on every edge: wants go up from the models, types come down from the sources."""

from __future__ import annotations

import itertools
from dataclasses import replace

from bmfgraph.compile.map_nodes import kind_errors_as_plan_errors, map_nodes
from bmfgraph.errors import PlanError
from bmfgraph.plan.plan import InputType, Plan, PlanNode, Ref, Requirement
from bmfgraph.plan.types import NO_WINDOW, AudioSpec, BundleSpec, DetectionsSpec, FrameSpec, PortType, TensorSpec

__all__ = ["infer_types"]

_FEW = 4
"""Inputs whose order is tried out, at the most."""


def infer_types(plan: Plan) -> Plan:
    """Requires: facts. Ensures: outputs and work of every node; inputs that a file does not have are dropped.

    A node that gets what it does not take leaves the plan.
    """
    plan, wants = _wants(plan)
    return map_nodes(plan, lambda plan, node: _resolved(plan, node, wants.get(node.name)))


def _resolved(plan: Plan, node: PlanNode, requirement: Requirement | None) -> PlanNode:
    inputs, types = _inputs(plan, node)
    for index in range(len(types)):
        _check_type(plan, node, inputs, types, index)
    types = tuple(_as_needed(given, node.spec.accepts(index)) for index, given in enumerate(types))
    resolved = node.spec.infer(node, types, requirement)
    return replace(node, inputs=inputs, outputs=resolved.outputs, params=resolved.params)


def _as_needed(given: PortType, need: InputType | None) -> PortType:
    """What a stage gets to see: frames that it wants as RGB are converted on the way."""
    if isinstance(given, FrameSpec) and need and need.pixel_format == "rgb24":
        return given.as_rgb()
    return given


def _wants(plan: Plan) -> tuple[Plan, dict[str, Requirement]]:
    """For each node, what its consumers want of it. They must agree: nodes whose consumers do not leave the plan."""
    wants: dict[str, Requirement] = {}
    for node in reversed(plan.nodes):
        if not plan.has(node.name):
            continue
        for index, ref in enumerate(node.inputs):
            try:
                with kind_errors_as_plan_errors(node):
                    requirement = node.spec.requires(node, index, wants.get(node.name))
            except PlanError as error:
                plan = plan.without(node.name, error)
                break
            known = wants.get(ref.node)
            if requirement is None or not plan.has(ref.node):
                continue
            if known is None:
                wants[ref.node] = requirement
            elif _nameless(known) != _nameless(requirement):
                plan = plan.without(ref.node, _disagree(ref, known, requirement))
    return plan, wants


def _disagree(ref: Ref, known: Requirement, requirement: Requirement) -> PlanError:
    return PlanError(
        ref.node,
        f"feeds {known.consumer!r}, which wants {_shown(known)}, "
        f"and {requirement.consumer!r}, which wants {_shown(requirement)}",
        hint="give each of them a preprocess node of its own",
        code="E303",
    )


def _nameless(requirement: Requirement) -> Requirement:
    """What is wanted, whoever wants it and whatever the input is called."""
    return replace(requirement, consumer="", tensor=replace(requirement.tensor, name=""))


def _shown(requirement: Requirement) -> str:
    text = f"{requirement.tensor.name} {requirement.tensor}"
    if requirement.multiple > 1:
        text += f" with sides a multiple of {requirement.multiple}"
    return text if requirement.window == NO_WINDOW else f"{text} of a {requirement.window}"


def _inputs(plan: Plan, node: PlanNode) -> tuple[tuple[Ref, ...], tuple[PortType, ...]]:
    kept: list[Ref] = []
    types: list[PortType] = []
    for index, ref in enumerate(node.inputs):
        port = plan.node(ref.node).output(ref.port)
        if port is None and index >= node.spec.arity[0]:
            # A port that the kind has but this file does not: a clip without sound is encoded without sound.
            continue
        if port is None:
            raise PlanError(
                node.name,
                f"its input {ref} is not in the file that {ref.node!r} reads",
                hint="take the node out, or read a file that has it",
                code="E302",
            )
        kept.append(ref)
        types.append(port.type)
    return tuple(kept), tuple(types)


def _check_type(plan: Plan, node: PlanNode, inputs: tuple[Ref, ...], types: tuple[PortType, ...], index: int) -> None:
    ref, given, need = inputs[index], types[index], node.spec.accepts(index)
    if need is None or isinstance(given, need.type):
        return
    words: dict[type, str] = {
        FrameSpec: "frames",
        TensorSpec: "one tensor",
        BundleSpec: "tensors",
        AudioSpec: "audio",
        DetectionsSpec: "detections",
    }
    joins = {
        (FrameSpec, TensorSpec): "put a node {kind: preprocess} between them",
        (TensorSpec, FrameSpec): "put a node {kind: frames} between them",
        (BundleSpec, FrameSpec): "put a node {kind: frames} between them",
        (BundleSpec, DetectionsSpec): "put a node {kind: detections} between them",
        (DetectionsSpec, FrameSpec): "put a node {kind: overlay} between them to draw the boxes",
    }
    raise PlanError(
        node.name,
        f"({node.kind}) takes {words.get(need.type, need.type.__name__)} there, but {ref} gives {given}",
        hint=_in_order(node, inputs, types)
        or _other_port(plan, ref, need)
        or joins.get((type(given), need.type), "connect what gives that"),
        code="E301",
    )


def _in_order(node: PlanNode, inputs: tuple[Ref, ...], types: tuple[PortType, ...]) -> str:
    """The inputs in the order in which they fit, if there is one."""
    needs = [node.spec.accepts(index) for index in range(len(inputs))]
    for order in itertools.permutations(range(len(inputs))) if len(inputs) <= _FEW else ():
        if all(need is None or isinstance(types[place], need.type) for need, place in zip(needs, order, strict=True)):
            return f"write them in this order: inputs: [{', '.join(str(inputs[place]) for place in order)}]"
    return ""


def _other_port(plan: Plan, ref: Ref, need: InputType) -> str:
    """The port of the same node that gives what is needed, if there is one."""
    ports = (port.name for port in plan.node(ref.node).outputs if isinstance(port.type, need.type))
    return next((f"take {Ref(ref.node, port)} instead" for port in ports), "")
