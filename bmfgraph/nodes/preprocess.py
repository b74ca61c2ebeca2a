"""``preprocess``: turn frames into the tensors that a model reads.

Options that the YAML leaves out follow the model further down the graph: size, layout, channel order, normalisation
and dtype.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.model import Levels, Size, check_divisor
from bmfgraph.plan.description import Align, Fit, Framing, Inferred, InputType, Interpolation, Requirement, Shrinking
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import Device, Dim, FrameSpec, Placement, Port, PortType, TensorMeaning, TensorSpec
from bmfgraph.plan.views.text import change_text, size_text

__all__ = ["PreprocessSpec", "Transform"]

DType = Literal["uint8", "float16", "float32"]
Offset = Annotated[int, Field(ge=0)]
Box = tuple[int, int, int, int]
_DTYPES = ("uint8", "int32", "int64", "float16", "float32", "float64")


@dataclass(frozen=True)
class Transform:
    """Steps from pixels to tensor, in this order: crop, resize, pad, channels, normalise, dtype, layout; in pixels."""

    crop: Box | None
    """Left, top, width, height in the source frame."""
    resize: tuple[int, int] | None
    """Width, height."""
    mode: Interpolation
    antialias: bool
    pad: Box
    """Left, top, right, bottom."""
    pad_value: int
    """Grey level."""
    meaning: TensorMeaning
    dtype: str
    name: str
    """Name of the tensor."""


class PreprocessSpec(NodeSpec):
    """Turns frames into tensors: fit to a size, pad, order channels, normalise, lay out."""

    kind: Literal["preprocess"] = "preprocess"
    region: tuple[Offset, Offset, Size, Size] | None = Field(
        default=None,
        description="[left, top, width, height] of the only part of the frame that is used, in its pixels; null: all.",
    )
    size: tuple[Size | None, Size | None] | None = Field(
        default=None,
        description="[height, width]; null: the sizes that the model fixes, else the source's; null for one of them: "
        "as the frame's shape makes it.",
    )
    longest: int | None = Field(
        default=None,
        ge=0,
        description="Shrink larger frames so that their longer side has this size, where `size` and the model leave it "
        "free; 0: keep their size; null: the model's.",
    )
    fit: Fit | None = Field(
        default=None,
        description="How a frame fits `size`; null: letterbox where sizes differ, else none.",
    )
    multiple: int | None = Field(default=None, ge=1, description="Pad height and width up to a multiple of it.")
    align: Align | None = Field(default=None, description="Place of a letterboxed frame; null: the model's.")
    pad_value: int | None = Field(
        default=None, ge=0, le=255, description="Grey level of letterbox bars and padding; null: the model's, else 0."
    )
    mode: Interpolation | None = Field(
        default=None, description="Interpolation; area averages the replaced pixels; null: the model's, else bilinear."
    )
    antialias: bool | None = Field(
        default=None, description="Low-pass before shrinking (bilinear and bicubic); null: the model's, else true."
    )
    exact: bool = Field(
        default=False,
        description="On a CPU, convert colours before frames shrink, and keep fractions of levels; false: YUV of 8 "
        "bits shrinks and becomes RGB in one step, several times as fast, and levels differ by 0.3 on the mean.",
    )
    channels: Literal["RGB", "BGR", "GRAY"] | None = Field(
        default=None, description="Order of the tensor's channels, or grey; null: the model's, else RGB."
    )
    mean: Levels | None = Field(default=None, description="Grey levels; value = (level - mean) / std.")
    std: Levels | None = Field(default=None, description="Grey levels, not 0; null: the model's, as with `mean`.")
    dtype: DType | None = Field(
        default=None, description="Null: the model's, else float32 for normalised values and uint8 for others."
    )
    layout: Literal["NCHW", "NHWC"] | None = Field(
        default=None, description="Order of the tensor's dims; null: the model's, else NCHW."
    )

    stage: ClassVar[str] = "bmfgraph.stages.preprocess:Preprocess"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")

    _not_zero = field_validator("std")(check_divisor)

    def accepts(self, index: int) -> InputType:
        return InputType(FrameSpec, "rgb")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        source = inputs[0]
        assert isinstance(source, FrameSpec)
        meaning = self._meaning(node.name, requirement)
        target = self._target(requirement)
        framing = self._framing(requirement)
        self._check_region(node.name, source)
        crop, resize, pad, placement = self._fit(node.name, source, target, requirement, framing)
        dtype = self.dtype or (
            requirement.tensor.dtype if requirement else "float32" if meaning.normalised else "uint8"
        )
        if dtype not in _DTYPES:
            raise PlanError(
                node.name,
                f"{requirement.consumer if requirement else ''!r} needs {dtype}; "
                f"image tensors can be: {', '.join(_DTYPES)}",
                hint="put a Cast in front of the model's input",
                code=codes.INVALID_PREPROCESS_DTYPE,
            )
        if "int" in dtype and meaning.normalised:
            raise PlanError(
                node.name,
                f"normalised values ({meaning}) do not fit dtype {dtype}",
                hint=f"set pipeline.nodes.{node.name}.dtype=float32, or leave mean and std out",
                code=codes.INVALID_PREPROCESS_DTYPE,
            )
        name = requirement.tensor.name if requirement else node.name
        by_name = {
            "batch": Dim("batch", 1),
            "channels": Dim("channels", meaning.count),
            "height": Dim("height", placement.height),
            "width": Dim("width", placement.width),
        }
        order = meaning.dims
        tensor = TensorSpec(
            name=name,
            dims=tuple(by_name[part] for part in order),
            dtype=dtype,
            meaning=meaning,
            placement=placement,
            source=source,
        )
        params = Transform(
            crop, resize, framing.resize, framing.antialias, pad, framing.pad_value, meaning, dtype, name
        )
        return Inferred((Port("out", tensor),), params)

    def shrinking(self, params: Transform) -> tuple[Shrinking, Transform] | None:
        # A crop has its borders in pixels of the whole frame.
        if self.exact or params.resize is None or params.crop or not params.antialias:
            return None
        if params.mode != "bilinear" and params.mode != "bicubic":
            return None
        return Shrinking(*params.resize, params.mode), replace(params, resize=None)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        meaning: TensorMeaning = node.params.meaning
        sizes = change_text(size_text(inputs[0]), size_text(node.outputs[0].type))
        return sizes, *([str(meaning)] if meaning.normalised else [])

    def _framing(self, requirement: Requirement | None) -> Framing:
        base = requirement.framing if requirement else Framing()
        own: dict[str, Any] = {"fit": self.fit, "align": self.align, "pad_value": self.pad_value}
        own |= {"resize": self.mode, "antialias": self.antialias, "longest": self.longest}
        return replace(base, **{key: value for key, value in own.items() if value is not None})

    def _meaning(self, name: str, requirement: Requirement | None) -> TensorMeaning:
        base = requirement.meaning if requirement else TensorMeaning()
        meaning = TensorMeaning(
            layout=self.layout or base.layout,
            channels=self.channels or base.channels,
            mean=base.mean if self.mean is None else self.mean if isinstance(self.mean, tuple) else (self.mean,),
            std=base.std if self.std is None else self.std if isinstance(self.std, tuple) else (self.std,),
        )
        for key, values in (("mean", meaning.mean), ("std", meaning.std)):
            if len(values) not in (1, meaning.count):
                raise PlanError(
                    name,
                    f"{key} {list(values)} has {len(values)} values, but {meaning.channels} has "
                    f"{meaning.count} channel(s)",
                    hint=f"set pipeline.nodes.{name}.{key} to one value, or one for each channel",
                    code=codes.WRONG_MEAN_STD_LENGTH,
                )
        return meaning

    def _check_region(self, name: str, source: FrameSpec) -> None:
        if self.region is None:
            return
        left, top, width, height = self.region
        if left + width > source.width or top + height > source.height:
            raise PlanError(
                name,
                f"region {list(self.region)} ends at {left + width}x{top + height}, beyond frames of {source.width}x"
                f"{source.height}",
                hint=f"correct pipeline.nodes.{name}.region: [left, top, width, height] in pixels of the frame",
                code=codes.REGION_OUTSIDE_FRAME,
            )

    def _target(self, requirement: Requirement | None) -> tuple[int | None, int | None]:
        """Return height and width, set by the YAML or fixed by the model; None if free."""
        if self.size:
            return self.size
        if not requirement:
            return None, None
        return requirement.tensor.size_of("height"), requirement.tensor.size_of("width")

    def _fit(
        self,
        name: str,
        source: FrameSpec,
        target: tuple[int | None, int | None],
        requirement: Requirement | None,
        framing: Framing,
    ) -> tuple[Box | None, tuple[int, int] | None, Box, Placement]:
        """Return crop (left, top, width, height), resize (width, height), pad (left, top, right, bottom), placement."""
        left, top, source_width, source_height = self.region or (0, 0, source.width, source.height)
        largest = max(source_width, source_height)
        if framing.longest and largest > framing.longest and target == (None, None) and framing.fit != "none":
            scale = framing.longest / largest
            target = max(1, round(source_height * scale)), max(1, round(source_width * scale))
        height, width = target[0] or source_height, target[1] or source_width
        fit = framing.fit or ("none" if (height, width) == (source_height, source_width) else "letterbox")
        if fit == "letterbox" and (target[0] is None) != (target[1] is None):
            # The free side follows the other one, so there are no bars.
            fit = "stretch"
            if target[1] is None:
                width = max(1, round(source_width * height / source_height))
            else:
                height = max(1, round(source_height * width / source_width))
        crop: Box | None = self.region
        inner = (source_width, source_height)
        if fit == "stretch":
            inner = (width, height)
        elif fit == "letterbox":
            scale = min(width / source_width, height / source_height)
            inner = (max(1, round(source_width * scale)), max(1, round(source_height * scale)))
        elif fit == "crop":
            scale = max(width / source_width, height / source_height)
            cropped_width = max(1, min(source_width, round(width / scale)))
            cropped_height = max(1, min(source_height, round(height / scale)))
            left += (source_width - cropped_width) // 2
            top += (source_height - cropped_height) // 2
            crop = (left, top, cropped_width, cropped_height)
            inner = (width, height)
        elif target != (None, None) and (height, width) != (source_height, source_width):
            raise PlanError(
                name,
                f"fit none keeps {source_width}x{source_height}, but {width}x{height} is required",
                hint=f"set pipeline.nodes.{name}.fit to letterbox, stretch or crop",
                code=codes.UNFITTED_FRAME_SIZE,
            )
        centred = framing.align == "centre"
        left, top = ((width - inner[0]) // 2, (height - inner[1]) // 2) if centred else (0, 0)
        multiple = self.multiple or (requirement.multiple if requirement else 1)
        right = -(-width // multiple) * multiple - inner[0] - left
        bottom = -(-height // multiple) * multiple - inner[1] - top
        used_width, used_height = (crop[2], crop[3]) if crop else (source.width, source.height)
        scale_x, scale_y = inner[0] / used_width, inner[1] / used_height
        placement = Placement(
            source_width=source.width,
            source_height=source.height,
            width=left + inner[0] + right,
            height=top + inner[1] + bottom,
            scale_x=scale_x,
            scale_y=scale_y,
            left=left - (crop[0] * scale_x if crop else 0.0),
            top=top - (crop[1] * scale_y if crop else 0.0),
            region=crop,
        )
        resize = inner if inner != (used_width, used_height) else None
        return crop, resize, (left, top, right, bottom), placement
