"""Give each consumer of audio its own reader of the file, and read audio apart from frames on the GPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from bmfgraph import error_codes as codes
from bmfgraph.compile.passes import compiler_pass
from bmfgraph.errors import PlanError
from bmfgraph.plan.plan import Plan, PlanNode, Ref
from bmfgraph.plan.types import AudioSpec, device_of

__all__ = ["split_audio"]


@compiler_pass(requires=("types",), ensures=("types", "own audio"))
def split_audio(plan: Plan) -> Plan:
    """Insert a node that reads the audio alone for each consumer that cannot have it from the node itself.

    These are consumers of another back end, and all consumers of frames on the GPU. Two encoders of BMF that share
    packets crash, so there every consumer but the first has a reader.
    """
    nodes: list[PlanNode] = []
    moved: dict[tuple[str, Ref], Ref] = {}
    before = {node.name for node in plan}
    names = set(before)
    for node in plan.nodes:
        on_gpu = any(device_of(port.type) == "cuda" for port in node.outputs)
        audio = next((port for port in node.outputs if isinstance(port.type, AudioSpec)), None)
        node = replace(node, inputs=tuple(moved.get((node.name, ref), ref) for ref in node.inputs))
        if audio is None:
            nodes.append(node)
            continue
        ref = Ref(node.name, audio.name)
        consumers = [other.name for other in plan if ref in other.inputs]
        readers = []
        try:
            for consumer in consumers:
                backend = _backend(plan.node(consumer), plan.node(consumer).inputs.index(ref))
                assert isinstance(audio.type, AudioSpec)
                own = not on_gpu and backend == audio.type.backend
                if own and (backend == "pyav" or consumer == consumers[0]):
                    continue
                readers.append(_reader(node, replace(audio.type, backend=backend), names))
                moved[consumer, ref] = Ref(readers[-1].name, "audio")
        except PlanError as error:
            plan = plan.without(node.name, error)
            continue
        nodes.append(replace(node, outputs=tuple(port for port in node.outputs if port is not audio or not on_gpu)))
        nodes += readers
    lost = before - {node.name for node in plan}
    return replace(plan, nodes=tuple(node for node in nodes if node.name not in lost))


def _backend(consumer: PlanNode, index: int) -> Literal["pyav", "bmf"]:
    accepted = consumer.spec.accepts(index)
    return accepted.backend if accepted else "pyav"


def _reader(node: PlanNode, audio: AudioSpec, names: set[str]) -> PlanNode:
    spec = node.spec.audio_reader(node.params, audio)
    if spec is None:
        raise PlanError(
            node.name,
            f"kind {node.kind!r} cannot give its audio to more than one node",
            hint="connect its audio to one node only",
            code=codes.NODE_CONTRACT_VIOLATION,
        )
    name = f"{node.name}-audio"
    while name in names:
        name += "-"
    names.add(name)
    inferred = spec.infer(PlanNode(name, spec), (), None)
    return PlanNode(name, spec, outputs=inferred.outputs, params=inferred.params)
