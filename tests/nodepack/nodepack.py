"""The kind ``invert``: every level of a frame becomes 255 minus itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph.errors import PlanError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.plan import Inferred, InputType, PlanNode, Requirement
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

    def accepts(self, index: int) -> InputType:
        return InputType(FrameSpec, "rgb24")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        frames = inputs[0]
        if frames.width < 2:
            raise PlanError(node.name, f"frames of width {frames.width} are too narrow", hint="use wider ones")
        return Inferred((Port("out", frames.as_rgb()),), Strength(self.amount))

    def identity(self, params: Strength) -> bool:
        return params.amount == 0
