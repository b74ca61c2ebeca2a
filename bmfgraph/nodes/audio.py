"""``sound``: read the audio of a file alone. The compiler inserts these nodes beside a decoder."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Literal

from bmfgraph.media.opening import Protocol, ffmpeg_name, opening_options
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.description import BmfModuleSpec, Files, Inferred, Requirement, SourceInfo
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import AudioSpec, Port, PortType

__all__ = ["AudioNodeSpec", "AudioParams", "file_options", "span_text"]

_AFTER = 1e-3
"""Seconds, less than from one frame to the next."""


@dataclass(frozen=True)
class AudioParams:
    """The part of a file that is read; times in seconds."""

    path: str
    video: int
    """Index among all streams of the file, as ``audio`` is."""
    audio: int | None
    start: float | None
    end: float | None
    protocols: tuple[Protocol, ...]
    """What the file may open besides itself."""
    origin: Fraction
    """Time of the file, in seconds, that BMF counts as 0."""
    time_grid: Fraction
    """All frame times are multiples of it."""


class AudioNodeSpec(NodeSpec):
    """Reads the audio that belongs to another node's frames."""

    kind: Literal["sound"] = "sound"
    reads: AudioParams
    carries: AudioSpec

    arity: ClassVar[tuple[int, int]] = (0, 0)

    def ports(self) -> tuple[str, ...]:
        # In the order of the outputs of BMF's decoder.
        return ("video", "audio")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        return Inferred((Port("audio", self.carries),), self.reads)

    def files(self, params: AudioParams) -> Files:
        return Files(reads=(params.path,))

    def source(self, params: AudioParams) -> SourceInfo:
        return SourceInfo(start=params.start, end=params.end, audio_only=True)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        return Path(node.params.path).name, *span_text(node.params.start, node.params.end)

    def bmf_module(self, node: PlanNode, plan: Plan) -> BmfModuleSpec:
        # BMF's decoder skips the packets of the video stream undecoded, because its port has no consumer.
        streams = {"map_v": node.params.video, "map_a": node.params.audio}
        return BmfModuleSpec("c_ffmpeg_decoder", {**streams, **file_options(node.params, node, plan)})


def file_options(params: AudioParams, node: PlanNode, plan: Plan) -> dict[str, Any]:
    """Return the options of BMF's decoder for the part of the file that is read, and for compressed audio."""
    options: dict[str, Any] = {"input_path": ffmpeg_name(params.path), "dec_params": opening_options(params.protocols)}
    # BMF counts from the first packet of any stream. Where audio begins before 0, that is not the time origin.
    early = max(0.0, -float(params.origin))
    if params.start is not None:
        options["start_time"] = params.start + early
    elif early:
        options["copyts"] = 1
    if params.end is not None:
        # BMF includes the frame at end_time, and ignores an end_time that is not after the start.
        last = max(params.end - float(params.time_grid) / 2, (params.start or 0.0) + _AFTER)
        options["end_time"] = last + (early if params.start is not None else 0)
    accepted = (consumer.spec.accepts(index) for consumer, index in plan.consumers(node.name))
    if any(accepts is not None and accepts.compressed for accepts in accepted):
        options["audio_codec"] = "copy"
    return options


def span_text(start: float | None, end: float | None) -> list[str]:
    """Describe a part of a file, such as ``["from 1 s to 2 s"]``; an empty list for the whole file.

    Args:
        start: First time in seconds; None for the beginning.
        end: End in seconds; None for the end of the file.
    """
    begin = [f"from {start:g} s"] if start is not None else []
    until = [f"to {end:g} s"] if end is not None else []
    return [" ".join(begin + until)] if begin or until else []
