"""Compute the intersection over union of boxes, which may be rotated."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["box_iou"]

Floats = NDArray[np.float64]
Point = tuple[float, float]


def box_iou(boxes: Floats, others: Floats, angles: Floats | None = None, other_angles: Floats | None = None) -> Floats:
    """Return the intersection over union of each box with each of the others.

    Args:
        boxes: [n, 4]: left, top, right, bottom in pixels, before the rotation. A box with swapped corners has no area.
        others: [m, 4].
        angles: [n]: rotations around the centres of the boxes in radians, clockwise in the picture; None: all 0.
        other_angles: [m].

    Returns:
        float64 [n, m]. Boxes of no size overlap only with equal ones: a detector may clip boxes to the picture.
    """
    rotated = any(part is not None and part.any() for part in (angles, other_angles))
    intersection = (
        _rotated_intersections(boxes, others, angles, other_angles)
        if rotated and angles is not None and other_angles is not None
        else _side(boxes, others, 0) * _side(boxes, others, 1)
    )
    union = _areas(boxes)[:, np.newaxis] + _areas(others) - intersection
    equal = (boxes[:, np.newaxis] == others).all(axis=2).astype(np.float64)
    return np.asarray(np.divide(intersection, union, out=equal, where=union > 0))


def _areas(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1))


def _side(boxes: Floats, others: Floats, axis: int) -> Floats:
    """Return the sides of intersections along x (0) or y (1), [n, m]."""
    stop = np.minimum(boxes[:, np.newaxis, axis + 2], others[:, axis + 2])
    start = np.maximum(boxes[:, np.newaxis, axis], others[:, axis])
    return np.asarray((stop - start).clip(min=0))


def _rotated_intersections(boxes: Floats, others: Floats, angles: Floats, other_angles: Floats) -> Floats:
    """Return the areas of the intersections, [n, m]."""
    polygons, clips = _polygons(boxes, angles), _polygons(others, other_angles)
    centres, radii = _circles(boxes)
    other_centres, other_radii = _circles(others)
    areas = np.zeros((len(boxes), len(others)))
    for row, polygon in enumerate(polygons):
        distances = np.hypot(*(other_centres - centres[row]).T)
        for column in np.flatnonzero(distances < radii[row] + other_radii):
            areas[row, column] = _area(_clipped(polygon, clips[column]))
    return areas


def _circles(boxes: Floats) -> tuple[Floats, Floats]:
    """Return the centres, [n, 2], and the radii, [n], of the circles around boxes."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2, np.hypot(*(boxes[:, 2:] - boxes[:, :2]).T) / 2


def _polygons(boxes: Floats, angles: Floats) -> list[list[Point]]:
    """Return the corners of rotated boxes, clockwise in the picture."""
    centres, _ = _circles(boxes)
    halves = (boxes[:, 2:] - boxes[:, :2]).clip(min=0) / 2
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * halves[:, np.newaxis]
    cos, sin = np.cos(angles)[:, np.newaxis], np.sin(angles)[:, np.newaxis]
    x, y = corners[..., 0], corners[..., 1]
    turned = np.stack((x * cos - y * sin, x * sin + y * cos), axis=-1) + centres[:, np.newaxis]
    return [[(float(x), float(y)) for x, y in corners] for corners in turned]


def _clipped(polygon: Sequence[Point], clip: Sequence[Point]) -> Sequence[Point]:
    """Return the part of a convex polygon within another one (Sutherland and Hodgman, 1974)."""
    for (ax, ay), (bx, by) in pairwise((*clip, clip[0])):
        if not polygon:
            break
        inside = [((bx - ax) * (y - ay) - (by - ay) * (x - ax), x, y) for x, y in polygon]
        part: list[Point] = []
        for (before, x0, y0), (after, x1, y1) in zip((inside[-1], *inside[:-1]), inside, strict=True):
            if (before >= 0) != (after >= 0):
                share = before / (before - after)
                part.append((x0 + share * (x1 - x0), y0 + share * (y1 - y0)))
            if after >= 0:
                part.append((x1, y1))
        polygon = part
    return polygon


def _area(polygon: Sequence[Point]) -> float:
    if not polygon:
        return 0.0
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise((*polygon, polygon[0])))) / 2
