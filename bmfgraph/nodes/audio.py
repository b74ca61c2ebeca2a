"""``sound``: read the audio of a file, and what belongs to it, alone. The compiler inserts these nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from bmfgraph.media.opening import ffmpeg_name, opening_options
from bmfgraph.media.reading import FileReading
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.description import BmfModuleSpec, Files, Inferred, Requirement, SourceInfo
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import AudioSpec, Port, PortType

__all__ = ["AudioNodeSpec", "file_options", "span_text"]

_AFTER = 1e-3
"""Seconds, less than from one frame to the next."""


class AudioNodeSpec(NodeSpec):
    """Reads the audio that belongs to another node's frames."""

    kind: Literal["sound"] = "sound"
    reads: FileReading
    carries: AudioSpec

    arity: ClassVar[tuple[int, int]] = (0, 0)

    def ports(self) -> tuple[str, ...]:
        # In the order of the outputs of BMF's decoder.
        return ("video", "audio")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        return Inferred((Port("audio", self.carries),), self.reads)

    def files(self, params: FileReading) -> Files:
        return Files(reads=(params.path,))

    def source(self, params: FileReading) -> SourceInfo:
        pipe = params.path if params.live else ""
        return SourceInfo(start=params.start, end=params.end, audio_only=True, pipe=pipe)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        return Path(node.params.path).name, *span_text(node.params.start, node.params.end)

    def bmf_module(self, node: PlanNode, plan: Plan) -> BmfModuleSpec:
        if self.carries.backend == "pyav":
            return BmfModuleSpec(entry="bmfgraph.runner.modules.decoder:TracksModule")
        # BMF's decoder skips the packets of the video stream undecoded, because its port has no consumer.
        return BmfModuleSpec("c_ffmpeg_decoder", file_options(node.params, self.carries, node, plan))


def file_options(params: FileReading, audio: AudioSpec | None, node: PlanNode, plan: Plan) -> dict[str, Any]:
    """Return the options of BMF's decoder for the part of the file that is read, and for compressed audio."""
    options: dict[str, Any] = {
        "input_path": ffmpeg_name(params.path),
        "dec_params": opening_options(params.protocols),
        "map_v": params.video,
        "loglevel": "error",
    }
    if audio is not None:
        options["map_a"] = audio.of_kind("audio")[0].stream
    # BMF counts from the first packet of any stream.
    shift = float(params.zero - params.origin)
    keeps_times = params.start is None and params.zero == 0 and shift != 0
    if keeps_times:
        options["copyts"] = 1
    elif params.start is not None or shift:
        options["start_time"] = max(0.0, (params.start or 0.0) + shift)
    if params.end is not None:
        # BMF includes the frame at end_time, and ignores an end_time that is not after the start.
        last = max(params.end - float(params.time_grid) / 2, (params.start or 0.0) + _AFTER)
        options["end_time"] = last if keeps_times else last + shift
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
