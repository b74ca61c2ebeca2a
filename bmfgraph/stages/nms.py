"""Suppress boxes that overlap a better one (non-maximum suppression)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["non_maximum_suppression", "suppress_at_once"]

_BLOCK = 512
"""Boxes that are compared with each other at once; the work of a block grows with the square of it."""
_ROUNDS = 6


def non_maximum_suppression(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int64], iou: float
) -> NDArray[np.int64]:
    """Select the best of overlapping boxes greedily, each label by itself.

    The boxes of a label are taken in blocks by falling score. Those that are kept drop boxes of the next block at once.
    The rest of the block is settled in rounds: a box is kept if no better box that is kept overlaps it. Each round
    settles at least the best box that is not settled yet, so the rounds end.

    Args:
        boxes: Corners x1, y1, x2, y2, float32 [n, 4].
        scores: float32 [n].
        labels: int64 [n].
        iou: Intersection over union above which the box with the lower score is dropped.

    Returns:
        Indices of the boxes to keep by falling score, int64 [m].
    """
    order = np.argsort(-scores, kind="stable")
    boxes, labels = boxes[order], labels[order]
    if len(order) <= _BLOCK:
        return order[_suppress(boxes, labels, iou)]
    # Boxes of different labels need no comparison. A stable sort keeps the best of each label first.
    by_label = np.argsort(labels, kind="stable")
    groups = np.split(by_label, np.flatnonzero(np.diff(labels[by_label])) + 1)
    kept = [group[_suppress(boxes[group], labels[group], iou)] for group in groups]
    return order[np.sort(np.concatenate(kept))]


def _suppress(boxes: NDArray[np.float32], labels: NDArray[np.int64], iou: float) -> NDArray[np.int64]:
    """Return the positions of the boxes to keep, for boxes by falling score."""
    kept = np.zeros(0, np.int64)
    for start in range(0, len(boxes), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(boxes)))
        if len(kept):
            block = block[~_overlaps(boxes, labels, kept, block, iou).any(axis=0)]
        better = np.triu(_overlaps(boxes, labels, block, block, iou), 1)
        keep, previous = np.ones(len(block), np.bool_), np.zeros(len(block), np.bool_)
        while not np.array_equal(keep, previous):
            keep, previous = np.logical_not(np.logical_or.reduce(better[keep], axis=0)), keep
        kept = np.concatenate([kept, block[keep]])
    return kept


def _overlaps(
    boxes: NDArray[np.float32],
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    iou: float,
) -> NDArray[np.bool_]:
    """Return which boxes of ``rows`` have the label of one of ``columns`` and overlap it by more, bool [n, m]."""
    left, top, right, bottom = boxes[rows].T[..., None]
    other_left, other_top, other_right, other_bottom = boxes[columns].T
    width = np.minimum(right, other_right) - np.maximum(left, other_left)
    height = np.minimum(bottom, other_bottom) - np.maximum(top, other_top)
    intersection = np.maximum(width, 0) * np.maximum(height, 0)
    area = np.maximum(right - left, 0) * np.maximum(bottom - top, 0)
    other_area = np.maximum(other_right - other_left, 0) * np.maximum(other_bottom - other_top, 0)
    # The union of empty boxes is 0.
    over: NDArray[np.bool_] = intersection > iou * np.maximum(area + other_area - intersection, 1e-12)
    over &= labels[rows, None] == labels[columns]
    return over


def suppress_at_once(
    boxes: torch.Tensor, labels: torch.Tensor, valid: torch.Tensor, iou: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Do the same with a fixed number of tensor operations that never read values on the CPU, for the GPU.

    A box is kept if no better box that is kept overlaps it. This rule is applied to all boxes at once, in a fixed
    number of rounds. Each round settles at least one more box of every chain of overlaps.

    Args:
        boxes: Corners by falling score, float32 [n, 4].
        labels: int64 [n].
        valid: Boxes that take part, bool [n].
        iou: Intersection over union above which the box with the lower score is dropped.

    Returns:
        The boxes to keep, bool [n], and whether the last round changed nothing, so that the result is final, bool [].
    """
    better = _pairs(boxes, labels, iou).triu(1).to(boxes.dtype)
    kept = previous = valid
    for _ in range(_ROUNDS):
        previous, kept = kept, valid & (kept.to(boxes.dtype) @ better < 0.5)
    return kept, (kept == previous).all()


def _pairs(boxes: torch.Tensor, labels: torch.Tensor, iou: float) -> torch.Tensor:
    """Return which pairs of boxes have the same label and overlap by more than ``iou``, bool [n, n]."""
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
    intersection = (
        (torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - torch.maximum(boxes[:, None, :2], boxes[None, :, :2]))
        .clamp(min=0)
        .prod(2)
    )
    over = intersection / (area[:, None] + area[None] - intersection).clamp(min=1e-12) > iou
    return over & (labels[:, None] == labels[None])
