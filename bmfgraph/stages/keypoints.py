"""Read the keypoints of candidates, and bring them to the source frame."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from bmfgraph.nodes.detections import DetectionsParams
from bmfgraph.plan.types import Placement
from bmfgraph.stages.cuda import constant

__all__ = ["points_in_source", "read_points"]


def read_points(
    numbers: torch.Tensor,
    score: Callable[[torch.Tensor], torch.Tensor],
    params: DetectionsParams,
    boxes: torch.Tensor,
    cells: torch.Tensor | None,
) -> torch.Tensor:
    """Decode the points of each candidate.

    Args:
        numbers: The field of each candidate, float32 [n, points * numbers of a point].
        score: Activation of the score of a point.
        params: Form and unit of the points.
        boxes: Corners in pixels of the model's input, float32 [n, 4].
        cells: Origin in cells and stride of each candidate, float32 [n, 3], for the unit ``cells``.

    Returns:
        x and y in pixels of the model's input and the score, for each point, float32 [n, points * 3]. Points without a
        score have the score 1.
    """
    points = params.keypoints
    assert points is not None
    numbers = numbers.reshape(len(numbers), points.count, points.numbers)
    places = numbers[..., :2]
    if points.order == "yx":
        places = places.flip(2)
    if points.unit == "picture":
        places = places * constant((float(params.placement.width), float(params.placement.height)), numbers.device)
    elif points.unit == "box":
        places = boxes[:, None, :2] + places * (boxes[:, None, 2:] - boxes[:, None, :2])
    elif cells is not None:
        places = (cells[:, None, :2] + places) * cells[:, None, 2:]
    scores = score(numbers[..., 2:]) if points.numbers == 3 else torch.ones_like(places[..., :1])
    return torch.cat([places, scores], dim=2).flatten(1)


def points_in_source(points: NDArray[np.float32], place: Placement) -> NDArray[np.float32]:
    """Convert points from the model's input to the source frame. They may lie beyond its edges.

    Args:
        points: x, y and score of each point, float32 [n, points, 3].
        place: Position of the source frame in the input.
    """
    offset = np.array([place.left, place.top, 0], np.float32)
    scale = np.array([place.scale_x, place.scale_y, 1], np.float32)
    converted: NDArray[np.float32] = (points - offset) / scale
    return converted
