"""Compare label maps: mean intersection over union of the labels, and the share of right pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmfgraph.media import rle
from bmfgraph.media.accuracy.items import Segment, comparison_error
from bmfgraph.media.accuracy.joining import Pair
from bmfgraph.media.accuracy.matching import ratio

__all__ = ["VOID", "compare_segments"]

VOID = "void"
"""Label of pixels of the ground truth that do not count, as in Cityscapes."""
_NOTHING = ""
"""Label of pixels that no segment has."""


def compare_segments(pairs: Iterable[Pair]) -> dict[str, Any]:
    """Compare label maps with ground truth.

    A later segment covers an earlier one. Pixels without a segment have no label: a label that is predicted there is
    wrong, and no label of their own enters the mean. Pixels that are ``void`` in the ground truth do not count.

    Args:
        pairs: The frames of both files.

    Returns:
        ``miou``: intersection over union of the pixels of a label in all frames, mean over the labels of both files;
        ``pixel_accuracy``: share of the pixels with the right label; ``label_iou``: intersection over union by label.

    Raises:
        RunError: Masks of a frame differ in size.
    """
    both, predicted, true = Counter[str](), Counter[str](), Counter[str]()
    for pair in pairs:
        for prediction, label, pixels in _regions(pair.predictions.segments or (), pair.truth.segments or ()):
            if label == VOID:
                continue
            predicted[prediction] += pixels
            true[label] += pixels
            both[label] += pixels * (prediction == label)
    labels = sorted((predicted.keys() | true.keys()) - {_NOTHING, VOID})
    overlaps = {label: both[label] / (predicted[label] + true[label] - both[label]) for label in labels}
    total = true.total()
    return {
        "miou": ratio(sum(overlaps.values()), len(labels), not labels, 6),
        "pixel_accuracy": ratio(both.total(), total, not total, 6),
        "label_iou": {label: round(overlap, 4) for label, overlap in overlaps.items()},
    }


def _regions(predictions: Sequence[Segment], truth: Sequence[Segment]) -> list[tuple[str, str, int]]:
    """Return the predicted label, the true label and the number of pixels of each part of a frame.

    The parts lie between the ends of all runs, so no array has the size of the frame.
    """
    masks = [rle.read(segment.mask) for segment in (*predictions, *truth)]
    sizes = sorted({mask.size for mask in masks})
    if not sizes:
        return []
    if len(sizes) > 1:
        texts = " and of ".join(f"{height} x {width}" for height, width in sizes[:2])
        raise comparison_error(f"a frame has masks of {texts} pixels", hint="write all masks in the size of the frame")
    ends = [end for mask in masks for end in (mask.starts, mask.stops)]
    edges = np.unique(np.concatenate([*ends, np.array([0, sizes[0][0] * sizes[0][1]])]))
    names = [_NOTHING, *sorted({segment.label for segment in (*predictions, *truth)})]
    numbers = {name: number for number, name in enumerate(names)}
    maps = []
    for segments, runs in ((predictions, masks[: len(predictions)]), (truth, masks[len(predictions) :])):
        label_map = np.zeros(len(edges) - 1, np.int64)
        for segment, mask in zip(segments, runs, strict=True):
            label_map[_covered(mask, edges)] = numbers[segment.label]
        maps.append(label_map)
    pairs, inverse = np.unique(maps[0] * len(names) + maps[1], return_inverse=True)
    pixels = np.bincount(inverse, np.diff(edges), len(pairs))
    return [
        (names[pair // len(names)], names[pair % len(names)], int(number))
        for pair, number in zip(pairs.tolist(), pixels.tolist(), strict=True)
    ]


def _covered(mask: rle.Runs, edges: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which parts between sorted edges, bool [edges - 1], belong to a mask."""
    steps = np.zeros(len(edges), np.int64)
    np.add.at(steps, np.searchsorted(edges, mask.starts), 1)
    np.add.at(steps, np.searchsorted(edges, mask.stops), -1)
    return np.asarray(steps[:-1].cumsum() > 0)
