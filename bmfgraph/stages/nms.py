"""Suppress boxes that overlap a better one (non-maximum suppression)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bmfgraph.stages.rotated import extents, rotated_intersection

__all__ = ["non_maximum_suppression", "suppress_at_once"]

_BLOCK = 512
"""Boxes that are compared with each other at once; the work of a block grows with the square of it."""
_ROUNDS = 6


def non_maximum_suppression(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    iou: float,
    angles: NDArray[np.float32] | None = None,
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
        angles: Turn of each box about its centre in radians, float32 [n]; None: all stand upright.

    Returns:
        Indices of the boxes to keep by falling score, int64 [m].
    """
    order = np.argsort(-scores, kind="stable")
    boxes, labels = boxes[order], labels[order]
    angles = None if angles is None else angles[order]
    if len(order) <= _BLOCK:
        return order[_suppress(boxes, labels, iou, angles)]
    # Boxes of different labels need no comparison. A stable sort keeps the best of each label first.
    by_label = np.argsort(labels, kind="stable")
    groups = np.split(by_label, np.flatnonzero(np.diff(labels[by_label])) + 1)
    kept = [
        group[_suppress(boxes[group], labels[group], iou, None if angles is None else angles[group])]
        for group in groups
    ]
    return order[np.sort(np.concatenate(kept))]


def _suppress(
    boxes: NDArray[np.float32], labels: NDArray[np.int64], iou: float, angles: NDArray[np.float32] | None
) -> NDArray[np.int64]:
    """Return the positions of the boxes to keep, for boxes by falling score."""
    kept = np.zeros(0, np.int64)
    for start in range(0, len(boxes), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(boxes)))
        if len(kept):
            block = block[~_overlaps(boxes, labels, kept, block, iou, angles).any(axis=0)]
        better = np.triu(_overlaps(boxes, labels, block, block, iou, angles), 1)
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
    angles: NDArray[np.float32] | None,
) -> NDArray[np.bool_]:
    """Return which boxes of ``rows`` have the label of one of ``columns`` and overlap it by more, bool [n, m]."""
    upright = boxes if angles is None else extents(boxes, angles)
    left, top, right, bottom = upright[rows].T[..., None]
    other_left, other_top, other_right, other_bottom = upright[columns].T
    width = np.minimum(right, other_right) - np.maximum(left, other_left)
    height = np.minimum(bottom, other_bottom) - np.maximum(top, other_top)
    intersection = np.maximum(width, 0) * np.maximum(height, 0)
    areas = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)
    area, other_area = areas[rows, None], areas[columns]
    if angles is not None:
        # Few rotated boxes are near each other, so only those are measured.
        near = np.nonzero((intersection > 0) & (labels[rows, None] == labels[columns]))
        first, second = (
            (torch.from_numpy(boxes[numbers[at]]), torch.from_numpy(angles[numbers[at]]))
            for numbers, at in zip((rows, columns), near, strict=True)
        )
        intersection = np.zeros_like(intersection)
        intersection[near] = rotated_intersection(*first, *second).numpy()
    # The union of empty boxes is 0.
    over: NDArray[np.bool_] = intersection > iou * np.maximum(area + other_area - intersection, 1e-12)
    over &= labels[rows, None] == labels[columns]
    return over


def suppress_at_once(
    boxes: torch.Tensor, labels: torch.Tensor, valid: torch.Tensor, iou: float, angles: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Do the same with a fixed number of tensor operations that never read values on the CPU, for the GPU.

    A box is kept if no better box that is kept overlaps it. This rule is applied to all boxes at once, in a fixed
    number of rounds. Each round settles at least one more box of every chain of overlaps.

    Args:
        boxes: Corners by falling score, float32 [n, 4].
        labels: int64 [n].
        valid: Boxes that take part, bool [n].
        iou: Intersection over union above which the box with the lower score is dropped.
        angles: Turn of each box about its centre in radians, float32 [n]; None: all stand upright.

    Returns:
        The boxes to keep, bool [n], and whether the last round changed nothing, so that the result is final, bool [].
    """
    better = _pairs(boxes, labels, iou, angles).triu(1).to(boxes.dtype)
    kept = previous = valid
    for _ in range(_ROUNDS):
        previous, kept = kept, valid & (kept.to(boxes.dtype) @ better < 0.5)
    return kept, (kept == previous).all()


def _pairs(boxes: torch.Tensor, labels: torch.Tensor, iou: float, angles: torch.Tensor | None) -> torch.Tensor:
    """Return which pairs of boxes have the same label and overlap by more than ``iou``, bool [n, n]."""
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
    if angles is None:
        edges = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - torch.maximum(
            boxes[:, None, :2], boxes[None, :, :2]
        )
        intersection = edges.clamp(min=0).prod(2)
    else:
        intersection = rotated_intersection(boxes[:, None], angles[:, None], boxes[None], angles[None])
    over = intersection / (area[:, None] + area[None] - intersection).clamp(min=1e-12) > iou
    return over & (labels[:, None] == labels[None])
