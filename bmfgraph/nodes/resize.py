"""``resize``: change the size of frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.description import Inferred, InputType, Interpolation, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import Device, FrameSpec, Port, PortType
from bmfgraph.plan.views.text import change_text, size_text

__all__ = ["ResizeParams", "ResizeSpec"]

Side = Annotated[int, Field(ge=0, le=16384)]


@dataclass(frozen=True)
class ResizeParams:
    """The new size in pixels, and the interpolation."""

    width: int
    height: int
    mode: Interpolation
    antialias: bool
    unchanged: bool
    """Whether it is the size of the input."""


class ResizeSpec(NodeSpec):
    """Changes the size of frames. Their pixel aspect ratio stays as it is."""

    kind: Literal["resize"] = "resize"
    size: tuple[Side | None, Side | None] | None = Field(
        default=None, description="[height, width]; one of them null or 0 follows from the other by the aspect ratio."
    )
    scale: float | None = Field(default=None, gt=0, le=64, description="Factor of height and width, instead of `size`.")
    multiple: int = Field(
        default=2,
        ge=1,
        le=256,
        description="Round sides that follow from `scale` or the aspect ratio to a multiple of it.",
    )
    mode: Interpolation = Field(default="bicubic", description="Interpolation; area averages the replaced pixels.")
    antialias: bool = Field(default=True, description="Low-pass before shrinking (bilinear and bicubic).")

    stage: ClassVar[str] = "bmfgraph.stages.resize:Resize"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")

    def check_options(self, name: str) -> None:
        sides = any(self.size or ())
        if sides == (self.scale is not None) or (self.size and not sides):
            size = "null" if self.size is None else str([side or 0 for side in self.size])
            raise PlanError(
                name,
                f"size {size} and scale {'null' if self.scale is None else f'{self.scale:g}'} do not give one size",
                hint=f"set pipeline.nodes.{name}.size=[HEIGHT,WIDTH] or [HEIGHT,0], or scale=FACTOR",
                code=codes.AMBIGUOUS_FRAME_SIZE,
            )

    def accepts(self, index: int) -> InputType:
        return InputType(FrameSpec, "rgb")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        frames = inputs[0]
        assert isinstance(frames, FrameSpec)
        height, width = self.size or (None, None)
        if not height or not width:
            factor = self.scale or (height / frames.height if height else (width or 0) / frames.width)
            height = height or self._rounded(frames.height * factor)
            width = width or self._rounded(frames.width * factor)
        unchanged = (width, height) == (frames.width, frames.height)
        params = ResizeParams(width, height, self.mode, self.antialias, unchanged)
        return Inferred((Port("out", frames.as_rgb(width, height, deep=True)),), params)

    def identity(self, params: ResizeParams) -> bool:
        return params.unchanged

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        return change_text(size_text(inputs[0]), size_text(node.outputs[0].type)), node.params.mode

    def _rounded(self, side: float) -> int:
        return max(1, round(side / self.multiple)) * self.multiple
