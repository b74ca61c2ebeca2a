"""Compute the object keypoint similarity (OKS) of COCO."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["oks"]

_COCO17 = (
    *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
    *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
"""Sigmas of nose, eyes, ears, shoulders, elbows, wrists, hips, knees and ankles: ``kpt_oks_sigmas`` in ``cocoeval.py``.

A sigma is the standard deviation of annotators for a keypoint, relative to the square root of the object's area."""
_SIGMA = 0.05
"""Sigma of every keypoint of other sets; the mean of COCO's is 0.063."""

Floats = NDArray[np.float64]


def oks(predictions: Floats, truth: Floats, boxes: Floats, areas: Floats) -> Floats:
    """Return the similarity of keypoints: the mean of exp(-d² / (2 · area · (2 · sigma)²)) over the labelled keypoints.

    Source: ``computeOks`` in ``PythonAPI/pycocotools/cocoeval.py`` of https://github.com/cocodataset/cocoapi.

    Args:
        predictions: [n, points, 3]: x, y in pixels, and a score that does not count.
        truth: [m, points, 3]: x, y, and a number above 0 for labelled keypoints.
        boxes: [m, 4]: left, top, right, bottom. If no keypoint is labelled, d is the distance from the box, enlarged
            by its size on each side.
        areas: [m]: areas of the objects in pixels.

    Returns:
        float64 [n, m].
    """
    points = predictions.shape[1] if len(predictions) else truth.shape[1]
    variances = (2 * np.array(_COCO17 if points == len(_COCO17) else (_SIGMA,) * points)) ** 2
    similar = np.zeros((len(predictions), len(truth)))
    for column, (pose, box, area) in enumerate(zip(truth, boxes, areas, strict=True)):
        labelled = pose[:, 2] > 0
        if labelled.any():
            distance = predictions[:, labelled, :2] - pose[labelled, :2]
            scales = variances[labelled]
        else:
            size = box[2:] - box[:2]
            place = predictions[:, :, :2]
            distance = np.maximum(0, box[:2] - size - place) + np.maximum(0, place - box[2:] - size)
            scales = variances
        squares = (distance**2).sum(axis=2)
        similar[:, column] = np.exp(-squares / scales / (area + np.spacing(1)) / 2).mean(axis=1)
    return similar
