"""``collect``: hand the items of a node to a Python program. The API inserts these nodes; YAML cannot name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.plan import Inferred, InputType, PlanNode, Requirement
from bmfgraph.plan.types import Device, PortType

__all__ = ["CollectParams", "CollectSpec", "collect"]


@dataclass(frozen=True)
class CollectParams:
    """No settings: the run sets the receiver when it begins."""


class CollectSpec(NodeSpec):
    """Hands items of any type to a receiver, those of one frame together; frames as RGB, on their device."""

    kind: Literal["collect"] = "collect"

    stage: ClassVar[str] = "bmfgraph.stages.collect:Collect"
    arity: ClassVar[tuple[int, int]] = (1, 99)
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")
    takes_tiles: ClassVar[bool] = True

    def ports(self) -> tuple[str, ...]:
        return ()

    def accepts(self, index: int) -> InputType:
        return InputType(object, "rgb24")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        return Inferred((), CollectParams())


def collect(*outputs: str) -> NodeSpec:
    """Return a node that collects outputs of other nodes, each written ``node`` or ``node.port``."""
    return CollectSpec(inputs=outputs)
