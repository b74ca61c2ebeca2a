"""Compare boxes, masks and keypoints of detections: precision, recall and average precision."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bmfgraph.media import rle
from bmfgraph.media.accuracy.items import Box, comparison_error
from bmfgraph.media.accuracy.joining import Pair
from bmfgraph.media.accuracy.keypoints import oks
from bmfgraph.media.accuracy.matching import COCO_THRESHOLDS, Candidates, Floats, Matches, match, ratio
from bmfgraph.media.accuracy.shapes import box_iou

__all__ = ["compare_detections"]

_MOST_BOXES, _MOST_KEYPOINTS = 100, 20
"""Predictions of a label in a frame that COCO counts, of boxes and masks, and of keypoints."""


@dataclass
class _Group:
    """The boxes of one label in one frame."""

    predictions: list[Box] = field(default_factory=list)
    truth: list[Box] = field(default_factory=list)


Groups = Mapping[str, Sequence[_Group]]
"""The groups of each label, in the order of time."""
Overlap = Callable[[_Group], Floats]
"""Overlaps of the predictions with the ground truth of a group, [n, m]."""


def compare_detections(pairs: Iterable[Pair], iou: float) -> dict[str, Any]:
    """Compare detections with ground truth.

    Args:
        pairs: The frames of both files.
        iou: Smallest overlap of a match for everything but COCO's metrics.

    Returns:
        The metrics of boxes, as :func:`bmfgraph.media.accuracy.compare` describes them; ``mask_map`` if the ground
        truth has masks, and ``oks_map`` if it has keypoints.

    Raises:
        RunError: Masks of a frame differ in size, or keypoints in number.
    """
    groups = _by_label(pairs)
    boxes = [box for frames in groups.values() for group in frames for box in group.truth]
    metrics = _box_metrics(groups, iou)
    if any(box.mask is not None for box in boxes):
        metrics["mask_map"] = _mean(_coco(groups, _mask_overlaps, _MOST_BOXES))
    if any(box.keypoints is not None for box in boxes):
        metrics["oks_map"] = _mean(_coco(groups, _keypoint_overlaps, _MOST_KEYPOINTS, _without_keypoints))
    return metrics


def _by_label(pairs: Iterable[Pair]) -> Groups:
    groups: dict[str, dict[int, _Group]] = defaultdict(lambda: defaultdict(_Group))
    for index, pair in enumerate(pairs):
        for box in pair.predictions.detections or ():
            groups[box.label][index].predictions.append(box)
        for box in pair.truth.detections or ():
            groups[box.label][index].truth.append(box)
    return {label: [groups[label][index] for index in sorted(groups[label])] for label in sorted(groups)}


def _matches(
    groups: Groups, overlap: Overlap, thresholds: tuple[float, ...], ignored: Callable[[Box], bool] = lambda box: False
) -> dict[str, Matches]:
    """Return the matches of each label."""
    return {
        label: match(
            (
                Candidates(
                    np.array([box.score or 0.0 for box in group.predictions], np.float64),
                    overlap(group),
                    np.array([ignored(box) for box in group.truth], bool),
                )
                for group in frames
            ),
            thresholds,
        )
        for label, frames in groups.items()
    }


def _coco(
    groups: Groups, overlap: Overlap, most: int, ignored: Callable[[Box], bool] = lambda box: False
) -> list[Floats]:
    """Return COCO's average precision by threshold, for each label of the ground truth."""
    matches = _matches(groups, overlap, COCO_THRESHOLDS, ignored)
    return [result.coco(most) for result in matches.values() if result.truth]


def _mean(precisions: Sequence[Floats]) -> float:
    return round(float(np.mean(precisions)), 6) if precisions else 0.0


# --------------------------------------------------------------------------------------------------------- boxes


