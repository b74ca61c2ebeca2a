"""Compare texts: character error rate, and the share of texts that are read exactly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from bmfgraph.media.accuracy.items import Text
from bmfgraph.media.accuracy.joining import Pair
from bmfgraph.media.accuracy.matching import ratio
from bmfgraph.media.accuracy.shapes import box_iou

__all__ = ["compare_texts", "edits"]

_LEAST_IOU = 0.5
"""Smallest overlap of the boxes of two texts that belong together."""


def compare_texts(pairs: Iterable[Pair]) -> dict[str, Any]:
    """Compare texts with ground truth.

    The texts of a frame are paired by their boxes, if all have one: those that overlap most come first, and the
    overlap is at least a half. Otherwise they are paired in their order. A text without a partner is compared with the
    empty text. Letters of another case, spaces and other Unicode forms count as different.

    Args:
        pairs: The frames of both files.

    Returns:
        ``cer``: inserted, deleted and replaced characters, divided by the characters of the ground truth; 1 if
        only the predictions have characters. ``exact_text``: share of the ground truth that is read exactly.
    """
    errors = characters = exact = texts = predicted = 0
    for pair in pairs:
        for prediction, truth in _partners(pair.predictions.texts or (), pair.truth.texts or ()):
            errors += edits(prediction or "", truth or "")
            characters += len(truth or "")
            texts += truth is not None
            predicted += prediction is not None
            exact += prediction == truth
    return {
        "cer": round(errors / characters, 6) if characters else float(errors > 0),
        "exact_text": ratio(exact, texts, texts == predicted == 0, 6),
    }


def edits(text: str, other: str) -> int:
    """Return the fewest inserted, deleted and replaced characters between two texts (Levenshtein, 1965)."""
    short, long = sorted((text, other), key=len)
    letters = np.array([ord(letter) for letter in long], np.int64)
    places = np.arange(len(long) + 1)
    costs = places
    for count, letter in enumerate(short, 1):
        kept = np.minimum(costs[1:] + 1, costs[:-1] + (letters != ord(letter)))
        # A cost is at most the one to its left and 1 more.
        costs = np.minimum.accumulate(np.concatenate(([count], kept)) - places) + places
    return int(costs[-1])


def _partners(predictions: Sequence[Text], truth: Sequence[Text]) -> Iterator[tuple[str | None, str | None]]:
    """Yield the texts that belong together, with None for those without a partner."""
    boxes = [text.box for text in (*predictions, *truth)]
    if not predictions or not truth or None in boxes:
        yield from zip_longest((text.text for text in predictions), (text.text for text in truth))
        return
    corners = np.array(boxes, np.float64)
    overlaps = box_iou(corners[: len(predictions)], corners[len(predictions) :])
    rows, columns = np.nonzero(overlaps >= _LEAST_IOU)
    free, missing = dict(enumerate(predictions)), dict(enumerate(truth))
    for index in np.argsort(-overlaps[rows, columns], kind="stable"):
        row, column = int(rows[index]), int(columns[index])
        if row in free and column in missing:
            yield free.pop(row).text, missing.pop(column).text
    yield from ((text.text, None) for text in free.values())
    yield from ((None, text.text) for text in missing.values())
