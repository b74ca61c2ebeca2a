"""``redact``: make detected objects unrecognisable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError, did_you_mean, join_sorted
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.overlay import Level, check_results
from bmfgraph.plan.description import Context, Inferred, InputType, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import DetectionsSpec, Device, FrameSpec, Port, PortType

__all__ = ["RedactParams", "RedactSpec"]

Style = Literal["blur", "pixelate", "fill"]
Shape = Literal["box", "ellipse", "mask"]


@dataclass(frozen=True)
class RedactParams:
    """The objects, the area of each, and what replaces its pixels."""

    style: Style
    shape: Shape
    margin: float
    blocks: int
    color: tuple[int, int, int]
    labels: tuple[str, ...] | None
    threshold: float
    hold: int


class RedactSpec(NodeSpec):
    """Makes detected objects unrecognisable. Inputs: frames, then detections of the same frames.

    `blur` and `pixelate` keep the mean colours of a few blocks; only `fill` keeps nothing of the object.
    """

    kind: Literal["redact"] = "redact"
    style: Style = Field(default="blur", description="Smooth or hard blocks, or one colour.")
    shape: Shape = Field(default="box", description="Area in or around the box, or the object's own mask.")
    margin: float = Field(default=0.15, ge=0, le=2, description="Fraction of the box that the area grows on each side.")
    blocks: int = Field(
        default=6,
        ge=1,
        le=64,
        description="Blocks along the longer side of the area; each is at least 4 pixels wide. Fewer hide more; "
        "detectors recognise a face in 8.",
    )
    color: tuple[Level, Level, Level] = Field(default=(0, 0, 0), description="RGB, 0..255, of `fill`.")
    labels: tuple[str, ...] | None = Field(default=None, min_length=1, description="Objects to redact; null: all.")
    threshold: float = Field(default=0.0, ge=0, le=1, description="Minimum score of an object.")
    hold: int = Field(
        default=5, ge=0, le=1000, description="Frames for which the area stays after the object was detected last."
    )

    stage: ClassVar[str] = "bmfgraph.stages.redact:Redact"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")
    arity: ClassVar[tuple[int, int]] = (2, 16)

    def accepts(self, index: int) -> InputType:
        return InputType(FrameSpec, "rgb") if index == 0 else InputType(DetectionsSpec)

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        frames, results = check_results(node, inputs)
        detections = [kind for kind in results if isinstance(kind, DetectionsSpec)]
        for kind in detections:
            if self.shape == "mask" and not kind.masks:
                raise PlanError(
                    node.name,
                    f"shape mask needs detections with masks, but gets {kind}",
                    hint=f"set pipeline.nodes.{node.name}.shape to box or ellipse",
                    code=codes.MISSING_MASKS,
                )
        known = [label for kind in detections for label in kind.labels]
        for label in self.labels or ():
            if label not in known:
                raise PlanError(
                    node.name,
                    f"labels: {label!r} is not detected{did_you_mean(label, known)}; detected: {join_sorted(known)}",
                    hint=f"correct pipeline.nodes.{node.name}.labels",
                    code=codes.UNDETECTED_LABEL,
                )
        params = RedactParams(
            self.style,
            self.shape,
            self.margin,
            self.blocks,
            self.color,
            self.labels,
            self.threshold,
            self.hold,
        )
        return Inferred((Port("out", frames.as_rgb(deep=True)),), params)

    def context(self, params: RedactParams) -> Context:
        return Context(before=params.hold)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        params: RedactParams = node.params
        return f"{params.style} of {'/'.join(params.labels) if params.labels else 'all'}", f"shape {params.shape}"
