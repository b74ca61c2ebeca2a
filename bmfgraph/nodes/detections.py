"""``detections``: turn a detector's output tensors into labelled boxes in source pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError, did_you_mean, join_sorted
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.model import Decode
from bmfgraph.plan.description import Inferred, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import BundleSpec, DetectionsSpec, Device, Placement, Port, PortType, TensorSpec

__all__ = ["DetectionsNodeSpec", "DetectionsParams"]


@dataclass(frozen=True)
class DetectionsParams:
    """The tensors that boxes are read from, and the thresholds for them."""

    style: str
    tensors: tuple[tuple[str, str], ...]
    """Role and name of each output that is read."""
    threshold: float
    iou: float
    labels: tuple[str, ...]
    stride: int
    placement: Placement


class DetectionsNodeSpec(NodeSpec):
    """Decodes a detector's outputs, drops weak and doubled boxes, maps the rest to source pixels."""

    kind: Literal["detections"] = "detections"
    decode: Decode | None = Field(default=None, description="Null: the model's own.")
    threshold: float | None = Field(default=None, ge=0, le=1, description="Minimum score; null: the model's.")
    iou: float | None = Field(default=None, ge=0, le=1, description="Maximum overlap of two boxes; null: the model's.")

    stage: ClassVar[str] = "bmfgraph.stages.detections:Detect"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        outputs = inputs[0]
        if not isinstance(outputs, BundleSpec):
            raise PlanError(
                node.name,
                f"expects the outputs of a detector, not {outputs}",
                hint="connect it to an inference node",
                code=codes.DETECTOR_EXPECTED,
            )
        decode = self.decode or outputs.decode
        if decode is None:
            raise PlanError(
                node.name,
                "the model's config does not describe how to read boxes from its outputs",
                hint="set `decode` in the model's config: style ultraface or centerface, and its tensors",
                code=codes.MISSING_DECODE,
            )
        names = [tensor.name for tensor in outputs.tensors]
        for role, name in decode.tensors().items():
            if name not in names:
                raise PlanError(
                    node.name,
                    f"decode.{role}: the model has no output {name!r}{did_you_mean(name, names)}; "
                    f"it has: {join_sorted(names)}",
                    hint="correct model.decode",
                    code=codes.UNKNOWN_DECODE_TENSOR,
                )
        self._check_labels(node.name, decode, outputs.tensors[names.index(next(iter(decode.tensors().values())))])
        tensor = outputs.tensors[0]
        if tensor.placement is None or tensor.source is None:
            raise PlanError(
                node.name,
                "the position of the source frame in the model's input is unknown, so boxes cannot be mapped back",
                hint="feed the model from a preprocess node",
                code=codes.UNKNOWN_BOX_PLACEMENT,
            )
        params = DetectionsParams(
            style=decode.style,
            tensors=tuple(decode.tensors().items()),
            threshold=decode.threshold if self.threshold is None else self.threshold,
            iou=decode.iou if self.iou is None else self.iou,
            labels=decode.labels,
            stride=getattr(decode, "stride", 1),
            placement=tensor.placement,
        )
        return Inferred((Port("out", DetectionsSpec(decode.labels, tensor.source)),), params)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        return f"threshold {node.params.threshold:g}", f"overlap {node.params.iou:g}"

    def _check_labels(self, name: str, decode: Decode, scores: TensorSpec) -> None:
        """Compare the labels with the scores: UltraFace's last axis, CenterFace's channels."""
        background, axis = (1, -1) if decode.style == "ultraface" else (0, 1)
        classes = scores.shape[axis] if len(scores.shape) > 1 else None
        if classes is not None and classes - background != len(decode.labels):
            raise PlanError(
                name,
                f"decode.labels has {len(decode.labels)} label(s), but {scores.name} ({scores}) scores "
                f"{classes - background}",
                hint="correct model.decode.labels, or which tensors model.decode names",
                code=codes.LABEL_COUNT_MISMATCH,
            )
