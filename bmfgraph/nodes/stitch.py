"""``stitch``: put a model's outputs for the tiles of a picture together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.frames import chosen_tensor
from bmfgraph.plan.description import Inferred, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import BundleSpec, Device, Dim, Port, PortType, TensorSpec, Tiling, tiling_of
from bmfgraph.plan.views.text import change_text, size_text

__all__ = ["Side", "StitchParams", "StitchSpec"]


@dataclass(frozen=True)
class Side:
    """The tiles along the height or the width of a picture, in pixels of the output."""

    axis: int
    """Axis of the tensor."""
    starts: tuple[int, ...]
    """Where each tile begins."""
    tile: int
    length: int
    """Height or width of the picture."""
    overlap: float
    """Least overlap of two neighbours."""


@dataclass(frozen=True)
class StitchParams:
    """The tensor of tiles, and their places."""

    tensor: str
    height: Side
    width: Side


class StitchSpec(NodeSpec):
    """Puts the tiles of a model's output together to one picture, blended where they overlap."""

    kind: Literal["stitch"] = "stitch"
    tensor: str | None = Field(default=None, description="Name of the model's output, if it has several.")

    stage: ClassVar[str] = "bmfgraph.stages.stitch:Stitch"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")
    takes_tiles: ClassVar[bool] = True

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        source, tiling = inputs[0], tiling_of(inputs[0])
        if tiling is None:
            raise PlanError(
                node.name,
                f"expects the outputs of a model for tiles, not {source}",
                hint="put a node {kind: tiles} between preprocess and inference",
                code=codes.TILES_EXPECTED,
            )
        tensor = chosen_tensor(node.name, source, self.tensor)
        axes = self._axes(node.name, source, tensor)
        height = _side(node.name, tensor, axes[0], tiling, (tiling.tops, tiling.height, tiling.picture_height))
        width = _side(node.name, tensor, axes[1], tiling, (tiling.lefts, tiling.width, tiling.picture_width))
        sizes = {0: 1, height.axis: height.length, width.axis: width.length}
        whole = replace(
            tensor,
            dims=tuple(Dim(dim.name, sizes.get(axis, dim.size)) for axis, dim in enumerate(tensor.dims)),
            tiling=None,
        )
        if tensor.meaning and tensor.placement:
            whole = replace(whole, placement=tensor.placement.scaled_to(width.length, height.length))
        out: PortType = whole
        if tensor.meaning is None and isinstance(source, BundleSpec):
            layouts = tuple(pair for pair in source.layouts if pair[0] == tensor.name)
            out = BundleSpec((whole,), source.decode, layouts)
        return Inferred((Port("out", out),), StitchParams(tensor.name, height, width))

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        return (change_text(str(tiling_of(inputs[0])), size_text(node.outputs[0].type)),)

    def _axes(self, name: str, source: PortType, tensor: TensorSpec) -> tuple[int, int]:
        """Return the axes of height and width."""
        names = tuple(dim.name for dim in tensor.dims)
        if tensor.meaning is None and isinstance(source, BundleSpec):
            layout = dict(source.layouts).get(tensor.name)
            # Tasks read outputs that are not described in this order.
            last = (*("" for _ in names[2:]), "height", "width")[-len(names) :]
            names = (layout.dims if layout else None) or (last if source.decode else names)
        if "height" not in names or "width" not in names:
            raise PlanError(
                name,
                f"{tensor.name} ({tensor}) has no height and width",
                hint=f"describe it under model.outputs.{tensor.name}: {{layout: NCHW, channels: RGB}} for a picture, "
                "dims: [batch, classes, height, width] for a map",
                code=codes.UNDESCRIBED_MODEL_OUTPUT,
            )
        return names.index("height"), names.index("width")


def _side(name: str, tensor: TensorSpec, axis: int, tiling: Tiling, place: tuple[tuple[int, ...], int, int]) -> Side:
    """Return the tiles along an axis of the output.

    Args:
        name: Name of the node.
        tensor: The output.
        axis: Its axis of the height or the width.
        tiling: The tiles of the model's input.
        place: Starts and size of these tiles, and the size of the picture.
    """
    starts, tile, length = place
    size = tensor.shape[axis]
    if not size:
        raise PlanError(
            name,
            f"{tensor.name} ({tensor}): dim {axis} is still free for the given inputs",
            hint="export the model with that dim fixed, or computed from the input's",
            code=codes.DYNAMIC_OUTPUT_DIMENSION,
        )
    scale = Fraction(size, tile)
    edges = [start * scale for start in (*starts, length)]
    if any(edge.denominator != 1 for edge in edges):
        raise PlanError(
            name,
            f"{tensor.name} ({tensor}) has {float(scale):g} pixels for each of the input, so tiles that begin at "
            f"{list(starts)} in {length} pixels begin between two pixels of it",
            hint=f"set `multiple` of the model's input to {scale.denominator}, and tiles of a multiple of it",
            code=codes.UNALIGNED_TILES,
        )
    *begins, whole = map(int, edges)
    return Side(axis, tuple(begins), size, whole, float(tiling.overlap * scale))
