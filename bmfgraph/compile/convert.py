"""Where a consumer works in another pixel format than its frames have, a converter goes between."""

from __future__ import annotations

from dataclasses import replace

from bmfgraph.nodes.convert import ConvertSpec
from bmfgraph.plan import Need, Plan, PlanNode, Ref
from bmfgraph.ports import FrameSpec, usual_matrix

__all__ = ["convert_pixels"]


def convert_pixels(plan: Plan) -> Plan:
    """Requires: types. Ensures: every edge of frames has the pixel format that its consumer needs.

    Consumers of the same frames in the same format share one converter.
    """
    nodes: list[PlanNode] = []
    made: dict[tuple[Ref, Need], Ref] = {}
    names = {node.name for node in plan}
    for node in plan:
        inputs = []
        for index, ref in enumerate(node.inputs):
            given, need = plan.type_of(ref), node.spec.needs(index)
            if not isinstance(given, FrameSpec) or need is None or _fits(given, need):
                inputs.append(ref)
                continue
            if (ref, need) not in made:
                converter = _converter(ref, given, need, names)
                names.add(converter.name)
                nodes.append(converter)
                made[ref, need] = Ref(converter.name, "out")
            inputs.append(made[ref, need])
        nodes.append(replace(node, inputs=tuple(inputs)))
    return replace(plan, nodes=tuple(nodes))


def _fits(given: FrameSpec, need: Need) -> bool:
    if not need.pixel_format:
        return True
    usual = given.color.matrix == usual_matrix(given.width, given.height) and not given.color.full_range
    return given.pixel_format == need.pixel_format and (usual or not need.usual_color)


def _converter(ref: Ref, given: FrameSpec, need: Need, names: set[str]) -> PlanNode:
    name = f"{ref.node}-{need.pixel_format}"
    while name in names:
        name += "-"
    spec = ConvertSpec(inputs=(str(ref),), pixel_format=need.pixel_format, usual_color=need.usual_color)
    node = PlanNode(name, spec, (ref,))
    resolved = spec.resolve(node, (given,), None)
    return replace(node, outputs=resolved.outputs, work=resolved.work)
