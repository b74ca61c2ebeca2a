"""Read candidates from a detector's outputs for the tiles of a picture, and drop those that a tile's edge has cut."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from bmfgraph.nodes.detections import DetectionsParams
from bmfgraph.stages.boxes import BoxReader, Candidates, Select

__all__ = ["TiledReader"]

_NEAR = 1 / 64
"""Share of a tile's side: a box that ends closer to the side may be cut."""
_INSIDE = 0.7
"""Least share of a cut box that lies inside of the whole one."""
_BLOCK = 512
"""Boxes that are compared with all others at once."""

Places = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class TiledReader:
    """Decode the outputs for each tile like a :class:`BoxReader`, as candidates of the whole picture.

    An object that lies across the edge of a tile is whole in a neighbour, if it is not larger than the overlap. A box
    that ends at an inner edge loses against a larger one of another tile that contains most of it: its score becomes
    negative, so that it is below every threshold. The suppression that follows joins what several tiles see whole.

    Args:
        params: As for BoxReader; ``placement`` has the size of a tile.
        reader: Reader of a single tile.
    """

    def __init__(self, params: DetectionsParams, reader: BoxReader) -> None:
        self._params = params
        self._reader = reader
        self.columns = self._reader.columns
        self._places: dict[torch.device, Places] = {}

    def candidates(self, tensors: Mapping[str, torch.Tensor], select: Select) -> Candidates:
        """Decode the selected candidates.

        Args:
            tensors: Outputs of the model by name, with a row for each tile.
            select: Selection by the scores: first in each tile, then of all tiles together.
        """
        assert self._params.tiling is not None
        parts, tiles = [], []
        for tile in range(len(self._params.tiling.places)):
            part = self._reader.candidates({name: tensor[tile] for name, tensor in tensors.items()}, select)
            offset = self._constants(part.boxes.device)[0][tile]
            if (points := self.columns.get("keypoints")) is not None:
                part.extras[:, points].unflatten(1, (-1, 3))[..., :2].add_(offset[:2])
            parts.append(part._replace(boxes=part.boxes + offset))
            tiles.append(torch.full_like(part.labels, tile))
        boxes, scores, labels, extras = (torch.cat(columns) for columns in zip(*parts, strict=True))
        chosen = select(scores)
        found = Candidates(boxes[chosen], scores[chosen], labels[chosen], extras[chosen])
        lost = self._cut(found, torch.cat(tiles)[chosen]) | self._outside(found.boxes)
        return found._replace(scores=torch.where(lost, -found.scores, found.scores))

    def _constants(self, device: torch.device) -> Places:
        """Return for each tile its offset and its inner edges, float32 [tiles, 4], and the threshold of each label."""
        if device not in self._places:
            tiling = self._params.tiling
            assert tiling is not None
            near_x, near_y = max(2.0, tiling.width * _NEAR), max(2.0, tiling.height * _NEAR)
            edges = [
                (
                    left + near_x if left > 0 else -math.inf,
                    top + near_y if top > 0 else -math.inf,
                    left + tiling.width - near_x if left < tiling.lefts[-1] else math.inf,
                    top + tiling.height - near_y if top < tiling.tops[-1] else math.inf,
                )
                for left, top in tiling.places
            ]
            offsets = torch.tensor([place * 2 for place in tiling.places], dtype=torch.float32)
            self._places[device] = (
                offsets.to(device),
                torch.tensor(edges).to(device),
                torch.tensor(self._params.thresholds).to(device),
            )
        return self._places[device]

    def _cut(self, found: Candidates, tiles: torch.Tensor) -> torch.Tensor:
        """Return which boxes end at an inner edge of their tile, and lie in a larger box of another one, bool [n]."""
        boxes, scores, labels = self._bounds(found), found.scores, found.labels
        _, inner, thresholds = self._constants(boxes.device)
        edges = inner[tiles]
        at_edge = (boxes[:, :2] < edges[:, :2]).any(dim=1) | (boxes[:, 2:] > edges[:, 2:]).any(dim=1)
        valid = scores > thresholds[labels]
        # The number of boxes at an edge depends on the data, which a recorded graph does not allow.
        rows = torch.arange(len(boxes), device=boxes.device) if boxes.is_cuda else (at_edge & valid).nonzero()[:, 0]
        area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)
        lost = torch.zeros_like(at_edge)
        for block in rows.split(_BLOCK):
            upper, lower = (
                torch.maximum(boxes[block, None, :2], boxes[:, :2]),
                torch.minimum(boxes[block, None, 2:], boxes[:, 2:]),
            )
            inside = (lower - upper).clamp(min=0).prod(dim=2) >= _INSIDE * area[block, None]
            beaten = inside & valid & (area > area[block, None]) & (tiles != tiles[block, None])
            if self._params.nms != "all":
                beaten &= labels == labels[block, None]
            lost[block] = beaten.any(dim=1)
        return lost & at_edge

    def _bounds(self, found: Candidates) -> torch.Tensor:
        """Return the upright boxes around the boxes, float32 [n, 4]."""
        if not self._params.rotated:
            return found.boxes
        angles = found.extras[:, self.columns["angle"]]
        first, second = found.boxes[:, :2], found.boxes[:, 2:]
        centre, half = (first + second) / 2, (second - first) / 2
        half = angles.cos().abs() * half + angles.sin().abs() * half.flip(1)
        return torch.cat([centre - half, centre + half], dim=1)

    def _outside(self, boxes: torch.Tensor) -> torch.Tensor:
        """Return which boxes have their centre in the padding of a tile that is larger than the picture, bool [n]."""
        tiling = self._params.tiling
        assert tiling is not None
        x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
        return (x > tiling.picture_width) | (y > tiling.picture_height)
