"""Run the node kind ``stitch``: blend the tiles of a tensor to one picture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from bmfgraph.nodes.stitch import Side, StitchParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.items import Sample

__all__ = ["Stitch", "weights"]


class Stitch(Stage):
    """Convert each Sample of tiles to a Sample of the whole picture.

    One row of tiles is blended at a time, in floating point. The picture itself exists once, in the dtype of the tiles.
    """

    params: StitchParams

    def open(self) -> None:
        across, down = weights(self.params.width), weights(self.params.height)
        # Most tiles share their weights, so equal maps are one tensor.
        maps: dict[tuple[tuple[float, ...], tuple[float, ...]], torch.Tensor] = {}
        self._maps = [
            [
                maps.setdefault((tuple(y.tolist()), tuple(x.tolist())), (y[:, None] * x).float().to(self.device))
                for x in across
            ]
            for y in down
        ]

    def process(self, *items: Any) -> Iterable[Sample]:
        sample: Sample = items[0]
        down, across = self.params.height, self.params.width
        tiles = sample.tensors[self.params.tensor]
        shape = list(tiles.shape)
        shape[0], shape[down.axis], shape[across.axis] = 1, down.length, across.length
        whole = tiles.new_empty(shape)
        self._blend(
            tiles.movedim((down.axis, across.axis), (-2, -1)), whole.movedim((down.axis, across.axis), (-2, -1))[0]
        )
        return (Sample({self.params.tensor: whole}, sample.frames),)

    def _blend(self, tiles: torch.Tensor, picture: torch.Tensor) -> None:
        """Write the picture [..., height, width] that tiles [n, ..., tile height, tile width] make."""
        down, across = self.params.height, self.params.width
        exact = torch.promote_types(tiles.dtype, torch.float32)
        size = (*picture.shape[:-2], down.tile, across.starts[-1] + across.tile)
        strip = torch.zeros(size, dtype=exact, device=tiles.device)
        rows = tiles.unflatten(0, (len(down.starts), len(across.starts)))
        for number, top in enumerate(down.starts):
            for left, tile, shares in zip(across.starts, rows[number], self._maps[number], strict=True):
                strip[..., left : left + across.tile].addcmul_(tile.to(exact), shares)
            last = number + 1 == len(down.starts)
            # The rows of pixels above the next row of tiles are final.
            final = (down.length if last else down.starts[number + 1]) - top
            done = strip[..., :final, : across.length]
            picture[..., top : top + final, :] = done if tiles.is_floating_point() else done.round()
            if not last:
                rest = strip[..., final:, :].clone()
                strip[..., : down.tile - final, :] = rest
                strip[..., down.tile - final :, :] = 0


def weights(side: Side) -> list[torch.Tensor]:
    """Return the weights of each tile along one side, float64 [tile]; at every pixel of the picture they add up to 1.

    A weight rises linearly over the middle half of the overlap. In the outer quarter, where the picture's end inside of
    the tile changes the output of a network, it is 0, and in the inner quarter it is 1.
    """
    distance = torch.arange(side.tile, dtype=torch.float64) + 0.5
    ramp = ((distance - side.overlap / 4) / max(side.overlap / 2, 1e-9)).clamp(0, 1)
    total = torch.zeros(side.starts[-1] + side.tile, dtype=torch.float64)
    shares = []
    for number, start in enumerate(side.starts):
        share = torch.ones(side.tile, dtype=torch.float64)
        if number > 0:
            share = torch.minimum(share, ramp)
        if number + 1 < len(side.starts):
            share = torch.minimum(share, ramp.flip(0))
        shares.append(share)
        total[start : start + side.tile] += share
    return [share / total[start : start + side.tile] for start, share in zip(side.starts, shares, strict=True)]
