"""Where an edge's two ends differ in pixel format or device, a node goes between that joins them."""

from __future__ import annotations

from dataclasses import replace

from bmfgraph.compile.assign_devices import device_of
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.convert import ConvertSpec
from bmfgraph.nodes.transfer import DownloadSpec, UploadSpec
from bmfgraph.plan.plan import InputType, Plan, PlanNode, Ref
from bmfgraph.plan.types import Device, FrameSpec, PortType, default_matrix

__all__ = ["insert_converters"]

# What is made RGB on the GPU; other formats are converted before they are taken there.
_UPLOADED = (
    *(f"yuv{sampling}p{depth}" for sampling in ("420", "422", "444") for depth in ("", "10le")),
    *(f"yuvj{sampling}p" for sampling in ("420", "422", "444")),
    "rgb24",
)


def insert_converters(plan: Plan) -> Plan:
    """Requires: types, devices. Ensures: every edge carries what its consumer needs, where it needs it.

    Consumers that need the same of the same port share one converter.
    """
    nodes: list[PlanNode] = []
    made: dict[tuple[Ref, NodeSpec], PlanNode] = {}
    names = {node.name for node in plan}
    for node in plan:
        inputs = []
        for index, ref in enumerate(node.inputs):
            given = plan.type_of(ref)
            for spec in _between(given, node.spec.accepts(index), node.device):
                key = (ref, spec)
                if key not in made:
                    made[key] = _converter(ref, given, spec, names)
                    names.add(made[key].name)
                    nodes.append(made[key])
                given, ref = made[key].outputs[0].type, Ref(made[key].name, "out")
            inputs.append(ref)
        nodes.append(replace(node, inputs=tuple(inputs)))
    return replace(plan, nodes=tuple(nodes))


def _between(given: PortType, need: InputType | None, device: Device) -> list[NodeSpec]:
    """The nodes that make of ``given`` what is needed on ``device``, in order."""
    here = device_of(given)
    if not isinstance(given, FrameSpec):
        if here is None or here == device:
            return []
        return [UploadSpec()] if device == "cuda" else [DownloadSpec()]
    if here == "cuda" and device == "cpu":
        wanted = need.pixel_format if need and need.pixel_format else "rgb24"
        return [DownloadSpec(pixel_format=wanted, default_color=bool(need and need.default_color))]
    if here == "cpu" and device == "cuda":
        return [*([] if given.pixel_format in _UPLOADED else [ConvertSpec(pixel_format="rgb24")]), UploadSpec()]
    if need is None or _fits(given, need):
        return []
    return [ConvertSpec(pixel_format=need.pixel_format, default_color=need.default_color)]


def _fits(given: FrameSpec, need: InputType) -> bool:
    if not need.pixel_format:
        return True
    usual = given.color.matrix == default_matrix(given.width, given.height) and not given.color.full_range
    return given.pixel_format == need.pixel_format and (usual or not need.default_color)


def _converter(ref: Ref, given: PortType, spec: NodeSpec, names: set[str]) -> PlanNode:
    what = getattr(spec, "pixel_format", spec.kind) if isinstance(given, FrameSpec) else spec.kind
    name = f"{ref.node}-{what}"
    while name in names:
        name += "-"
    spec = spec.model_copy(update={"inputs": (str(ref),)})
    node = PlanNode(name, spec, (ref,), device="cuda" if spec.stage else "cpu")
    resolved = spec.infer(node, (given,), None)
    return replace(node, outputs=resolved.outputs, params=resolved.params)
