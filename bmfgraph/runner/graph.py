"""From a plan to BMF's graph: which BMF nodes there are, what runs in each, and the streams between them."""

from __future__ import annotations

import contextlib
import importlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bmfgraph.errors import BmfgraphError, PlanError
from bmfgraph.nodes.audio import AudioParams
from bmfgraph.nodes.bmf_options import native_module
from bmfgraph.nodes.decoder import DecoderParams
from bmfgraph.nodes.encoder import CODECS, EncoderParams
from bmfgraph.nodes.nvdec import NvdecParams
from bmfgraph.plan.plan import Plan, PlanNode, Ref
from bmfgraph.plan.types import Device, FrameSpec
from bmfgraph.runner.modules.base import HANDOVER, OutputStream
from bmfgraph.runner.modules.native import NativeConfig
from bmfgraph.runner.modules.stage_chain import StageChainConfig
from bmfgraph.runner.monitor import RunMonitor, failure
from bmfgraph.runner.mp4 import Repair, RepairParams
from bmfgraph.stages.base import Stage
from bmfgraph.system.ffmpeg4 import has_encoder, has_hwaccel, no_encoder, no_hwaccel

if TYPE_CHECKING:
    from bmfgraph.runner.modules.nvdec import NvdecConfig

__all__ = ["Assembly", "assemble"]

# Calls that may wait for a node; each can bring several packets. BMF's own 5 hold half as many frames again and
# are no faster.
_QUEUED = 3


@dataclass(frozen=True)
class Assembly:
    """A graph ready to be started: BMF's config, and what must be closed after it ran."""

    config: dict[str, Any]
    stages: tuple[Stage, ...]


def assemble(plan: Plan, watch: RunMonitor, folder: str) -> Assembly:
    """Make BMF's graph config. Stages are made and opened; their engines are loaded here.

    ``folder``: any existing folder without an ``__init__.py``, where BMF looks for modules first.
    Raises a BmfgraphError that names the node which cannot be opened.
    """
    hosts: dict[str, list[PlanNode]] = {}
    for node in plan:
        hosts.setdefault(node.bmf_node, []).append(node)
    native = {name: not members[0].spec.stage for name, members in hosts.items()}
    numbers = {name: number for number, name in enumerate(hosts)}
    stages: list[Stage] = []
    configs: list[dict[str, Any]] = []
    try:
        for name, members in hosts.items():
            outlets = _outlets(plan, members[-1], native)
            job = _job(plan, members, tuple(outlet for _, outlet in outlets), watch, stages)
            stages += _repairs(members[0])
            form = "video_frame" if native[name] else "item"
            key = uuid.uuid4().hex
            HANDOVER[key] = job
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
                    "output_streams": [_stream(ref, outlet.payload) for ref, outlet in outlets],
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


def _cuts(plan: Plan, node: PlanNode) -> bool:
    """Whether an encoder's sound comes from a decoder that begins later than its file."""
    if not isinstance(node.params, EncoderParams) or len(node.inputs) < 2:
        return False
    source = plan.node(node.inputs[1].node).params
    return isinstance(source, (DecoderParams, AudioParams)) and source.start is not None


def _host(node: PlanNode) -> str:
    """The class that BMF makes for a node."""
    if node.spec.stage:
        return "bmfgraph.runner.modules.stage_chain:StageChainModule"
    if isinstance(node.params, NvdecParams):
        return "bmfgraph.runner.modules.nvdec:NvdecModule"
    if isinstance(node.params, EncoderParams) and len(node.inputs) > 1:
        return "bmfgraph.runner.modules.encoder:EncoderModule"
    return "bmfgraph.runner.modules.native:NativeModule"


def _stream(ref: Ref, form: str) -> dict[str, str]:
    return {"identifier": f"{ref.node}_{ref.port}_{form}", "stream_alias": ""}


def _outlets(plan: Plan, node: PlanNode, native: dict[str, bool]) -> list[tuple[Ref, OutputStream]]:
    """The streams that leave a node: one for each port and form that somebody takes."""
    ports = node.spec.ports()
    found: dict[tuple[Ref, OutputStream], None] = {}
    for consumer, index in plan.consumers(node.name):
        ref = consumer.inputs[index]
        form = "video_frame" if native[consumer.bmf_node] else "item"
        found[ref, OutputStream(ports.index(ref.port), form)] = None  # type: ignore[arg-type]
    return sorted(found, key=lambda one: (one[1].port, one[1].payload))


def _job(
    plan: Plan, members: list[PlanNode], outlets: tuple[OutputStream, ...], watch: RunMonitor, opened: list[Stage]
) -> NativeConfig | NvdecConfig | StageChainConfig:
    first = members[0]
    if isinstance(first.params, NvdecParams):
        from bmfgraph.runner.modules.nvdec import NvdecConfig

        return NvdecConfig(watch.meter(first.name, first.kind), watch, first.params, outlets, first.params.color.yuv)
    if not first.spec.stage:
        _check_codecs(first)
        module, options = native_module(plan, first)
        hint = (
            "see what FFmpeg says above" if not isinstance(first.params, EncoderParams) else _encoder_hint(first.params)
        )
        frames = next((port.type for port in first.outputs if isinstance(port.type, FrameSpec)), None)
        matrix = frames.color.yuv if frames else "bt709"
        return NativeConfig(
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
    job = StageChainConfig(stages, watch, arity, order, outlets, last, [{} for _ in range(arity)])
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
        made = getattr(importlib.import_module(module), name)(node.name, node.params)
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
    if (
        isinstance(node.params, DecoderParams)
        and node.params.hwaccel != "none"
        and not has_hwaccel(node.params.hwaccel)
    ):
        raise no_hwaccel(node.name, node.kind, node.params.hwaccel)
    if isinstance(node.params, EncoderParams) and not has_encoder(node.params.codec):
        here = [name for name in CODECS.values() if has_encoder(name)]
        raise no_encoder(node.name, node.kind, node.params.codec, here)


def _repairs(node: PlanNode) -> list[Stage]:
    work = node.params
    if not isinstance(work, EncoderParams) or work.path is None or work.container not in ("mp4", "mov"):
        return []
    uneven = work.time_base != 1 / work.rate
    return [Repair(node.name, RepairParams(work.path, 1 / work.rate))] if uneven else []


def _encoder_hint(params: EncoderParams) -> str:
    return f"is there room on the disk, and does this FFmpeg have {params.codec}?"
