"""From a plan to BMF's graph: which BMF nodes there are, what runs in each, and the streams between them."""

from __future__ import annotations

import contextlib
import importlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bmfgraph.errors import BmfgraphError, PlanError
from bmfgraph.nodes.audio import SoundWork
from bmfgraph.nodes.bmf_options import native_module
from bmfgraph.nodes.decoder import DecoderWork
from bmfgraph.nodes.encoder import CODECS, EncoderWork
from bmfgraph.nodes.nvdec import NvdecWork
from bmfgraph.plan.plan import Plan, PlanNode, Ref
from bmfgraph.plan.types import Device, FrameSpec
from bmfgraph.runner.modules.base import JOBS, Outlet
from bmfgraph.runner.modules.native import NativeJob
from bmfgraph.runner.modules.stage_chain import StageJob
from bmfgraph.runner.monitor import Watch, failure
from bmfgraph.runner.mp4 import Repair, RepairWork
from bmfgraph.stages.base import Stage
from bmfgraph.system.ffmpeg4 import has_encoder, has_hwaccel, no_encoder, no_hwaccel

if TYPE_CHECKING:
    from bmfgraph.runner.modules.nvdec import NvdecJob

__all__ = ["Assembly", "assemble"]

# Calls that may wait for a node; each can bring several packets. BMF's own 5 hold half as many frames again and
# are no faster.
_QUEUED = 3


@dataclass(frozen=True)
class Assembly:
    """A graph ready to be started: BMF's config, and what must be closed after it ran."""

    config: dict[str, Any]
    stages: tuple[Stage, ...]


def assemble(plan: Plan, watch: Watch, folder: str) -> Assembly:
    """Make BMF's graph config. Stages are made and opened; their engines are loaded here.

    ``folder``: any existing folder without an ``__init__.py``, where BMF looks for modules first.
    Raises a BmfgraphError that names the node which cannot be opened.
    """
    hosts: dict[str, list[PlanNode]] = {}
    for node in plan:
        hosts.setdefault(node.host, []).append(node)
    native = {name: not members[0].spec.stage for name, members in hosts.items()}
    numbers = {name: number for number, name in enumerate(hosts)}
    stages: list[Stage] = []
    configs: list[dict[str, Any]] = []
    try:
        for name, members in hosts.items():
            outlets = _outlets(plan, members[-1], native)
            job = _job(plan, members, tuple(outlet for _, outlet in outlets), watch, stages)
            stages += _repairs(members[0])
            form = "raw" if native[name] else "item"
            key = uuid.uuid4().hex
            JOBS[key] = job
            configs.append(
                {
                    "id": numbers[name],
                    "module_info": {
                        "name": f"bmfgraph_{numbers[name]}",
                        "type": "python",
                        "path": folder,
                        "entry": _host(members[0]),
                    },
                    "meta_info": {"premodule_id": -1, "callback_binding": [], "queue_length_limit": _QUEUED},
                    "option": {"job": key},
                    "input_streams": [_stream(ref, form) for ref in dict.fromkeys(members[0].inputs)],
                    "output_streams": [_stream(ref, outlet.form) for ref, outlet in outlets],
                    "input_manager": "immediate",
                    "scheduler": numbers[name],
                    "alias": name,
                }
            )
    except BaseException:
        for config in configs:
            JOBS.pop(config["option"]["job"], None)
        for stage in stages:
            with contextlib.suppress(Exception):
                stage.close()
        raise
    config = {"input_streams": [], "output_streams": [], "nodes": configs, "option": {}, "mode": "Normal"}
    return Assembly(config, tuple(stages))


def _cuts(plan: Plan, node: PlanNode) -> bool:
    """Whether an encoder's sound comes from a decoder that begins later than its file."""
    if not isinstance(node.work, EncoderWork) or len(node.inputs) < 2:
        return False
    source = plan.node(node.inputs[1].node).work
    return isinstance(source, (DecoderWork, SoundWork)) and source.start is not None


def _host(node: PlanNode) -> str:
    """The class that BMF makes for a node."""
    if node.spec.stage:
        return "bmfgraph.runner.modules.stage_chain:StageHost"
    if isinstance(node.work, NvdecWork):
        return "bmfgraph.runner.modules.nvdec:NvdecHost"
    if isinstance(node.work, EncoderWork) and len(node.inputs) > 1:
        return "bmfgraph.runner.modules.encoder:EncoderHost"
    return "bmfgraph.runner.modules.native:NativeHost"


