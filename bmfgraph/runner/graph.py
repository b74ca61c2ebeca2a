"""Assemble BMF's graph from a plan: its BMF nodes, their modules and stages, and the streams between them."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from bmfgraph import error_codes as codes
from bmfgraph.errors import BmfgraphError, PlanError
from bmfgraph.plan.description import BmfModuleSpec
from bmfgraph.plan.plan import Plan, PlanNode, Ref
from bmfgraph.plan.types import Device, FrameSpec
from bmfgraph.runner.codecs import lacking_codec
from bmfgraph.runner.modules.base import HANDOVER, ModuleConfig, OutputStream
from bmfgraph.runner.modules.stage_chain import StageChainConfig, Step
from bmfgraph.runner.monitor import RunMonitor, failure
from bmfgraph.stages.base import Stage
from bmfgraph.stages.recording import Recording, TensorStage

__all__ = ["NO_MODULES", "Assembly", "assemble", "make_stage", "without_capture"]

NO_MODULES = str(Path(os.devnull).parent)
"""The folder where BMF looks for modules first: it exists everywhere, and nobody can put a module there."""
_STAGES = "bmfgraph.runner.modules.stage_chain:StageChainModule"
_QUEUED: dict[Device, int] = {"cpu": 2, "cuda": 3}
"""Batches that may wait for a node. On a CPU, three are no faster, and their frames leave the caches; one makes runs a
twentieth slower. BMF's own five are no faster."""


@dataclass(frozen=True)
class Assembly:
    """A graph ready to start: BMF's config, and the stages to close after the run."""

    config: dict[str, Any]
    stages: tuple[Stage, ...]


def assemble(plan: Plan, monitor: RunMonitor) -> Assembly:
    """Make BMF's graph config; create and open all stages, which loads their engines.

    Raises:
        BmfgraphError: A node cannot be opened; the error names it.
    """
    bmf_nodes: dict[str, list[PlanNode]] = {}
    for node in plan:
        bmf_nodes.setdefault(node.bmf_node, []).append(node)
    numbers = {name: number for number, name in enumerate(bmf_nodes)}
    stream = _stream_of(plan)
    queued = _QUEUED["cuda" if plan.uses_gpu else "cpu"]
    kept = next((info.kept for _, info in plan.sources()), None)
    stages: list[Stage] = []
    configs: list[dict[str, Any]] = []
    try:
        for name, members in bmf_nodes.items():
            outlets = _outlets(plan, members[-1])
            streams = tuple(outlet for _, outlet in outlets)
            module = None if members[0].spec.stage else members[0].spec.bmf_module(members[0], plan)
            key = uuid.uuid4().hex
            if module is None:
                chain = HANDOVER[key] = _stage_chain(members, streams, monitor, stages, stream, plan.batch)
                if not members[-1].outputs:
                    chain.steps[-1].kept = kept
            else:
                HANDOVER[key] = _module(plan, members[0], module, streams, monitor, stream)
                HANDOVER[key].kept = None if members[0].outputs else kept
            configs.append(
                {
                    "id": numbers[name],
                    "module_info": {
                        "name": f"bmfgraph_{numbers[name]}",
                        "type": "python",
                        "path": NO_MODULES,
                        "entry": module.entry if module else _STAGES,
                    },
                    "meta_info": {"premodule_id": -1, "callback_binding": [], "queue_length_limit": queued},
                    "option": {"job": key},
                    "input_streams": [_stream(ref) for ref in dict.fromkeys(members[0].inputs)],
                    "output_streams": [_stream(ref) for ref, _ in outlets],
                    "input_manager": "immediate",
                    "scheduler": numbers[name],
                    "alias": name,
                }
            )
    except BaseException:
        for config in configs:
            HANDOVER.pop(config["option"]["job"], None)
        for stage in stages:
            with contextlib.suppress(Exception):
                stage.close()
        raise
    config = {"input_streams": [], "output_streams": [], "nodes": configs, "option": {}, "mode": "Normal"}
    return Assembly(config, tuple(stages))


def _stream(ref: Ref) -> dict[str, str]:
    return {"identifier": f"{ref.node}_{ref.port}", "stream_alias": ""}


def _outlets(plan: Plan, node: PlanNode) -> list[tuple[Ref, OutputStream]]:
    """List the streams that leave a node: one for each port that has a consumer."""
    ports = node.spec.ports()
    refs = {consumer.inputs[index] for consumer, index in plan.consumers(node.name)}
    return sorted(((ref, OutputStream(ports.index(ref.port))) for ref in refs), key=lambda outlet: outlet[1].port)


