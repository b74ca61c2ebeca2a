"""Infer the type of every edge: requirements go up from the models, types come down from the sources."""

from __future__ import annotations

import itertools
from dataclasses import replace

from bmfgraph import error_codes as codes
from bmfgraph.compile.map_nodes import kind_errors_as_plan_errors, map_nodes
from bmfgraph.compile.passes import compiler_pass
from bmfgraph.errors import PlanError
from bmfgraph.nodes.convert import written_color
from bmfgraph.nodes.transfer import fits
from bmfgraph.plan.plan import InputType, Plan, PlanNode, Ref, Requirement
from bmfgraph.plan.types import (
    NO_WINDOW,
    RGB_FORMATS,
    AudioSpec,
    BundleSpec,
    DetectionsSpec,
    FrameSpec,
    PortType,
    ResultSpec,
    SegmentsSpec,
    TensorSpec,
    tiling_of,
)

__all__ = ["infer_types"]

_FEW = 4
"""Largest number of inputs whose other orders are tried."""


@compiler_pass(ensures=("types",))
def infer_types(plan: Plan) -> Plan:
    """Set outputs and params of every node, and disconnect optional inputs that are missing or unused.

    A node whose inputs do not fit leaves the plan.
    """
    plan, requirements = _requirements(plan)
    return map_nodes(plan, lambda plan, node: _inferred(plan, node, requirements.get(node.name)))


def _inferred(plan: Plan, node: PlanNode, requirement: Requirement | None) -> PlanNode:
    inputs, types = _inputs(plan, node)
    for index in range(len(types)):
        _check_type(plan, node, inputs, types, index)
    types = tuple(_converted(kind, node.spec.accepts(index)) for index, kind in enumerate(types))
    inferred = node.spec.infer(node, types, requirement)
    used = tuple(ref for index, ref in enumerate(inputs) if index not in inferred.unused)
    return replace(node, inputs=used, outputs=inferred.outputs, params=inferred.params)


def _converted(kind: PortType, accepted: InputType | None) -> PortType:
    """Return the type after the conversion that the compiler inserts."""
    pixel_format = accepted.format_of(kind) if isinstance(kind, FrameSpec) and accepted is not None else ""
    if not isinstance(kind, FrameSpec) or accepted is None or not pixel_format:
        return kind
    if pixel_format in RGB_FORMATS:
        return kind.as_rgb(deep=pixel_format == "rgb48le")
    if fits(kind, accepted):
        return kind
    return kind.in_format(pixel_format, written_color(kind, pixel_format, accepted.default_color))


def _requirements(plan: Plan) -> tuple[Plan, dict[str, Requirement]]:
    """Return what the consumers of each node require, by node name. A node whose consumers disagree leaves the plan."""
    requirements: dict[str, Requirement] = {}
    for node in reversed(plan.nodes):
        if not plan.has(node.name):
            continue
        for index, ref in enumerate(node.inputs):
            try:
                with kind_errors_as_plan_errors(node):
                    requirement = node.spec.requires(node, index, requirements.get(node.name))
            except PlanError as error:
                plan = plan.without(node.name, error)
                break
            earlier = requirements.get(ref.node)
            if requirement is None or not plan.has(ref.node):
                continue
            if earlier is None:
                requirements[ref.node] = requirement
            elif _nameless(earlier) != _nameless(requirement):
                plan = plan.without(ref.node, _disagree(ref, earlier, requirement))
    return plan, requirements


def _disagree(ref: Ref, first: Requirement, second: Requirement) -> PlanError:
    return PlanError(
        ref.node,
        f"feeds {first.consumer!r}, which needs {_text(first)}, and {second.consumer!r}, which needs {_text(second)}",
        hint="give each of them a preprocess node of its own",
        code=codes.CONFLICTING_TENSOR_REQUIREMENTS,
    )


def _nameless(requirement: Requirement) -> Requirement:
    """Return the requirement without the names of consumer and input."""
    return replace(requirement, consumer="", tensor=replace(requirement.tensor, name=""))


