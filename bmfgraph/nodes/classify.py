"""``classify``: read the best classes of each frame from a model's scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.decode import ClassifyDecode
from bmfgraph.nodes.fields import TensorAxes
from bmfgraph.nodes.results import described_output, known_size, label_names, model_outputs
from bmfgraph.plan.description import Inferred, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import ClassesSpec, Device, Port, PortType

__all__ = ["ClassifyParams", "ClassifySpec"]


@dataclass(frozen=True)
class ClassifyParams:
    """The scores that classes are read from, and the rules for them."""

    output: TensorAxes
    background: Literal["none", "first", "last"]
    top: int
    thresholds: tuple[float, ...]
    """Minimum score of each label; 2 for a label that is not kept."""
    labels: tuple[str, ...]


class ClassifySpec(NodeSpec):
    """Names the best classes of each frame, by falling score."""

    kind: Literal["classify"] = "classify"
    decode: ClassifyDecode | None = Field(default=None, description="Null: the model's own.")
    top: int | None = Field(default=None, ge=1, le=1000, description="Number of the best classes; null: the model's.")
    threshold: float | None = Field(default=None, ge=0, le=1, description="Minimum score; null: the model's.")

    stage: ClassVar[str] = "bmfgraph.stages.classify:Classify"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        example = "{preset: classification, labels: imagenet1k}"
        outputs, decode, frames, _ = model_outputs(node.name, inputs[0], self.decode, ClassifyDecode, example)
        output = described_output(
            node.name, outputs, lambda tensor, layout: known_size(tensor, layout.arrange(tensor, ("classes",)))
        )
        (size,) = output.sizes
        count = (size or 0) - (decode.background != "none")
        labels = label_names(node.name, decode, output.tensor, count, decode.background)
        if self.threshold is not None:
            decode = decode.model_copy(update={"threshold": self.threshold})
        params = ClassifyParams(
            output=output,
            background=decode.background,
            top=min(self.top or decode.top, count),
            thresholds=decode.thresholds(),
            labels=labels,
        )
        return Inferred((Port("out", ClassesSpec(frames, labels)),), params)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        params: ClassifyParams = node.params
        return f"top {params.top} of {len(params.labels)}", f"threshold {min(params.thresholds):g}"
