"""``sound``: a file's audio alone, beside a decoder that gives frames only. The compiler puts these nodes in."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal

from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.plan import PlanNode, Resolved, Want
from bmfgraph.plan.types import Port, PortType

__all__ = ["SoundSpec", "SoundWork"]


@dataclass(frozen=True)
class SoundWork:
    """What is read, as a decoder is asked for it; times in seconds."""

    path: str
    video: int
    """Index among all of the file's streams; likewise ``audio``."""
    audio: int
    start: float | None
    end: float | None
    origin: Fraction
    tick: Fraction


class SoundSpec(NodeSpec):
    """Reads the sound that belongs to another node's frames."""

    kind: Literal["sound"] = "sound"
    beside: Any
    """The other node's :class:`bmfgraph.nodes.decoder.DecoderWork`."""
    sound: Any
    """Its :class:`bmfgraph.plan.types.AudioSpec`."""

    arity: ClassVar[tuple[int, int]] = (0, 0)

    def ports(self) -> tuple[str, ...]:
        # As BMF's decoder numbers them.
        return ("video", "audio")

    def resolve(self, node: PlanNode, inputs: tuple[PortType, ...], want: Want | None) -> Resolved:
        work = self.beside
        return Resolved(
            (Port("audio", self.sound),),
            SoundWork(work.path, work.video, work.audio, work.start, work.end, work.origin, work.tick),
        )
