"""``sound``: a file's audio alone, beside a decoder that gives frames only. The compiler puts these nodes in."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal

from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.plan import Inferred, PlanNode, Requirement
from bmfgraph.plan.types import Port, PortType

__all__ = ["AudioNodeSpec", "AudioParams"]


@dataclass(frozen=True)
class AudioParams:
    """What is read, as a decoder is asked for it; times in seconds."""

    path: str
    video: int
    """Index among all of the file's streams; likewise ``audio``."""
    audio: int
    start: float | None
    end: float | None
    origin: Fraction
    time_grid: Fraction


class AudioNodeSpec(NodeSpec):
    """Reads the sound that belongs to another node's frames."""

    kind: Literal["sound"] = "sound"
    beside: Any
    """The other node's :class:`bmfgraph.nodes.decoder.DecoderParams`."""
    sound: Any
    """Its :class:`bmfgraph.plan.types.AudioSpec`."""

    arity: ClassVar[tuple[int, int]] = (0, 0)

    def ports(self) -> tuple[str, ...]:
        # As BMF's decoder numbers them.
        return ("video", "audio")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        work = self.beside
        return Inferred(
            (Port("audio", self.sound),),
            AudioParams(work.path, work.video, work.audio, work.start, work.end, work.origin, work.time_grid),
        )