def _text(requirement: Requirement) -> str:
    text = f"{requirement.tensor.name} {requirement.tensor}"
    if requirement.multiple > 1:
        text += f" with sides a multiple of {requirement.multiple}"
    return text if requirement.window == NO_WINDOW else f"{text} of a {requirement.window}"


def _inputs(plan: Plan, node: PlanNode) -> tuple[tuple[Ref, ...], tuple[PortType, ...]]:
    present: list[Ref] = []
    types: list[PortType] = []
    for index, ref in enumerate(node.inputs):
        port = plan.node(ref.node).output(ref.port)
        if port is None and index >= node.spec.arity[0]:
            # The kind has the port but this file does not: a clip without audio is encoded without audio.
            continue
        if port is None:
            raise PlanError(
                node.name,
                f"its input {ref} is missing: the file of {ref.node!r} does not have it",
                hint="take the node out, or read a file that has it",
                code=codes.MISSING_INPUT_STREAM,
            )
        present.append(ref)
        types.append(port.type)
    return tuple(present), tuple(types)


def _check_type(plan: Plan, node: PlanNode, inputs: tuple[Ref, ...], types: tuple[PortType, ...], index: int) -> None:
    ref, kind, accepted = inputs[index], types[index], node.spec.accepts(index)
    tiling = tiling_of(kind)
    if tiling and not node.spec.takes_tiles:
        raise PlanError(
            node.name,
            f"({node.kind}) works on whole pictures, but {ref} produces {tiling}",
            hint="put a node {kind: stitch} between them, after the model",
            code=codes.UNSTITCHED_TILES,
        )
    if accepted is None or isinstance(kind, accepted.type):
        return
    names: dict[type, str] = {
        FrameSpec: "frames",
        TensorSpec: "one tensor",
        BundleSpec: "tensors",
        AudioSpec: "audio",
    }
    expected = accepted.type.noun if issubclass(accepted.type, ResultSpec) else names.get(accepted.type)
    joins = {
        (FrameSpec, TensorSpec): "put a node {kind: preprocess} between them",
        (TensorSpec, FrameSpec): "put a node {kind: frames} between them",
        (BundleSpec, FrameSpec): "put a node {kind: frames} between them",
        (BundleSpec, DetectionsSpec): "put a node {kind: detections} between them",
        (BundleSpec, ResultSpec): "put a node such as {kind: detections} between them, by the task of the model",
        (DetectionsSpec, FrameSpec): "put a node {kind: overlay} between them to draw the boxes",
        (SegmentsSpec, FrameSpec): "put a node {kind: frames} between them",
    }
    raise PlanError(
        node.name,
        f"({node.kind}) input {index} expects {expected or accepted.type.__name__}, but {ref} produces {kind}",
        hint=_in_order(node, inputs, types)
        or _other_port(plan, ref, accepted)
        or joins.get((type(kind), accepted.type), "connect an output of that type"),
        code=codes.EDGE_TYPE_MISMATCH,
    )


def _in_order(node: PlanNode, inputs: tuple[Ref, ...], types: tuple[PortType, ...]) -> str:
    """Return a hint with the inputs in an order that fits; "" for none."""
    accepted = [node.spec.accepts(index) for index in range(len(inputs))]
    for order in itertools.permutations(range(len(inputs))) if len(inputs) <= _FEW else ():
        pairs = zip(accepted, order, strict=True)
        if all(accepts is None or isinstance(types[place], accepts.type) for accepts, place in pairs):
            return f"write them in this order: inputs: [{', '.join(str(inputs[place]) for place in order)}]"
    return ""


def _other_port(plan: Plan, ref: Ref, accepted: InputType) -> str:
    """Return a hint with the port of the same node that fits; "" for none."""
    ports = (port.name for port in plan.node(ref.node).outputs if isinstance(port.type, accepted.type))
    return next((f"connect {Ref(ref.node, port)} instead" for port in ports), "")
