"""Define the node kind ``faulty``: it passes frames on until it fails."""

from dataclasses import dataclass
from typing import Literal

from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.plan import Inferred, InputType
from bmfgraph.plan.types import FrameSpec, Port


@dataclass(frozen=True)
class FaultyParams:
    """Kind of failure, and the frame at which it happens."""

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

    def accepts(self, index):
        return InputType(FrameSpec, "rgb24")

    def infer(self, node, inputs, requirement):
        return Inferred((Port("out", inputs[0]),), FaultyParams(self.fault, self.frame, self.seconds))
