"""``detections`` at work: output tensors to boxes in source pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from bmfgraph.nodes.detections import DetectionsWork
from bmfgraph.nodes.modules.items import Box, Detections, Sample
from bmfgraph.nodes.modules.stage import Stage

__all__ = ["Detect", "decode_centerface", "decode_ultraface", "non_maximum_suppression"]

Decoded = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Boxes float32 [n, 4] in tensor pixels, scores float32 [n], label numbers int64 [n]."""


class Detect(Stage):
    """Samples of a detector's outputs to detections, one per frame."""

    work: DetectionsWork

    def process(self, *items: Any) -> Iterable[Detections]:
        sample: Sample = items[0]
        tensors = {role: sample.tensors[name][0].float() for role, name in self.work.tensors}
        boxes, scores, labels = _DECODERS[self.work.style](tensors, self.work)
        kept = non_maximum_suppression(boxes, scores, labels, self.work.iou)
        place = self.work.placement
        offset = torch.tensor([place.left, place.top] * 2)
        scale = torch.tensor([place.scale_x, place.scale_y] * 2)
        limit = torch.tensor([place.source_width, place.source_height] * 2, dtype=torch.float32)
        corners = ((boxes[kept] - offset) / scale).clamp(min=0).minimum(limit)
        found = tuple(
            Box(self.work.labels[label], score, *box)
            for box, score, label in zip(corners.tolist(), scores[kept].tolist(), labels[kept].tolist(), strict=True)
        )
        return (Detections(sample.frames[0], found),)


def decode_ultraface(tensors: dict[str, torch.Tensor], work: DetectionsWork) -> Decoded:
    """``scores`` [n, 1 + labels] with the background first, ``boxes`` [n, 4] as corners in 0..1 of the input.

    Contract: Linzaer, Ultra-Light-Fast-Generic-Face-Detector-1MB (2019).
    """
    best, label = tensors["scores"][:, 1:].max(dim=1)
    chosen = best > work.threshold
    size = torch.tensor([work.placement.width, work.placement.height] * 2, dtype=torch.float32)
    return tensors["boxes"][chosen] * size, best[chosen], label[chosen]


def decode_centerface(tensors: dict[str, torch.Tensor], work: DetectionsWork) -> Decoded:
    """``heatmap`` [1, h, w], ``scale`` [2, h, w] (log of height and width in cells), ``offset`` [2, h, w] (y, x).

    Each cell of ``stride`` pixels whose heat exceeds the threshold is the centre of a box.
    Contract: Xu, Yan, Yang: CenterFace, Joint Face Detection and Alignment Using Face as Point (2019).
    """
    heat = tensors["heatmap"][0]
    row, column = torch.nonzero(heat > work.threshold, as_tuple=True)
    height, width = (tensors["scale"][:, row, column].exp() * work.stride).unbind(0)
    down, right = tensors["offset"][:, row, column].unbind(0)
    x, y = (column + right + 0.5) * work.stride, (row + down + 0.5) * work.stride
    boxes = torch.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], dim=1)
    return boxes, heat[row, column], torch.zeros(len(row), dtype=torch.int64)


_MOST_CANDIDATES = 2000
"""Only so many of the best boxes are compared with each other, whose number goes with the square."""

_DECODERS: dict[str, Callable[[dict[str, torch.Tensor], DetectionsWork], Decoded]] = {
    "ultraface": decode_ultraface,
    "centerface": decode_centerface,
}


def non_maximum_suppression(
    boxes: torch.Tensor, scores: torch.Tensor, labels: torch.Tensor, iou: float
) -> torch.Tensor:
    """Indices of the boxes to keep, best first: greedy, within each label, intersection over union above ``iou``."""
    order = scores.argsort(descending=True, stable=True)[:_MOST_CANDIDATES]
    boxes, labels = boxes[order], labels[order]
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
    inner = (
        (torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - torch.maximum(boxes[:, None, :2], boxes[None, :, :2]))
        .clamp(min=0)
        .prod(2)
    )
    over = inner / (area[:, None] + area[None] - inner).clamp(min=1e-12) > iou
    rivals = (over & (labels[:, None] == labels[None])).tolist()
    kept: list[int] = []
    for place in range(len(order)):
        if not any(rivals[better][place] for better in kept):
            kept.append(place)
    return order[kept]
