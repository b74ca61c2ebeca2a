"""Detectors of more than upright boxes, by presets: decoders written from the families' publications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.stages.detectors import BOXES, Array, Family, Row, boxes, centred, sigmoid

__all__ = ["FAMILIES", "shared"]


def _with(random: np.random.Generator, width: int, height: int, scores: int, more: NDArray[np.float64]) -> Array:
    """Return an output [1, fields, candidates] of boxes, scores and more fields."""
    count = len(more)
    table = np.concatenate([boxes(random, count, width, height), random.random((count, scores)), more], axis=1)
    return np.ascontiguousarray(table.T[None]).astype(np.float32)


# ---------------------------------------------------------------------------------------------- masks, keypoints


def _seg(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    planes = random.normal(size=(1, 32, 6, 8)).repeat(height // 24, axis=2).repeat(width // 32, axis=3)
    whole = np.zeros((1, 32, height // 4, width // 4), np.float32)
    whole[:, :, : planes.shape[2], : planes.shape[3]] = planes[:, :, : height // 4, : width // 4]
    return {"output0": _with(random, width, height, 3, random.normal(size=(40, 32))), "output1": whole}


def _decode_seg(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    rows: list[Row] = []
    for line in tensors["output0"][0].T:
        label = int(line[4:7].argmax())
        if line[4 + label] > threshold:
            mask = np.einsum("c,chw->hw", line[7:].astype(float), tensors["output1"][0].astype(float))
            rows.append((label, float(line[4 + label]), *centred(*line[:4]), {"mask": mask}))
    return rows


def _pose(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    places = random.random((50, 17, 3)) * [width * 1.2, height * 1.2, 1]
    return {"output0": _with(random, width, height, 1, places.reshape(50, 51))}


def _decode_pose(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    return [
        (0, float(line[4]), *centred(*line[:4]), {"keypoints": line[5:].reshape(17, 3)})
        for line in tensors["output0"][0].T
        if line[4] > threshold
    ]


def _mask_rcnn(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    outputs = BOXES["ssd"].outputs(random, width, height)
    masks = random.random((1, 20, 5, 5)).repeat(3, axis=2).repeat(3, axis=3).astype(np.float32)
    order = ("detection_boxes", "detection_classes", "detection_masks", "detection_scores", "num_detections")
    return {name: (outputs | {"detection_masks": masks})[name] for name in order}


def _decode_mask_rcnn(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    # Scores fall, so the objects are the first rows.
    rows = BOXES["ssd"].decode(tensors, width, height, threshold)
    return [(*row, {"small": tensors["detection_masks"][0, at]}) for at, row in enumerate(rows)]


# -------------------------------------------------------------------------------------------------- rotated boxes


def _obb(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    table = _with(random, width, height, 3, (random.random((90, 1)) - 0.25) * np.pi)
    # Near pairs, one of them turned a little further.
    table[:, :4, 45:] = table[:, :4, :45] + random.normal(size=(1, 4, 45))
    table[:, 4:7, 45:] = table[:, 4:7, :45] * 0.9
    table[:, 7, 45:] = table[:, 7, :45] + 0.2 * random.normal(size=(1, 45))
    return {"output0": table}


def _decode_obb(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    rows: list[Row] = []
    for line in tensors["output0"][0].T:
        label = int(line[4:7].argmax())
        if line[4 + label] > threshold:
            rows.append((label, float(line[4 + label]), *centred(*line[:4]), {"angle": float(line[7])}))
    return rows


def _polygon(row: Sequence[Any]) -> list[tuple[float, float]]:
    """Return the corner points of a rotated box, clockwise on the screen."""
    left, top, right, bottom, more = row
    cosine, sine = np.cos(more["angle"]), np.sin(more["angle"])
    points = []
    for across, down in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        x, y = across * (right - left) / 2, down * (bottom - top) / 2
        points.append(
            (float((left + right) / 2 + x * cosine - y * sine), float((top + bottom) / 2 + x * sine + y * cosine))
        )
    return points


def _area(points: Sequence[tuple[float, float]]) -> float:
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(points, [*points[1:], *points[:1]], strict=True)) / 2


def shared(first: Sequence[Any], second: Sequence[Any]) -> float:
    """Return the area that two rotated boxes share, by the clipping of Sutherland and Hodgman (1974)."""
    points, edges = _polygon(first), _polygon(second)
    for start, end in zip(edges, [*edges[1:], *edges[:1]], strict=True):
        sides = [(end[0] - start[0]) * (y - start[1]) - (end[1] - start[1]) * (x - start[0]) for x, y in points]
        clipped = []
        for at, (point, side) in enumerate(zip(points, sides, strict=True)):
            before, side_before = points[at - 1], sides[at - 1]
            if (side >= 0) != (side_before >= 0):
                share = side_before / (side_before - side)
                clipped.append((before[0] + share * (point[0] - before[0]), before[1] + share * (point[1] - before[1])))
            if side >= 0:
                clipped.append(point)
        points = clipped
    return _area(points) if points else 0.0


def _rotated_overlap(first: Sequence[Any], second: Sequence[Any]) -> float:
    both = shared(first, second)
    return both / (_area(_polygon(first)) + _area(_polygon(second)) - both)


# ------------------------------------------------------------------------------------- levels of their own outputs


def _levels(strides: Sequence[int], width: int, height: int) -> list[tuple[int, int, int]]:
    return [(stride, -(-height // stride), -(-width // stride)) for stride in strides]


def _picodet(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    levels = _levels((8, 16, 32, 64), width, height)
    cls = {f"cls_{s}": random.random((1, h * w, 3)).astype(np.float32) * 0.6 for s, h, w in levels}
    return cls | {f"reg_{s}": random.normal(size=(1, h * w, 32)).astype(np.float32) * 2 for s, h, w in levels}


def _decode_picodet(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    rows: list[Row] = []
    for stride, _, columns in _levels((8, 16, 32, 64), width, height):
        for at, (scores, bins) in enumerate(zip(tensors[f"cls_{stride}"][0], tensors[f"reg_{stride}"][0], strict=True)):
            if scores.max() > threshold:
                shares = np.exp(bins.reshape(4, 8).astype(float))
                left, top, right, bottom = shares @ np.arange(8) / shares.sum(axis=1) * stride
                x, y = (at % columns + 0.5) * stride, (at // columns + 0.5) * stride
                rows.append((int(scores.argmax()), float(scores.max()), x - left, y - top, x + right, y + bottom))
    return rows


def _rtmdet(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    levels = _levels((8, 16, 32), width, height)
    cls = {f"cls_{s}": random.normal(size=(1, 3, h, w)).astype(np.float32) - 2.5 for s, h, w in levels}
    return cls | {f"reg_{s}": random.random((1, 4, h, w)).astype(np.float32) * 5 * s for s, h, w in levels}


def _decode_rtmdet(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    rows: list[Row] = []
    for stride, lines, columns in _levels((8, 16, 32), width, height):
        for y in range(lines):
            for x in range(columns):
                scores = sigmoid(tensors[f"cls_{stride}"][0, :, y, x].astype(float))
                left, top, right, bottom = map(float, tensors[f"reg_{stride}"][0, :, y, x])
                if scores.max() > threshold:
                    corners = (x * stride - left, y * stride - top, x * stride + right, y * stride + bottom)
                    rows.append((int(scores.argmax()), float(scores.max()), *corners))
    return rows


def _scrfd(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    levels, outputs = _levels((8, 16, 32), width, height), {}
    for name, size, reach in (("score", 1, 0.6), ("bbox", 4, 4.0), ("kps", 10, 6.0)):
        for stride, lines, columns in levels:
            outputs[f"{name}_{stride}"] = random.random((1, lines * columns * 2, size)).astype(np.float32) * reach
    return outputs


def _decode_scrfd(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    rows: list[Row] = []
    for stride, lines, columns in _levels((8, 16, 32), width, height):
        at = 0
        for y in range(lines):
            for x in range(columns):
                for _ in range(2):
                    score = float(tensors[f"score_{stride}"][0, at, 0])
                    left, top, right, bottom = tensors[f"bbox_{stride}"][0, at] * stride
                    points = tensors[f"kps_{stride}"][0, at].reshape(5, 2) * stride
                    at += 1
                    if score > threshold:
                        corners = (x * stride - left, y * stride - top, x * stride + right, y * stride + bottom)
                        marks = [(x * stride + px, y * stride + py, 1.0) for px, py in points]
                        rows.append((0, score, *map(float, corners), {"keypoints": marks}))
    return rows


FAMILIES: Mapping[str, Family] = {
    **BOXES,
    "yolov8_seg": Family(_seg, _decode_seg, 0.25, 0.7),
    "yolov8_pose": Family(_pose, _decode_pose, 0.25, 0.7, ("person",)),
    "yolov8_obb": Family(_obb, _decode_obb, 0.25, 0.7, overlap=_rotated_overlap),
    "mask_rcnn": Family(_mask_rcnn, _decode_mask_rcnn, 0.3, None),
    "picodet": Family(_picodet, _decode_picodet, 0.4, 0.5),
    "rtmdet": Family(_rtmdet, _decode_rtmdet, 0.3, 0.65),
    "scrfd": Family(_scrfd, _decode_scrfd, 0.5, 0.4, ("face",)),
}
