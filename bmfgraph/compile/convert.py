"""Where a consumer works in another pixel format than its frames have, a converter goes between."""

from __future__ import annotations

from dataclasses import replace

from bmfgraph.nodes.convert import ConvertSpec
from bmfgraph.plan import Plan, PlanNode, Ref
from bmfgraph.ports import FrameSpec

__all__ = ["convert_pixels"]


def convert_pixels(plan: Plan) -> Plan:
    """Requires: types. Ensures: every edge of frames has the pixel format that its consumer needs.

    Consumers of the same frames in the same format share one converter.
    """
    nodes: list[PlanNode] = []
    made: dict[tuple[Ref, str], Ref] = {}
    names = {node.name for node in plan}
    for node in plan:
        inputs = []
        for index, ref in enumerate(node.inputs):
            given, need = plan.type_of(ref), node.spec.needs(index)
            wanted = need.pixel_format if need else ""
            if not isinstance(given, FrameSpec) or not wanted or given.pixel_format == wanted:
                inputs.append(ref)
                continue
            if (ref, wanted) not in made:
                converter = _converter(ref, given, wanted, names)
                names.add(converter.name)
                nodes.append(converter)
                made[ref, wanted] = Ref(converter.name, "out")
            inputs.append(made[ref, wanted])
        nodes.append(replace(node, inputs=tuple(inputs)))
    return replace(plan, nodes=tuple(nodes))


def _converter(ref: Ref, given: FrameSpec, wanted: str, names: set[str]) -> PlanNode:
    name = f"{ref.node}-{wanted}"
    while name in names:
        name += "-"
    spec = ConvertSpec(inputs=(str(ref),), pixel_format=wanted)
    node = PlanNode(name, spec, (ref,))
    resolved = spec.resolve(node, (given,), None)
    return replace(node, outputs=resolved.outputs, work=resolved.work)
