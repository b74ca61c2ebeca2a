"""Non-maximum suppression: of boxes that overlap too much, the best one stays."""

from __future__ import annotations

import torch

__all__ = ["non_maximum_suppression", "suppress_at_once"]

_MOST_CANDIDATES = 2000
"""Only so many of the best boxes are compared with each other, whose number goes with the square."""
_ROUNDS = 6


def non_maximum_suppression(
    boxes: torch.Tensor, scores: torch.Tensor, labels: torch.Tensor, iou: float
) -> torch.Tensor:
    """Indices of the boxes to keep, best first: greedy, within each label, intersection over union above ``iou``."""
    order = scores.argsort(descending=True, stable=True)[:_MOST_CANDIDATES]
    rivals = _rivals(boxes[order], labels[order], iou).tolist()
    kept: list[int] = []
    for place in range(len(order)):
        if not any(rivals[better][place] for better in kept):
            kept.append(place)
    return order[kept]


def suppress_at_once(
    boxes: torch.Tensor, labels: torch.Tensor, valid: torch.Tensor, iou: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same as a fixed number of tensor operations, without a look at the data: for the GPU.

    ``boxes`` [n, 4], best first; ``valid`` bool [n]. A box stays if no better one that stays overlaps it: that is
    applied to all boxes at once, over and over. Each round settles at least one more box of every chain of
    overlaps. Returns which stay, bool [n], and whether the last round changed nothing, bool [].
    """
    better = _rivals(boxes, labels, iou).triu(1).to(boxes.dtype)
    kept = before = valid
    for _ in range(_ROUNDS):
        before, kept = kept, valid & (kept.to(boxes.dtype) @ better < 0.5)
    return kept, (kept == before).all()


def _rivals(boxes: torch.Tensor, labels: torch.Tensor, iou: float) -> torch.Tensor:
    """Bool [n, n]: which boxes of the same label overlap by more than ``iou``."""
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
    inner = (
        (torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - torch.maximum(boxes[:, None, :2], boxes[None, :, :2]))
        .clamp(min=0)
        .prod(2)
    )
    over = inner / (area[:, None] + area[None] - inner).clamp(min=1e-12) > iou
    return over & (labels[:, None] == labels[None])
