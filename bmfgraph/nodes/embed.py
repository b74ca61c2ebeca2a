"""``embed``: read the vector that describes each frame from a model's output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.decode import EmbedDecode
from bmfgraph.nodes.fields import TensorAxes
from bmfgraph.nodes.results import described_output, known_size, model_outputs
from bmfgraph.plan.description import Inferred, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import Device, EmbeddingsSpec, Port, PortType

__all__ = ["EmbedParams", "EmbedSpec"]


@dataclass(frozen=True)
class EmbedParams:
    """The output that the vector is read from."""

    output: TensorAxes
    normalise: Literal["none", "l2"]


class EmbedSpec(NodeSpec):
    """Describes each frame by a vector, so that alike frames have vectors of a small angle."""

    kind: Literal["embed"] = "embed"
    decode: EmbedDecode | None = Field(default=None, description="Null: the model's own.")

    stage: ClassVar[str] = "bmfgraph.stages.embed:Embed"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        outputs, decode, frames, _ = model_outputs(node.name, inputs[0], self.decode, EmbedDecode, "{preset: reid}")
        output = described_output(
            node.name, outputs, lambda tensor, layout: known_size(tensor, layout.arrange(tensor, ("embedding",)))
        )
        (size,) = output.sizes
        return Inferred((Port("out", EmbeddingsSpec(frames, size or 0)),), EmbedParams(output, decode.normalise))

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        params: EmbedParams = node.params
        return f"{params.output.sizes[0]} numbers", "length 1" if params.normalise == "l2" else "any length"
