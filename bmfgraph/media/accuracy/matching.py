"""Match predictions with ground truth at several overlaps, and compute average precision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["COCO_THRESHOLDS", "Candidates", "Floats", "Matches", "match", "ratio"]

COCO_THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""COCO's overlaps of a match, 0.50, 0.55, ..., 0.95, with COCO's rounding: masks may overlap by exactly 3/5."""
_RECALLS = np.linspace(0, 1, 101)

Floats = NDArray[np.float64]
"""float64, one or two dimensions."""
Flags = NDArray[np.bool_]
"""bool, one or two dimensions."""


@dataclass(frozen=True)
class Candidates:
    """The predictions and the ground truth of one label in one frame."""

    scores: Floats
    """[n]."""
    overlaps: Floats
    """[n, m], 0 to 1."""
    ignored: Flags
    """[m]: ground truth that is not searched for, and whose matches do not count."""


@dataclass(frozen=True)
class Matches:
    """The predictions of one label in all frames, best score first."""

    thresholds: tuple[float, ...]
    hits: Flags
    """[thresholds, n]: whether a prediction has a match."""
    counted: Flags
    """[thresholds, n]: False for predictions that match ignored ground truth."""
    overlaps: Floats
    """[thresholds, n]: overlap of a prediction with its match; 0 without one."""
    places: NDArray[np.int64]
    """[n]: 0 for the best prediction of a frame, 1 for the next one, and so on."""
    truth: int
    """Ground truth that is not ignored."""

    def area(self, threshold: float) -> float:
        """Return the area under the whole precision-recall curve, as in PASCAL VOC since 2010.

        Each precision is the best one at that recall or above.
        """
        hits = self.hits[self.thresholds.index(threshold)]
        precision = hits.cumsum() / np.arange(1, len(hits) + 1)
        return float(_envelope(precision)[hits].sum() / self.truth) if self.truth else 0.0

    def coco(self, most: int) -> Floats:
        """Return COCO's average precision at each threshold: the mean precision at the recalls 0, 0.01, ..., 1.

        Each precision is the best one at that recall or above, and 0 beyond the greatest recall. Source: ``accumulate``
        in ``PythonAPI/pycocotools/cocoeval.py`` of https://github.com/cocodataset/cocoapi.

        Args:
            most: Predictions of a frame that count, best score first.

        Returns:
            float64 [thresholds].
        """
        kept = self.places < most
        results = np.zeros(len(self.thresholds))
        for row, (hits, counted) in enumerate(zip(self.hits[:, kept], self.counted[:, kept], strict=True)):
            true = hits[counted].cumsum()
            if not len(true) or not self.truth:
                continue
            precision = _envelope(true / np.arange(1, len(true) + 1))
            at = np.searchsorted(true / self.truth, _RECALLS, side="left")
            results[row] = precision[at[at < len(true)]].sum() / len(_RECALLS)
        return results


def match(frames: Iterable[Candidates], thresholds: tuple[float, ...]) -> Matches:
    """Match the predictions of one label.

    In the order of their scores, each prediction gets the free ground truth of its frame that overlaps most, if the
    overlap reaches the threshold. Ignored ground truth comes last. Source: ``evaluateImg`` in ``cocoeval.py``.

    Args:
        frames: The predictions and the ground truth of each frame.
        thresholds: The smallest overlaps of a match.
    """
    parts, scores, places, truth = [], [np.empty(0)], [np.empty(0, np.int64)], 0
    for frame in frames:
        order = np.argsort(-frame.scores, kind="stable")
        parts.append(_match_frame(frame.overlaps[order], frame.ignored, np.array(thresholds)))
        scores.append(frame.scores[order])
        places.append(np.arange(len(order)))
        truth += int((~frame.ignored).sum())
    order = np.argsort(-np.concatenate(scores), kind="stable")
    empty = np.zeros((len(thresholds), 0))
    overlaps = np.concatenate([empty, *(part[0] for part in parts)], axis=1)[:, order]
    counted = np.concatenate([empty.astype(bool), *(part[1] for part in parts)], axis=1)[:, order]
    return Matches(thresholds, (overlaps > 0) & counted, counted, overlaps, np.concatenate(places)[order], truth)


def ratio(part: float, whole: float, empty: bool, digits: int = 4) -> float:
    """Return a share, rounded: 1 if there is nothing to predict and nothing is predicted, 0 if only one is so."""
    return 1.0 if empty else round(float(part / whole), digits) if whole else 0.0


def _match_frame(overlaps: Floats, ignored: Flags, thresholds: Floats) -> tuple[Floats, Flags]:
    """Return the overlap with the match, [thresholds, n], and whether the prediction counts, from overlaps [n, m]."""
    shape = len(thresholds), len(overlaps)
    matched, counted = np.zeros(shape), np.ones(shape, bool)
    if not overlaps.size:
        return matched, counted
    # COCO lowers a threshold of 1, so that rounding cannot hide an equal box.
    least = np.minimum(thresholds, 1 - 1e-10)[:, np.newaxis]
    free = np.ones((len(thresholds), overlaps.shape[1]), bool)
    # Any ground truth that counts comes before one that is ignored.
    rank = np.where(ignored, 0.0, 2.0)
    for index in np.flatnonzero(overlaps.max(axis=1) >= least.min()):
        keys = np.where(free & (overlaps[index] >= least), overlaps[index] + rank, -1.0)
        # Among equal overlaps COCO takes the last one.
        best = keys.shape[1] - 1 - keys[:, ::-1].argmax(axis=1)
        rows = np.flatnonzero(keys.max(axis=1) >= 0)
        free[rows, best[rows]] = False
        matched[rows, index] = overlaps[index, best[rows]]
        counted[rows, index] = ~ignored[best[rows]]
    return matched, counted


def _envelope(precision: Floats) -> Floats:
    """Return the best precision at each place or later, [n]."""
    return np.asarray(np.maximum.accumulate(precision[::-1])[::-1])
