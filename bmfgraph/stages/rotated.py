"""Measure how rotated boxes overlap, and bring them to the source frame."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bmfgraph.plan.types import Placement

__all__ = ["extents", "rotated_in_source", "rotated_intersection"]


def rotated_intersection(
    boxes: torch.Tensor, angles: torch.Tensor, others: torch.Tensor, other_angles: torch.Tensor
) -> torch.Tensor:
    """Compute the exact area that two rotated boxes share.

    In the frame of the second box, that box is |x| <= a, |y| <= b. A vertical line cuts the first box in an interval,
    of which the part with |y| <= b counts. By Green's theorem, the area is therefore the integral of y, limited to
    -b..b, along the edges of the first box, over x limited to -a..a. On an edge, limited y consists of three straight
    pieces. The sum is continuous in the corners, so boxes that are equal or share an edge need no special case.

    Args:
        boxes: Corners before the turn, float32 [..., 4].
        angles: Turn about the centre in radians, clockwise on the screen, float32 [...].
        others: The second boxes, which broadcast with the first ones.
        other_angles: Their angles.

    Returns:
        Areas, float32 [...].
    """
    centre = (boxes[..., :2] + boxes[..., 2:] - others[..., :2] - others[..., 2:]) / 2
    half = ((boxes[..., 2:] - boxes[..., :2]) / 2).clamp(min=0)
    limit = ((others[..., 2:] - others[..., :2]) / 2).clamp(min=0)[..., None]
    cosine, sine = other_angles.cos(), other_angles.sin()
    centre_x = centre[..., 0] * cosine + centre[..., 1] * sine
    centre_y = centre[..., 1] * cosine - centre[..., 0] * sine
    turn = angles - other_angles
    # Half of the first box's width and height as vectors in the frame of the second box.
    width_x, width_y = half[..., 0] * turn.cos(), half[..., 0] * turn.sin()
    height_x, height_y = -half[..., 1] * turn.sin(), half[..., 1] * turn.cos()
    x = torch.stack(
        [-width_x - height_x, width_x - height_x, width_x + height_x, height_x - width_x], dim=-1
    ) + centre_x.unsqueeze(-1)
    y = torch.stack(
        [-width_y - height_y, width_y - height_y, width_y + height_y, height_y - width_y], dim=-1
    ) + centre_y.unsqueeze(-1)
    across, down = x.roll(-1, -1) - x, y.roll(-1, -1) - y
    limit_x, limit_y = limit[..., 0, :], limit[..., 1, :]
    start_x, end_x = _limited(x, limit_x), _limited(x + across, limit_x)
    start_y = y + _share(start_x - x, across) * down
    rise = y + _share(end_x - x, across) * down - start_y
    # Shares of the edge at which y crosses the limits.
    crossing, other_crossing = _share(-limit_y - start_y, rise), _share(limit_y - start_y, rise)
    first, second = torch.minimum(crossing, other_crossing), torch.maximum(crossing, other_crossing)
    heights = [_limited(start_y + share * rise, limit_y) for share in (first * 0, first, second, first * 0 + 1)]
    mean = (
        (heights[0] + heights[1]) * first
        + (heights[1] + heights[2]) * (second - first)
        + (heights[2] + heights[3]) * (1 - second)
    ) / 2
    return ((end_x - start_x) * mean).sum(dim=-1).abs()


def _limited(values: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
    return torch.maximum(torch.minimum(values, limit), -limit)


def _share(part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """Return part / whole in 0..1, also where the whole is 0."""
    return (part / torch.where(whole.abs() < 1e-9, 1e-9, whole)).clamp(0, 1)


def extents(boxes: NDArray[np.float32], angles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the upright boxes around rotated boxes, float32 [n, 4]."""
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    cosine, sine = np.abs(np.cos(angles)), np.abs(np.sin(angles))
    reach = np.stack([half[:, 0] * cosine + half[:, 1] * sine, half[:, 0] * sine + half[:, 1] * cosine], axis=1)
    return np.concatenate([centre - reach, centre + reach], axis=1)


def rotated_in_source(
    boxes: NDArray[np.float32], angles: NDArray[np.float32], place: Placement
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Convert rotated boxes from the model's input to the source frame. They may reach beyond its edges.

    Where the frame was stretched, a rotated box becomes a parallelogram. The result is then the box with its centre,
    the direction of its upper edge, and the lengths of its edges.

    Args:
        boxes: Corners before the turn, float32 [n, 4].
        angles: float32 [n].
        place: Position of the source frame in the input.

    Returns:
        Corners before the turn, float32 [n, 4], and angles, float32 [n].
    """
    scale = np.array([place.scale_x, place.scale_y], np.float32)
    centre = ((boxes[:, :2] + boxes[:, 2:]) / 2 - np.array([place.left, place.top], np.float32)) / scale
    size, cosine, sine = boxes[:, 2:] - boxes[:, :2], np.cos(angles), np.sin(angles)
    across, down = np.stack([cosine, sine], axis=1) / scale, np.stack([-sine, cosine], axis=1) / scale
    half = size / 2 * np.stack([np.hypot(*across.T), np.hypot(*down.T)], axis=1)
    turned = angles if place.scale_x == place.scale_y else np.arctan2(across[:, 1], across[:, 0])
    return np.concatenate([centre - half, centre + half], axis=1), turned.astype(np.float32)
