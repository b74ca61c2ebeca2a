"""``tiles``: cut pictures to overlapping tiles, for a network of a fixed size or one that needs much memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.model import Size
from bmfgraph.plan.description import Inferred, InputType, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import Device, Dim, Port, PortType, TensorSpec, Tiling, tiling_of
from bmfgraph.plan.views.text import size_text

__all__ = ["TilesParams", "TilesSpec", "check_same_tiles"]


@dataclass(frozen=True)
class TilesParams:
    """The tiles, and the axes of a tensor that they divide."""

    tiling: Tiling
    height_axis: int
    width_axis: int


class TilesSpec(NodeSpec):
    """Cuts pictures to overlapping tiles for the model; stitch or detections puts its outputs together."""

    kind: Literal["tiles"] = "tiles"
    size: tuple[Size, Size] | None = Field(
        default=None, description="[height, width] of a tile; null: the size that the model fixes."
    )
    overlap: int = Field(
        default=32,
        ge=0,
        description="Least overlap of neighbours in pixels: for pictures, at least twice the reach of the network; "
        "for detections, the size of the largest object.",
    )

    stage: ClassVar[str] = "bmfgraph.stages.tiles:CutTiles"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")

    def accepts(self, index: int) -> InputType:
        return InputType(TensorSpec)

    def requires(self, node: PlanNode, index: int, own: Requirement | None) -> Requirement | None:
        if own is None:
            return None
        # The picture keeps its size, and only the tiles have that of the model.
        dims = tuple(Dim(dim.name, None) if dim.name in ("height", "width") else dim for dim in own.tensor.dims)
        return replace(own, tensor=replace(own.tensor, dims=dims))

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        tensor = inputs[0]
        assert isinstance(tensor, TensorSpec)
        width, height = tensor.size_of("width"), tensor.size_of("height")
        if tensor.meaning is None or not width or not height:
            raise PlanError(
                node.name,
                f"{tensor.name} ({tensor}) is not an image of a known size",
                hint="connect a preprocess node",
                code=codes.UNDESCRIBED_MODEL_OUTPUT,
            )
        tile_height, tile_width = self._size(node.name, requirement)
        step = requirement.multiple if requirement else 1
        tiling = Tiling(
            width=tile_width,
            height=tile_height,
            lefts=self._offsets(node.name, "width", width, tile_width, step),
            tops=self._offsets(node.name, "height", height, tile_height, step),
            picture_width=width,
            picture_height=height,
            overlap=self.overlap,
        )
        sizes = {"batch": len(tiling.places), "height": tile_height, "width": tile_width}
        dims = tuple(Dim(dim.name, sizes.get(dim.name, dim.size)) for dim in tensor.dims)
        names = [dim.name for dim in dims]
        params = TilesParams(tiling, names.index("height"), names.index("width"))
        return Inferred((Port("out", replace(tensor, dims=dims, tiling=tiling)),), params)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        return size_text(inputs[0]), str(node.params.tiling)

    def _size(self, name: str, requirement: Requirement | None) -> tuple[int, int]:
        """Return height and width of a tile: the node's own, or those that the model fixes."""
        fixed = tuple(requirement.tensor.size_of(side) if requirement else None for side in ("height", "width"))
        height, width = self.size or fixed
        if height is None or width is None:
            raise PlanError(
                name,
                "the model accepts any size, so the size of a tile is unknown",
                hint=f"set pipeline.nodes.{name}.size to [height, width], such as [256,256]",
                code=codes.MISSING_TILE_SIZE,
            )
        if any(side is not None and side != own for side, own in zip(fixed, (height, width), strict=True)):
            text = " and ".join(f"{key} {side}" for key, side in zip(("height", "width"), fixed, strict=True) if side)
            raise PlanError(
                name,
                f"size [{height}, {width}]: the model is fixed to {text}",
                hint=f"leave pipeline.nodes.{name}.size out",
                code=codes.TENSOR_SIZE_MISMATCH,
            )
        multiple = requirement.multiple if requirement else 1
        if height % multiple or width % multiple:
            up = [-(-side // multiple) * multiple for side in (height, width)]
            raise PlanError(
                name,
                f"size [{height}, {width}]: the model needs multiples of {multiple}",
                hint=f"set pipeline.nodes.{name}.size={up}",
                code=codes.UNSUPPORTED_INPUT_SIZE,
            )
        return height, width

    def _offsets(self, name: str, side: str, length: int, tile: int, step: int) -> tuple[int, ...]:
        """Return where the tiles begin along one side: in multiples of ``step``, the last one at the picture's end."""
        if length <= tile:
            return (0,)
        stride = (tile - self.overlap) // step * step
        if stride <= 0:
            raise PlanError(
                name,
                f"overlap {self.overlap}: tiles of {side} {tile}"
                + (f" that begin at multiples of {step}" if step > 1 else "")
                + f" overlap by at most {tile - step}",
                hint=f"set pipeline.nodes.{name}.overlap={tile // 8}, or larger tiles",
                code=codes.INVALID_OVERLAP,
            )
        return (*range(0, length - tile, stride), length - tile)


def check_same_tiles(name: str, inputs: tuple[PortType, ...]) -> None:
    """Refuse inputs of one model that are cut to tiles in different ways."""
    tilings = [tiling_of(source) for source in inputs]
    if any(tiling != tilings[0] for tiling in tilings):
        raise PlanError(
            name,
            f"its inputs are cut differently: {', '.join(str(tiling or 'whole pictures') for tiling in tilings)}",
            hint="put the same tiles node before each of them, or before none",
            code=codes.CONFLICTING_TILES,
        )
