"""Run the node kind ``detections``: decode a detector's output tensors to boxes in pixels of the source frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from bmfgraph.nodes.detections import DetectionsParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.cuda import AsyncDownload, GraphedFunction, constant
from bmfgraph.stages.items import Box, Detections, Frame, Sample
from bmfgraph.stages.nms import non_maximum_suppression, suppress_at_once

__all__ = ["Candidates", "Detect", "above", "best", "decode_centerface", "decode_ultraface"]

Candidates = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Boxes float32 [n, 4] in pixels of the model's input, scores float32 [n], label numbers int64 [n]."""
Select = Callable[[torch.Tensor], torch.Tensor]
"""From the scores of all candidates, float32 [n], to the indices of those that are decoded, int64 [m]."""

_CANDIDATES = 256
"""Candidates that are decoded on the GPU, where their number must be fixed."""


class Detect(Stage):
    """Convert each Sample of a detector's outputs to the Detections of its frame."""

    params: DetectionsParams

    def open(self) -> None:
        self._download: AsyncDownload[Detections] = AsyncDownload()
        self._graphed_table = GraphedFunction(self._table)

    def process(self, *items: Any) -> Iterable[Detections]:
        sample: Sample = items[0]
        frame = sample.frames[0]
        outputs = [sample.tensors[name][0] for _, name in self.params.tensors]
        if self.device == "cuda":
            table = self._graphed_table(*outputs)
            return self._download.put([table], lambda copies: self._read(frame, outputs, copies[0]))
        return (self._exact(frame, outputs),)

    def finish(self) -> Iterable[Detections]:
        return self._download.drain()

    def _exact(self, frame: Frame, outputs: Sequence[torch.Tensor]) -> Detections:
        """Decode all candidates above the threshold, on any device; on the GPU this waits."""
        boxes, scores, labels = self._decode(outputs, above(self.params.threshold))
        kept = non_maximum_suppression(boxes, scores, labels, self.params.iou)
        return self._detections(frame, self._in_source(boxes[kept]), scores[kept], labels[kept])

    def _decode(self, outputs: Sequence[torch.Tensor], select: Select) -> Candidates:
        tensors = {role: tensor.float() for (role, _), tensor in zip(self.params.tensors, outputs, strict=True)}
        return _DECODERS[self.params.style](tensors, self.params, select)

    def _table(self, *outputs: torch.Tensor) -> torch.Tensor:
        """Decode the best candidates without a wait.

        Returns float32 [candidates, 9], by falling score: 4 corners in the source frame, score, label, and as 0 or 1:
        kept by the suppression, above the threshold, suppression final.
        """
        boxes, scores, labels = self._decode(outputs, best(_CANDIDATES))
        valid = scores > self.params.threshold
        kept, final = suppress_at_once(boxes, labels, valid, self.params.iou)
        columns = (scores, labels.float(), kept.float(), valid.float(), final.float().expand(len(scores)))
        return torch.cat([self._in_source(boxes), torch.stack(columns, dim=1)], dim=1)

    def _read(self, frame: Frame, outputs: Sequence[torch.Tensor], table: torch.Tensor) -> Detections:
        """Read the detections from the copy of the table."""
        # For a few numbers, NumPy takes a fraction of torch's time.
        rows = table.numpy()
        if len(rows) and (not rows[0, 8] or (len(rows) == _CANDIDATES and rows[-1, 7])):
            # A chain of overlaps is longer than the rounds of the suppression, or the table is too short.
            return self._exact(frame, outputs)
        labels = self.params.labels
        boxes = (Box(labels[int(row[5])], row[4], *row[:4]) for row in rows[rows[:, 6] > 0].tolist())
        return Detections(frame, tuple(boxes))

    def _in_source(self, boxes: torch.Tensor) -> torch.Tensor:
        """Convert corners in the model's input to corners in the source frame, clamped to the frame."""
        placement, device = self.params.placement, boxes.device
        offset = constant((placement.left, placement.top) * 2, device)
        scale = constant((placement.scale_x, placement.scale_y) * 2, device)
        limit = constant((float(placement.source_width), float(placement.source_height)) * 2, device)
        return ((boxes - offset) / scale).clamp(min=0).minimum(limit)

    def _detections(
        self, frame: Frame, corners: torch.Tensor, scores: torch.Tensor, labels: torch.Tensor
    ) -> Detections:
        boxes = tuple(
            Box(self.params.labels[label], score, *box)
            for box, score, label in zip(corners.tolist(), scores.tolist(), labels.tolist(), strict=True)
        )
        return Detections(frame, boxes)


def above(threshold: float) -> Select:
    """Select the candidates with a score above the threshold, in their own order."""
    return lambda scores: (scores > threshold).nonzero()[:, 0]


def best(count: int) -> Select:
    """Select the ``count`` candidates with the best scores, by falling score; their number does not depend on data."""
    return lambda scores: scores.topk(min(count, len(scores))).indices


def decode_ultraface(tensors: dict[str, torch.Tensor], params: DetectionsParams, select: Select) -> Candidates:
    """Decode the outputs of UltraFace.

    Source: Linzaer, Ultra-Light-Fast-Generic-Face-Detector-1MB (2019).

    Args:
        tensors: ``scores`` float32 [n, 1 + labels], the background first; ``boxes`` float32 [n, 4], corners in 0..1 of
            the input.
        params: Size of the input.
        select: Selection of the candidates by their scores.
    """
    scores, label = tensors["scores"][:, 1:].max(dim=1)
    chosen = select(scores)
    size = constant((float(params.placement.width), float(params.placement.height)) * 2, scores.device)
    return tensors["boxes"][chosen] * size, scores[chosen], label[chosen]


def decode_centerface(tensors: dict[str, torch.Tensor], params: DetectionsParams, select: Select) -> Candidates:
    """Decode the outputs of CenterFace: each cell of ``stride`` pixels is the centre of a candidate.

    Source: Xu, Yan, Yang: CenterFace, Joint Face Detection and Alignment Using Face as Point (2019).

    Args:
        tensors: float32 ``heatmap`` [1, h, w], scores; ``scale`` [2, h, w], logarithm of height and width in cells;
            ``offset`` [2, h, w], y and x of the centre in the cell, in cells.
        params: ``stride`` in pixels.
        select: Selection of the candidates by their scores.
    """
    heat = tensors["heatmap"][0]
    chosen = select(heat.flatten())
    row, column = chosen // heat.shape[1], chosen % heat.shape[1]
    height, width = (tensors["scale"].flatten(1)[:, chosen].exp() * params.stride).unbind(0)
    down, right = tensors["offset"].flatten(1)[:, chosen].unbind(0)
    x, y = (column + right + 0.5) * params.stride, (row + down + 0.5) * params.stride
    boxes = torch.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], dim=1)
    return boxes, heat.flatten()[chosen], torch.zeros_like(chosen)


_DECODERS: dict[str, Callable[[dict[str, torch.Tensor], DetectionsParams, Select], Candidates]] = {
    "ultraface": decode_ultraface,
    "centerface": decode_centerface,
}
