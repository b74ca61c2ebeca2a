"""Where each node works: what touches the GPU's tensors stays on the GPU."""

from __future__ import annotations

from dataclasses import replace

from bmfgraph.errors import PlanError
from bmfgraph.nodes.inference import InferenceSpec
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import BundleSpec, Device, FrameSpec, Port, PortType, TensorSpec

__all__ = ["assign_devices", "device_of"]


def assign_devices(plan: Plan) -> Plan:
    """Requires: engines. Ensures: ``device`` of every node, and of every frame and tensor that leaves it.

    Engines and decoders say where they work. A stage that can work on the GPU does so if what it makes goes
    straight into an engine there, or if what it takes comes from there.
    """
    devices: dict[str, Device] = {}
    for node in plan.nodes:
        try:
            devices[node.name] = _own(plan, node)
        except PlanError as error:
            plan = plan.without(node.name, error)
    for node in reversed(plan.nodes):
        feeds = any(devices[consumer.name] == "cuda" for consumer, _ in plan.consumers(node.name))
        free = "cuda" in node.spec.devices and not isinstance(node.spec, InferenceSpec)
        if feeds and free and isinstance(node.outputs[0].type, TensorSpec):
            devices[node.name] = "cuda"
    for node in plan:
        given = any(_tensor_like(plan.type_of(ref)) and devices[ref.node] == "cuda" for ref in node.inputs)
        if given and "cuda" in node.spec.devices and not isinstance(node.spec, InferenceSpec):
            devices[node.name] = "cuda"
    return plan.replace(*(_placed(node, devices[node.name]) for node in plan))


def device_of(kind: PortType) -> Device | None:
    """Where what travels on an edge lies; None for what always lies on the CPU."""
    if isinstance(kind, BundleSpec):
        return kind.tensors[0].device
    return kind.device if isinstance(kind, (FrameSpec, TensorSpec)) else None


def _own(plan: Plan, node: PlanNode) -> Device:
    if isinstance(node.spec, InferenceSpec):
        device: Device = node.params.engine.device
        return device
    # What a stage makes may say so only because it was made after what the stage takes.
    if node.inputs or not any(device_of(port.type) == "cuda" for port in node.outputs):
        return "cpu"
    if plan.device == "cpu":
        raise PlanError(
            node.name,
            f"kind {node.kind!r} works on a GPU only, and device=cpu is set",
            hint="set decoder=ffmpeg, or leave device=cpu out",
            code="E601",
        )
    return "cuda"


def _tensor_like(kind: PortType) -> bool:
    return isinstance(kind, (FrameSpec, TensorSpec, BundleSpec))


def _placed(node: PlanNode, device: Device) -> PlanNode:
    return replace(node, device=device, outputs=tuple(Port(port.name, _on(port.type, device)) for port in node.outputs))


def _on(kind: PortType, device: Device) -> PortType:
    if isinstance(kind, BundleSpec):
        return replace(kind, tensors=tuple(replace(tensor, device=device) for tensor in kind.tensors))
    return replace(kind, device=device) if isinstance(kind, (FrameSpec, TensorSpec)) else kind
