"""Sound that no encoder keeps is not handed on; that of a file decoded on the GPU, and that which several encoders
take, comes from nodes beside the decoder."""

from __future__ import annotations

from dataclasses import replace

from bmfgraph.nodes.audio import AudioNodeSpec
from bmfgraph.nodes.encoder import EncoderParams
from bmfgraph.plan.plan import Plan, PlanNode, Ref
from bmfgraph.plan.types import AudioSpec, FrameSpec

__all__ = ["split_audio"]


def split_audio(plan: Plan) -> Plan:
    """Requires: types. Ensures: encoders get sound only to keep it, and each from a node of its own, because packets of
    sound that two of them share crash BMF; no node gives both sound and frames on the GPU.
    """
    plan = plan.replace(*(_mute(node) for node in plan if isinstance(node.params, EncoderParams)))
    nodes: list[PlanNode] = []
    moved: dict[tuple[str, Ref], Ref] = {}
    names = {node.name for node in plan}
    for node in plan:
        video = any(isinstance(port.type, FrameSpec) and port.type.device == "cuda" for port in node.outputs)
        sound = next((port for port in node.outputs if isinstance(port.type, AudioSpec)), None)
        node = replace(node, inputs=tuple(moved.get((node.name, ref), ref) for ref in node.inputs))
        if sound is None:
            nodes.append(node)
            continue
        nodes.append(replace(node, outputs=tuple(port for port in node.outputs if port is not sound or not video)))
        ref = Ref(node.name, sound.name)
        takers = [other.name for other in plan if ref in other.inputs]
        for taker in takers if video else takers[1:]:
            made = _beside(node, sound.type, names)
            names.add(made.name)
            nodes.append(made)
            moved[taker, ref] = Ref(made.name, "audio")
    return replace(plan, nodes=tuple(nodes))


def _mute(node: PlanNode) -> PlanNode:
    """BMF's encoder encodes whatever sound it gets."""
    return node if node.params.audio else replace(node, inputs=node.inputs[:1])


def _beside(node: PlanNode, sound: object, names: set[str]) -> PlanNode:
    assert isinstance(sound, AudioSpec)
    name = f"{node.name}-audio"
    while name in names:
        name += "-"
    spec = AudioNodeSpec(beside=node.params, sound=sound)
    resolved = spec.infer(PlanNode(name, spec), (), None)
    return PlanNode(name, spec, outputs=resolved.outputs, params=resolved.params)
