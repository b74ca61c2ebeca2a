"""Suppress boxes that overlap a better one (non-maximum suppression)."""

from __future__ import annotations

import torch

__all__ = ["non_maximum_suppression", "suppress_at_once"]

_MAX_CANDIDATES = 2000
"""Best boxes that are compared with each other; the work grows with the square of their number."""
_ROUNDS = 6


def non_maximum_suppression(
    boxes: torch.Tensor, scores: torch.Tensor, labels: torch.Tensor, iou: float
) -> torch.Tensor:
    """Select the best of overlapping boxes greedily, each label by itself.

    Args:
        boxes: Corners x1, y1, x2, y2, float32 [n, 4].
        scores: float32 [n].
        labels: int64 [n].
        iou: Intersection over union above which the box with the lower score is dropped.

    Returns:
        Indices of the boxes to keep by falling score, int64 [m].
    """
    order = scores.argsort(descending=True, stable=True)[:_MAX_CANDIDATES]
    overlaps = _overlaps(boxes[order], labels[order], iou).tolist()
    kept: list[int] = []
    for candidate in range(len(order)):
        if not any(overlaps[better][candidate] for better in kept):
            kept.append(candidate)
    return order[kept]


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
    better = _overlaps(boxes, labels, iou).triu(1).to(boxes.dtype)
    kept = previous = valid
    for _ in range(_ROUNDS):
        previous, kept = kept, valid & (kept.to(boxes.dtype) @ better < 0.5)
    return kept, (kept == previous).all()


def _overlaps(boxes: torch.Tensor, labels: torch.Tensor, iou: float) -> torch.Tensor:
    """Return which pairs of boxes have the same label and overlap by more than ``iou``, bool [n, n]."""
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
    intersection = (
        (torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - torch.maximum(boxes[:, None, :2], boxes[None, :, :2]))
        .clamp(min=0)
        .prod(2)
    )
    over = intersection / (area[:, None] + area[None] - intersection).clamp(min=1e-12) > iou
    return over & (labels[:, None] == labels[None])
