"""Run the node kind ``tiles``: cut the picture of a tensor to overlapping tiles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from bmfgraph.nodes.tiles import TilesParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.items import Sample

__all__ = ["CutTiles"]


class CutTiles(Stage):
    """Convert each Sample of one picture to a Sample with a row for each tile."""

    params: TilesParams

    def open(self) -> None:
        tiling = self.params.tiling
        self._sides = (
            (self.params.height_axis, _mirrored(tiling.picture_height, tiling.height, self.device)),
            (self.params.width_axis, _mirrored(tiling.picture_width, tiling.width, self.device)),
        )

    def process(self, *items: Any) -> Iterable[Sample]:
        sample: Sample = items[0]
        ((name, picture),) = sample.tensors.items()
        for axis, indices in self._sides:
            if indices is not None:
                picture = picture.index_select(axis, indices)
        tiling, (vertical, _), (horizontal, _) = self.params.tiling, *self._sides
        tiles = [
            picture.narrow(vertical, top, tiling.height).narrow(horizontal, left, tiling.width)
            for left, top in tiling.places
        ]
        return (Sample({name: torch.cat(tiles)}, sample.frames),)


def _mirrored(length: int, tile: int, device: str) -> torch.Tensor | None:
    """Return the indices that continue a side by its reflection up to the size of a tile; None if it is long enough."""
    if length >= tile:
        return None
    # Without the edge itself twice, as in a reflection on the last pixel; a single pixel is repeated.
    period = max(1, 2 * (length - 1))
    place = torch.arange(tile, device=device) % period
    return torch.where(place < length, place, period - place)