def _stream(ref: Ref, form: str) -> dict[str, str]:
    return {"identifier": f"{ref.node}_{ref.port}_{form}", "stream_alias": ""}


def _outlets(plan: Plan, node: PlanNode, native: dict[str, bool]) -> list[tuple[Ref, Outlet]]:
    """The streams that leave a node: one for each port and form that somebody takes."""
    ports = node.spec.ports()
    found: dict[tuple[Ref, Outlet], None] = {}
    for consumer, index in plan.consumers(node.name):
        ref = consumer.inputs[index]
        form = "raw" if native[consumer.host] else "item"
        found[ref, Outlet(ports.index(ref.port), form)] = None  # type: ignore[arg-type]
    return sorted(found, key=lambda one: (one[1].port, one[1].form))


def _job(
    plan: Plan, members: list[PlanNode], outlets: tuple[Outlet, ...], watch: Watch, opened: list[Stage]
) -> NativeJob | NvdecJob | StageJob:
    first = members[0]
    if isinstance(first.work, NvdecWork):
        from bmfgraph.runner.modules.nvdec import NvdecJob

        return NvdecJob(watch.meter(first.name, first.kind), watch, first.work, outlets, first.work.color.yuv)
    if not first.spec.stage:
        _check_codecs(first)
        module, options = native_module(plan, first)
        hint = "see what FFmpeg says above" if not isinstance(first.work, EncoderWork) else _encoder_hint(first.work)
        frames = next((port.type for port in first.outputs if isinstance(port.type, FrameSpec)), None)
        matrix = frames.color.yuv if frames else "bt709"
        return NativeJob(
            watch.meter(first.name, first.kind), watch, module, options, outlets, matrix, hint, _cuts(plan, first)
        )
    stages = []
    for node in members:
        stage = _make(node)
        stage.device = node.device
        opened.append(stage)
        try:
            with _on(node.device):
                stage.open()
        except BmfgraphError:
            raise
        except Exception as error:
            raise failure(node.name, node.kind, error, doing="cannot start") from error
        stages.append((stage, watch.meter(node.name, node.kind)))
    # BMF has no two edges between the same two ports.
    streams = list(dict.fromkeys(first.inputs))
    arity, order = len(streams), tuple(streams.index(ref) for ref in first.inputs)
    last = next((port.type for port in members[-1].outputs if isinstance(port.type, FrameSpec)), None)
    job = StageJob(stages, watch, arity, order, outlets, last, [{} for _ in range(arity)])
    if any(node.device == "cuda" for node in members):
        from bmfgraph.stages.cuda import use_stream

        job.ready = use_stream
    return job


def _on(device: Device) -> contextlib.AbstractContextManager[Any]:
    """Within it, what is enqueued on the GPU goes to the stream that all stages share."""
    if device == "cpu":
        return contextlib.nullcontext()
    import torch

    from bmfgraph.stages.cuda import stream

    return torch.cuda.stream(stream())


def _make(node: PlanNode) -> Stage:
    module, _, name = node.spec.stage.partition(":")
    try:
        made = getattr(importlib.import_module(module), name)(node.name, node.work)
    except BmfgraphError:
        raise
    except Exception as error:
        raise failure(node.name, node.kind, error, doing=f"its stage {node.spec.stage} cannot be made") from error
    if not isinstance(made, Stage):
        raise PlanError(
            node.name,
            f"stage {node.spec.stage} is no bmfgraph.stages.base.Stage",
            hint="let its class inherit from that one",
            code="E307",
        )
    return made


def _check_codecs(node: PlanNode) -> None:
    if isinstance(node.work, DecoderWork) and node.work.hwaccel != "none" and not has_hwaccel(node.work.hwaccel):
        raise no_hwaccel(node.name, node.kind, node.work.hwaccel)
    if isinstance(node.work, EncoderWork) and not has_encoder(node.work.codec):
        here = [name for name in CODECS.values() if has_encoder(name)]
        raise no_encoder(node.name, node.kind, node.work.codec, here)


def _repairs(node: PlanNode) -> list[Stage]:
    work = node.work
    if not isinstance(work, EncoderWork) or work.path is None or work.container not in ("mp4", "mov"):
        return []
    uneven = work.time_base != 1 / work.rate
    return [Repair(node.name, RepairWork(work.path, 1 / work.rate))] if uneven else []


def _encoder_hint(work: EncoderWork) -> str:
    return f"is there room on the disk, and does this FFmpeg have {work.codec}?"
