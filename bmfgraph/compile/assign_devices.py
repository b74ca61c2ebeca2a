"""Assign a device to every node: nodes next to an engine on the GPU work there too."""

from __future__ import annotations

from dataclasses import replace

from bmfgraph import error_codes as codes
from bmfgraph.compile.passes import compiler_pass
from bmfgraph.errors import PlanError
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import Device, Port, TensorSpec, device_of, on_device

__all__ = ["assign_devices"]


@compiler_pass(requires=("types", "engines"), ensures=("types", "devices"))
def assign_devices(plan: Plan) -> Plan:
    """Set ``device`` of every node, and of every frame and tensor that leaves it.

    Engines and sources determine theirs. Another stage that can work on the GPU does so if its tensors go straight
    into an engine there, or if its inputs come from there.
    """
    devices: dict[str, Device] = {}
    for node in plan.nodes:
        try:
            devices[node.name] = _own_device(plan, node)
        except PlanError as error:
            plan = plan.without(node.name, error)
    for node in reversed(plan.nodes):
        feeds = any(devices[consumer.name] == "cuda" for consumer, _ in plan.consumers(node.name))
        if feeds and _follows(node) and isinstance(node.outputs[0].type, TensorSpec):
            devices[node.name] = "cuda"
    for node in plan:
        reads_gpu = any(device_of(plan.type_of(ref)) and devices[ref.node] == "cuda" for ref in node.inputs)
        if reads_gpu and _follows(node):
            devices[node.name] = "cuda"
    return plan.replace(*(_moved(node, devices[node.name]) for node in plan))


def _follows(node: PlanNode) -> bool:
    """Return whether the node works on the GPU if its neighbours do."""
    return "cuda" in node.spec.devices and node.spec.engine_of(node.params) is None


def _own_device(plan: Plan, node: PlanNode) -> Device:
    if engine := node.spec.engine_of(node.params):
        device: Device = engine.device
        return device
    # A stage's output type can inherit its device from the input, so only sources are trusted here.
    if node.inputs or not any(device_of(port.type) == "cuda" for port in node.outputs):
        return "cpu"
    if plan.device == "cpu":
        raise PlanError(
            node.name,
            f"kind {node.kind!r} works on a GPU only, and device=cpu is set",
            hint=", or ".join(filter(None, (node.spec.cpu_hint, "leave device=cpu out"))),
            code=codes.DEVICE_CONFLICT,
        )
    return "cuda"


def _moved(node: PlanNode, device: Device) -> PlanNode:
    outputs = tuple(Port(port.name, on_device(port.type, device)) for port in node.outputs)
    return replace(node, device=device, outputs=outputs)
