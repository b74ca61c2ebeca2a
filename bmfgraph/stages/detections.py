"""Run the node kind ``detections``: decode a detector's output tensors to boxes in pixels of the source frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from bmfgraph.nodes.detections import DetectionsParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.boxes import BoxReader, above, best
from bmfgraph.stages.cuda import AsyncDownload, GraphedFunction, constant
from bmfgraph.stages.items import Frame, Sample
from bmfgraph.stages.nms import non_maximum_suppression, suppress_at_once
from bmfgraph.stages.results import Detections

__all__ = ["Detect"]

_CANDIDATES = 512
"""Candidates that are decoded on the GPU at least, where their number must be fixed."""


class Detect(Stage):
    """Convert each Sample of a detector's outputs to the Detections of its frame."""

    params: DetectionsParams

    def open(self) -> None:
        self._download: AsyncDownload[Detections] = AsyncDownload()
        self._reader = BoxReader(self.params)
        self._names = tuple(table.tensor for table in self.params.tensors)
        self._thresholds = np.array(self.params.thresholds, np.float32)
        self._least = min(self.params.thresholds)
        self._most = max(_CANDIDATES, self.params.most)
        self._graphed_table = GraphedFunction(self._table)

    def process(self, *items: Any) -> Iterable[Detections]:
        sample: Sample = items[0]
        frame = sample.frames[0]
        outputs = [sample.tensors[name][0] for name in self._names]
        if self.device == "cuda":
            table = self._graphed_table(*outputs)
            return self._download.put([table], lambda copies: self._read(frame, outputs, copies[0]))
        return (self._exact(frame, outputs),)

    def finish(self) -> Iterable[Detections]:
        return self._download.drain()

    def _exact(self, frame: Frame, outputs: Sequence[torch.Tensor]) -> Detections:
        """Decode all candidates above the threshold, on any device; on the GPU this waits."""
        candidates = self._reader.candidates(dict(zip(self._names, outputs, strict=True)), above(self._least))
        boxes, scores, labels = (tensor.cpu().numpy() for tensor in candidates)
        valid = np.flatnonzero(scores > self._thresholds[labels])
        boxes, scores, labels = boxes[valid], scores[valid], labels[valid]
        if self.params.nms == "none":
            kept = np.argsort(-scores, kind="stable")
        else:
            groups = labels if self.params.nms == "per_class" else np.zeros_like(labels)
            kept = non_maximum_suppression(boxes, scores, groups, self.params.iou)
        kept = kept[: self.params.most]
        corners = self._in_source(torch.from_numpy(boxes[kept])).numpy()
        return Detections(frame, corners, scores[kept], labels[kept], self.params.labels)

    def _table(self, *outputs: torch.Tensor) -> torch.Tensor:
        """Decode the best candidates without a wait.

        Returns float32 [candidates, 9], by falling score: 4 corners in the source frame, score, label, and as 0 or 1:
        kept by the suppression, above the least threshold, suppression final.
        """
        tensors = dict(zip(self._names, outputs, strict=True))
        boxes, scores, labels = self._reader.candidates(tensors, best(self._most))
        kept = valid = scores > constant(self.params.thresholds, scores.device)[labels]
        final = torch.ones((), dtype=torch.bool, device=scores.device)
        if self.params.nms != "none":
            groups = labels if self.params.nms == "per_class" else torch.zeros_like(labels)
            kept, final = suppress_at_once(boxes, groups, valid, self.params.iou)
        columns = (
            scores,
            labels.float(),
            kept.float(),
            (scores > self._least).float(),
            final.float().expand_as(scores),
        )
        return torch.cat([self._in_source(boxes), torch.stack(columns, dim=1)], dim=1)

    def _read(self, frame: Frame, outputs: Sequence[torch.Tensor], table: torch.Tensor) -> Detections:
        """Read the detections from the copy of the table."""
        # For a few numbers, NumPy takes a fraction of torch's time.
        rows = table.numpy()
        if len(rows) and (not rows[0, 8] or (len(rows) == self._most and rows[-1, 7])):
            # A chain of overlaps is longer than the rounds of the suppression, or the table is too short.
            return self._exact(frame, outputs)
        rows = rows[rows[:, 6] > 0][: self.params.most]
        return Detections(frame, rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64), self.params.labels)

    def _in_source(self, boxes: torch.Tensor) -> torch.Tensor:
        """Convert corners in the model's input to corners in the source frame, clamped to the frame."""
        placement, device = self.params.placement, boxes.device
        offset = constant((placement.left, placement.top) * 2, device)
        scale = constant((placement.scale_x, placement.scale_y) * 2, device)
        limit = constant((float(placement.source_width), float(placement.source_height)) * 2, device)
        corners = boxes if self.params.unit == "source" else (boxes - offset) / scale
        return corners.clamp(min=0).minimum(limit)
