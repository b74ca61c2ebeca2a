"""Insert a converter or a transfer where the two ends of an edge differ in pixel format or device."""

from __future__ import annotations

from dataclasses import replace

from bmfgraph.compile.passes import compiler_pass
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.transfer import converters, shrinking_converter
from bmfgraph.plan.plan import Plan, PlanNode, Ref
from bmfgraph.plan.types import FrameSpec, PortType, device_of

__all__ = ["insert_converters"]


@compiler_pass(requires=("types", "devices"), ensures=("joined",))
def insert_converters(plan: Plan) -> Plan:
    """Give every edge the pixel format and device of its consumer.

    Consumers that need the same form of the same port share one converter.
    """
    nodes: list[PlanNode] = []
    inserted: dict[tuple[Ref, NodeSpec], PlanNode] = {}
    names = {node.name for node in plan}
    for node in plan:
        inputs = []
        for index, ref in enumerate(node.inputs):
            source = plan.type_of(ref)
            specs = converters(source, node.spec.accepts(index), node.device)
            shrinking = node.spec.shrinking(node.params)
            if shrinking and (converter := shrinking_converter(specs, source, shrinking[0])):
                specs, node = [converter], replace(node, params=shrinking[1])
            for spec in specs:
                key = (ref, spec)
                if key not in inserted:
                    inserted[key] = _converter(ref, source, spec, names)
                    names.add(inserted[key].name)
                    nodes.append(inserted[key])
                source, ref = inserted[key].outputs[0].type, Ref(inserted[key].name, "out")
            inputs.append(ref)
        nodes.append(replace(node, inputs=tuple(inputs)))
    return replace(plan, nodes=tuple(nodes))


def _converter(ref: Ref, source: PortType, spec: NodeSpec, names: set[str]) -> PlanNode:
    suffix = getattr(spec, "pixel_format", spec.kind) if isinstance(source, FrameSpec) else spec.kind
    if shrunk := getattr(spec, "shrunk", None):
        suffix = f"{shrunk.width}x{shrunk.height}"
    name = f"{ref.node}-{suffix}"
    while name in names:
        name += "-"
    spec = spec.model_copy(update={"inputs": (str(ref),)})
    node = PlanNode(name, spec, (ref,), device="cuda" if spec.transfer else device_of(source) or "cpu")
    inferred = spec.infer(node, (source,), None)
    return replace(node, outputs=inferred.outputs, params=inferred.params)
