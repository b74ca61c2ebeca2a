"""The kind ``invert``: every level of a frame becomes 255 minus itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph.errors import PlanError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.plan import Need, PlanNode, Resolved, Want
from bmfgraph.plan.types import FrameSpec, Port, PortType


@dataclass(frozen=True)
class Strength:
    """How much of the inverted picture is mixed in, 0..1."""

    amount: float


class InvertSpec(NodeSpec):
    """Inverts frames."""

    kind: Literal["invert"]
    amount: float = Field(default=1.0, ge=0, le=1)

    stage: ClassVar[str] = "nodepack_stage:Invert"

    def needs(self, index: int) -> Need:
        return Need(FrameSpec, "rgb24")

    def resolve(self, node: PlanNode, inputs: tuple[PortType, ...], want: Want | None) -> Resolved:
        frames = inputs[0]
        if frames.width < 2:
            raise PlanError(node.name, f"frames of width {frames.width} are too narrow", hint="use wider ones")
        return Resolved((Port("out", frames.as_rgb()),), Strength(self.amount))

    def identity(self, work: Strength) -> bool:
        return work.amount == 0