def _module(
    plan: Plan,
    node: PlanNode,
    module: BmfModuleSpec,
    outlets: tuple[OutputStream, ...],
    monitor: RunMonitor,
    stream: Any,
) -> ModuleConfig:
    if (fault := lacking_codec(node)) is not None:
        raise fault
    types = (*(port.type for port in node.outputs), *map(plan.type_of, node.inputs))
    frames = next((kind for kind in types if isinstance(kind, FrameSpec)), None)
    timings = monitor.timings_of(node.name, node.kind)
    arity = len(dict.fromkeys(node.inputs))
    return ModuleConfig(timings, monitor, module, node.params, arity, outlets, frames, stream, plan.batch)


def _stage_chain(
    members: list[PlanNode],
    outlets: tuple[OutputStream, ...],
    monitor: RunMonitor,
    opened: list[Stage],
    stream: Any,
    batch: int,
) -> StageChainConfig:
    first = members[0]
    stages: list[Stage] = []
    for node in members:
        stage = make_stage(node)
        stage.device, stage.batch, stage.receive_warning = node.device, batch, monitor.warn
        opened.append(stage)
        try:
            with _on(node.device, stream):
                stage.open()
        except BmfgraphError:
            raise
        except Exception as error:
            raise failure(node.name, node.kind, error, doing="cannot start") from error
        stages.append(stage)
    # BMF does not allow two edges between the same two ports.
    streams = list(dict.fromkeys(first.inputs))
    arity, order = len(streams), tuple(streams.index(ref) for ref in first.inputs)
    last = next((port.type for port in members[-1].outputs if isinstance(port.type, FrameSpec)), None)
    timings = {node.name: monitor.timings_of(node.name, node.kind) for node in members}
    steps = [Step(step, tuple(timings[name] for name in names)) for step, names in _steps(stages)]
    job = StageChainConfig(steps, monitor, arity, batch, order, outlets, last, [{} for _ in range(arity)])
    if any(node.device == "cuda" for node in members):
        import torch

        job.ready = partial(torch.cuda.set_stream, stream)
    return job


def _steps(stages: Sequence[Stage]) -> Iterator[tuple[Stage, tuple[str, ...]]]:
    """Yield the steps of a chain with the names of their nodes; stages in a row that can be recorded are one step."""

    def recordable(stage: Stage) -> bool:
        return isinstance(stage, TensorStage) and stage.device == "cuda" and stage.recordable

    for together, group in itertools.groupby(stages, recordable):
        members = list(group)
        if together:
            yield Recording(cast("list[TensorStage]", members)), tuple(stage.name for stage in members)
        else:
            yield from ((stage, (stage.name,)) for stage in members)


def _stream_of(plan: Plan) -> Any:
    """Return the CUDA stream that all stages of a run share; None where none of them is on the GPU.

    Work that a stage enqueues before it returns an item is done before the work of the next stage, on whatever threads
    they run, and no thread waits. Runs side by side do not wait for each other.
    """
    if not plan.uses_gpu:
        return None
    import torch

    return torch.cuda.Stream()


def _on(device: Device, stream: Any) -> contextlib.AbstractContextManager[Any]:
    """Send GPU work inside the block to the stream that the run's stages share, while no other run captures."""
    context = contextlib.ExitStack()
    context.enter_context(without_capture(device))
    if device == "cuda":
        import torch

        context.enter_context(torch.cuda.stream(stream))
    return context


def without_capture(device: Device) -> contextlib.AbstractContextManager[Any]:
    """Keep other runs from capturing GPU work inside the block, which may wait for the whole GPU."""
    if device == "cpu":
        return contextlib.nullcontext()
    from bmfgraph.engines.runtimes.capture import NO_CAPTURE

    return NO_CAPTURE


def make_stage(node: PlanNode) -> Stage:
    """Create the stage of a node, without opening it.

    Raises:
        BmfgraphError: The class cannot be imported or created, or is not a Stage.
    """
    module, _, name = node.spec.stage.partition(":")
    try:
        stage = getattr(importlib.import_module(module), name)(node.name, node.params)
    except BmfgraphError:
        raise
    except Exception as error:
        raise failure(node.name, node.kind, error, doing=f"its stage {node.spec.stage} cannot be created") from error
    if not isinstance(stage, Stage):
        raise PlanError(
            node.name,
            f"stage {node.spec.stage} is not a bmfgraph.stages.Stage",
            hint="let its class inherit from bmfgraph.stages.Stage",
            code=codes.NODE_CONTRACT_VIOLATION,
        )
    return stage