def _box_metrics(groups: Groups, iou: float) -> dict[str, Any]:
    thresholds = (*COCO_THRESHOLDS, *({iou} - {*COCO_THRESHOLDS}))
    matches = _matches(groups, _box_overlaps, thresholds)
    row = thresholds.index(iou)
    predictions = sum(result.hits.shape[1] for result in matches.values())
    truth = sum(result.truth for result in matches.values())
    hits = sum(int(result.hits[row].sum()) for result in matches.values())
    overlaps = sum(float(result.overlaps[row].sum()) for result in matches.values())
    areas = {label: result.area(iou) for label, result in matches.items()}
    searched = [label for label, result in matches.items() if result.truth]
    empty = predictions == truth == 0
    coco = np.array([matches[label].coco(_MOST_BOXES)[:10] for label in searched]).reshape(-1, 10)
    columns = {"map": coco, "map50_coco": coco[:, 0], "map75_coco": coco[:, 5]}
    return {
        "found": predictions,
        "wanted": truth,
        "matched": hits,
        "precision": ratio(hits, predictions, empty),
        "recall": ratio(hits, truth, empty),
        f"map{100 * iou:g}": ratio(sum(areas[label] for label in searched), len(searched), empty),
        **{name: ratio(values.sum(), values.size, empty, 6) for name, values in columns.items()},
        "mean_iou": round(overlaps / hits, 4) if hits else None,
        "labels": {
            label: {
                "found": result.hits.shape[1],
                "wanted": result.truth,
                "matched": int(result.hits[row].sum()),
                "ap": round(areas[label], 4),
            }
            for label, result in matches.items()
        },
    }


def _box_overlaps(group: _Group) -> Floats:
    return box_iou(
        _corners(group.predictions),
        _corners(group.truth),
        np.array([box.angle for box in group.predictions]),
        np.array([box.angle for box in group.truth]),
    )


def _corners(boxes: Sequence[Box]) -> Floats:
    return np.array([box.box for box in boxes], np.float64).reshape(-1, 4)


# ------------------------------------------------------------------------------------------- masks and keypoints


def _mask_overlaps(group: _Group) -> Floats:
    """Return the overlaps of masks. A box without a mask has no pixels; two of these overlap as their boxes do."""
    masks = [None if box.mask is None else rle.read(box.mask) for box in (*group.predictions, *group.truth)]
    sizes = {mask.size for mask in masks if mask is not None}
    if len(sizes) > 1:
        texts = " and of ".join(f"{height} x {width}" for height, width in sorted(sizes)[:2])
        raise comparison_error(f"a frame has masks of {texts} pixels", hint="write all masks in the size of the frame")
    nothing = np.empty(0, np.int64)
    runs = [mask or rle.Runs(next(iter(sizes), (1, 1)), nothing, nothing) for mask in masks]
    count = len(group.predictions)
    empty = np.array([mask.area == 0 for mask in runs], bool)
    neither = empty[:count, np.newaxis] & empty[count:]
    return np.where(neither, _box_overlaps(group), rle.iou(runs[:count], runs[count:]))


def _without_keypoints(box: Box) -> bool:
    """Return whether COCO ignores a box of the ground truth: none of its keypoints is labelled."""
    return box.keypoints is None or not (np.asarray(box.keypoints)[:, 2] > 0).any()


def _keypoint_overlaps(group: _Group) -> Floats:
    """Return the object keypoint similarities. A prediction without keypoints is similar to nothing."""
    numbers = {len(box.keypoints) for box in (*group.predictions, *group.truth) if box.keypoints is not None}
    if len(numbers) > 1:
        raise comparison_error(
            f"a frame has boxes of the same label with {' and with '.join(map(str, sorted(numbers)[:2]))} keypoints",
            hint="compare with labels of the same keypoints",
        )
    points = next(iter(numbers), 0)
    nothing = np.zeros((points, 3))
    predictions, truth = (
        np.array([nothing if box.keypoints is None else box.keypoints for box in boxes]).reshape(-1, points, 3)
        for boxes in (group.predictions, group.truth)
    )
    areas = np.array([_area(box) for box in group.truth])
    similar = oks(predictions, truth, _corners(group.truth), areas)
    similar[np.array([box.keypoints is None for box in group.predictions], bool)] = 0
    return similar


def _area(box: Box) -> float:
    """Return the area of a mask, else of a box, in pixels."""
    left, top, right, bottom = box.box
    return float(rle.area(box.mask)) if box.mask is not None else (right - left) * (bottom - top)
