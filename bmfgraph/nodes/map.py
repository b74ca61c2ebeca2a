"""``map``: turn a value for each pixel, such as depth or a matte, into frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from bmfgraph import error_codes as codes
from bmfgraph.errors import FieldError, PlanError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.decode import MapDecode
from bmfgraph.nodes.pixels import PixelOutput, check_frames, pixel_output
from bmfgraph.nodes.results import model_outputs
from bmfgraph.plan.description import Context, Inferred, InputType, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import Device, FrameSpec, Port, PortType

__all__ = ["Colors", "MapParams", "MapSpec"]

Colors = Literal["gray", "turbo", "viridis", "magma", "inferno"]
_Level = Annotated[int, Field(ge=0, le=255)]
_RANGES = {"level": (0.0, 255.0), "depth": None, "matte": (0.0, 1.0), "heat": (0.0, 1.0)}
"""Values that become the first and the last colour, by the sort of value; None: those of each frame."""
_BLEND = 0.5
"""Share of the map over the frames, where no option says it."""


@dataclass(frozen=True)
class MapParams:
    """The values that a map is made from, and how it is drawn."""

    output: PixelOutput
    colors: Colors
    range: tuple[float, float] | None
    """None: the 1st and 99th percentile of each frame."""
    smooth: float
    invert: bool
    blend: float | None
    """Share of the map over the frames; None: the frames are not read, or the map cuts them out."""
    background: tuple[int, int, int] | Literal["blur"] | None
    width: int
    height: int


class MapSpec(NodeSpec):
    """Draws a value of each pixel. Inputs: a model; optionally the frames that it read, to blend or to cut out."""

    kind: Literal["map"] = "map"
    decode: MapDecode | None = Field(default=None, description="Null: the model's own.")
    colors: Colors = Field(default="gray", description="Colours from the lowest to the highest value.")
    range: tuple[float, float] | Literal["auto"] | None = Field(
        default=None,
        description="Values of the first and the last colour. auto: 1st and 99th percentile of each frame; null: auto "
        "for depth, 0..255 for levels, else 0..1.",
    )
    smooth: float = Field(
        default=0.0, ge=0, lt=1, description="Share of the earlier frames in an automatic range, against flicker."
    )
    invert: bool = Field(default=False, description="Exchange low and high values.")
    blend: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of the map over the frames of the second input; null: 0.5, or with `background` none.",
    )
    background: tuple[_Level, _Level, _Level] | Literal["blur"] | None = Field(
        default=None,
        description="Replaces the frames of the second input where the map is low, as for a matte: RGB, 0..255, or "
        "blur: the frames out of focus.",
    )

    stage: ClassVar[str] = "bmfgraph.stages.map:Map"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")
    arity: ClassVar[tuple[int, int]] = (1, 2)

    @field_validator("range")
    @classmethod
    def _rising(cls, value: tuple[float, float] | str | None) -> tuple[float, float] | str | None:
        if isinstance(value, tuple) and value[0] >= value[1]:
            raise FieldError(f"{list(value)}: the second value must be above the first", "use invert to exchange them")
        return value

    @property
    def _background(self) -> str:
        """The background as YAML has it."""
        return self.background if isinstance(self.background, str) else str(list(self.background or ()))

    def accepts(self, index: int) -> InputType | None:
        return InputType(FrameSpec, "rgb24") if index == 1 else None

    def check_options(self, name: str) -> None:
        if len(self.inputs) == 1 and (self.blend is not None or self.background is not None):
            option = f"blend {self.blend}" if self.background is None else f"background {self._background}"
            raise PlanError(
                name,
                f"{option} needs the frames, but the node has one input",
                hint=f"set inputs: [{self.inputs[0]}, source.video]",
                code=codes.UNUSED_OPTION,
            )
        if self.blend is not None and self.background is not None:
            raise PlanError(
                name,
                f"blend {self.blend} and background {self._background} are both set, and only one is possible",
                hint="blend shows the map over the frames, background cuts the frames out: leave one out",
                code=codes.UNUSED_OPTION,
            )

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        name = node.name
        outputs, decode, source, placement = model_outputs(
            name, inputs[0], self.decode, MapDecode, "{preset: depth_anything}"
        )
        output = pixel_output(name, outputs, placement, "channels", None)
        limits = None if self.range == "auto" else self.range or _RANGES[decode.value]
        if self.smooth and limits:
            raise PlanError(
                name,
                f"smooth {self.smooth} has no effect on the fixed range {list(limits)}",
                hint="set range: auto, or leave smooth out",
                code=codes.UNUSED_OPTION,
            )
        for frames in inputs[1:]:
            check_frames(name, frames, source)
        blended = len(inputs) > 1 and self.background is None
        params = MapParams(
            output=output,
            colors=self.colors,
            range=limits,
            smooth=self.smooth,
            invert=self.invert,
            blend=(_BLEND if self.blend is None else self.blend) if blended else None,
            background=self.background,
            width=source.width,
            height=source.height,
        )
        return Inferred((Port("out", source.as_rgb()),), params)

    def context(self, params: MapParams) -> Context | None:
        return None if params.range is None and params.smooth else Context()

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        params: MapParams = node.params
        limits = "auto" if params.range is None else "..".join(f"{value:g}" for value in params.range)
        use = f"over frames {params.blend:g}" if params.blend is not None else "cuts frames out"
        return f"{params.colors}, {limits}", *([use] if len(inputs) > 1 else [])
