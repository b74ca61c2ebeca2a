"""``detections`` at work: output tensors to boxes in source pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from bmfgraph.nodes.detections import DetectionsParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.cuda import AsyncDownload, GraphedFunction, constant
from bmfgraph.stages.items import Box, Detections, Frame, Sample
from bmfgraph.stages.nms import non_maximum_suppression, suppress_at_once

__all__ = ["Detect", "Found", "above", "best", "decode_centerface", "decode_ultraface"]

Found = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Boxes float32 [n, 4] in tensor pixels, scores float32 [n], label numbers int64 [n]."""
Select = Callable[[torch.Tensor], torch.Tensor]
"""From the scores of all candidates, float32 [n], to the indices of those that are looked at."""

_CANDIDATES = 256
"""So many of the best candidates are looked at on the GPU, where their number must be known beforehand."""


class Detect(Stage):
    """Samples of a detector's outputs to detections, one per frame."""

    params: DetectionsParams

    def open(self) -> None:
        self._late: AsyncDownload[Detections] = AsyncDownload()
        self._table = GraphedFunction(self._on_gpu)

    def process(self, *items: Any) -> Iterable[Detections]:
        sample: Sample = items[0]
        frame = sample.frames[0]
        found = [sample.tensors[name][0] for _, name in self.params.tensors]
        if self.device == "cuda":
            return self._late.put([self._table(*found)], lambda copies: self._read(frame, found, copies[0]))
        return (self._one_by_one(frame, found),)

    def _one_by_one(self, frame: Frame, found: Sequence[torch.Tensor]) -> Detections:
        """Look at as many candidates as the picture has, wherever their tensors lie."""
        boxes, scores, labels = self._decoded(found, above(self.params.threshold))
        kept = non_maximum_suppression(boxes, scores, labels, self.params.iou)
        return self._detections(frame, self._in_source(boxes[kept]), scores[kept], labels[kept])

    def _decoded(self, found: Sequence[torch.Tensor], select: Select) -> Found:
        tensors = {role: tensor.float() for (role, _), tensor in zip(self.params.tensors, found, strict=True)}
        return _DECODERS[self.params.style](tensors, self.params, select)

    def _on_gpu(self, *found: torch.Tensor) -> torch.Tensor:
        """Everything up to the boxes that stay, float32 [candidates, 9]: see ``_read``."""
        boxes, scores, labels = self._decoded(found, best(_CANDIDATES))
        valid = scores > self.params.threshold
        kept, settled = suppress_at_once(boxes, labels, valid, self.params.iou)
        columns = (scores, labels.float(), kept.float(), valid.float(), settled.float().expand(len(scores)))
        return torch.cat([self._in_source(boxes), torch.stack(columns, dim=1)], dim=1)

    def finish(self) -> Iterable[Detections]:
        return self._late.rest()

    def _read(self, frame: Frame, found: Sequence[torch.Tensor], table: torch.Tensor) -> Detections:
        """Detections from the GPU's table, best first: 4 corners in the source, score, label, kept, valid, settled."""
        # NumPy takes a fraction of torch's time for a handful of numbers.
        rows = table.numpy()
        if len(rows) and (not rows[0, 8] or (len(rows) == _CANDIDATES and rows[-1, 7])):
            # Boxes that overlap in a chain longer than the rounds on the GPU, or more candidates than it looks at.
            return self._one_by_one(frame, found)
        labels = self.params.labels
        boxes = (Box(labels[int(row[5])], row[4], *row[:4]) for row in rows[rows[:, 6] > 0].tolist())
        return Detections(frame, tuple(boxes))

    def _in_source(self, boxes: torch.Tensor) -> torch.Tensor:
        """Corners in tensor pixels to corners in source pixels, within the picture."""
        place, device = self.params.placement, boxes.device
        offset = constant((place.left, place.top) * 2, device)
        scale = constant((place.scale_x, place.scale_y) * 2, device)
        limit = constant((float(place.source_width), float(place.source_height)) * 2, device)
        return ((boxes - offset) / scale).clamp(min=0).minimum(limit)

    def _detections(
        self, frame: Frame, corners: torch.Tensor, scores: torch.Tensor, labels: torch.Tensor
    ) -> Detections:
        found = tuple(
            Box(self.params.labels[label], score, *box)
            for box, score, label in zip(corners.tolist(), scores.tolist(), labels.tolist(), strict=True)
        )
        return Detections(frame, found)


def above(threshold: float) -> Select:
    """Candidates with a score above the threshold, in their own order."""
    return lambda scores: (scores > threshold).nonzero()[:, 0]


def best(count: int) -> Select:
    """The ``count`` best candidates, best first: how many there are does not depend on the picture."""
    return lambda scores: scores.topk(min(count, len(scores))).indices


def decode_ultraface(tensors: dict[str, torch.Tensor], params: DetectionsParams, select: Select) -> Found:
    """``scores`` [n, 1 + labels] with the background first, ``boxes`` [n, 4] as corners in 0..1 of the input.

    Contract: Linzaer, Ultra-Light-Fast-Generic-Face-Detector-1MB (2019).
    """
    scores, label = tensors["scores"][:, 1:].max(dim=1)
    chosen = select(scores)
    size = constant((float(params.placement.width), float(params.placement.height)) * 2, scores.device)
    return tensors["boxes"][chosen] * size, scores[chosen], label[chosen]


def decode_centerface(tensors: dict[str, torch.Tensor], params: DetectionsParams, select: Select) -> Found:
    """``heatmap`` [1, h, w], ``scale`` [2, h, w] (log of height and width in cells), ``offset`` [2, h, w] (y, x).

    Each cell of ``stride`` pixels whose heat exceeds the threshold is the centre of a box.
    Contract: Xu, Yan, Yang: CenterFace, Joint Face Detection and Alignment Using Face as Point (2019).
    """
    heat = tensors["heatmap"][0]
    chosen = select(heat.flatten())
    row, column = chosen // heat.shape[1], chosen % heat.shape[1]
    height, width = (tensors["scale"].flatten(1)[:, chosen].exp() * params.stride).unbind(0)
    down, right = tensors["offset"].flatten(1)[:, chosen].unbind(0)
    x, y = (column + right + 0.5) * params.stride, (row + down + 0.5) * params.stride
    boxes = torch.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], dim=1)
    return boxes, heat.flatten()[chosen], torch.zeros_like(chosen)


_DECODERS: dict[str, Callable[[dict[str, torch.Tensor], DetectionsParams, Select], Found]] = {
    "ultraface": decode_ultraface,
    "centerface": decode_centerface,
}
