"""``faulty``: hands frames on until it fails."""

from dataclasses import dataclass
from typing import Literal

from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.plan import Need, Resolved
from bmfgraph.plan.types import FrameSpec, Port


@dataclass(frozen=True)
class FaultyWork:
    """What goes wrong and when."""

    fault: str
    frame: int
    seconds: float


class FaultySpec(NodeSpec):
    """Fails on demand."""

    kind: Literal["faulty"]
    fault: str = "none"
    frame: int = 57
    seconds: float = 0.0

    stage = "bmfgraph_faulty.stage:Faulty"

    def needs(self, index):
        return Need(FrameSpec, "rgb24")

    def resolve(self, node, inputs, want):
        return Resolved((Port("out", inputs[0]),), FaultyWork(self.fault, self.frame, self.seconds))
