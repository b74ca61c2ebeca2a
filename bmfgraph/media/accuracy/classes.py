"""Compare the classes of frames: top-1 and top-5 accuracy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bmfgraph.media.accuracy.items import Class
from bmfgraph.media.accuracy.joining import Pair
from bmfgraph.media.accuracy.matching import ratio

__all__ = ["compare_classes"]


def compare_classes(pairs: Iterable[Pair]) -> dict[str, Any]:
    """Compare classes with ground truth.

    Args:
        pairs: The frames of both files. Frames without a class in the ground truth do not count.

    Returns:
        ``top1`` and ``top5``: the share of frames whose true class is the first, or among the first five, of the
        predicted ones.
    """
    frames = [
        (_labels(pair.truth.classes or ())[0], _labels(pair.predictions.classes or ()))
        for pair in pairs
        if pair.truth.classes
    ]
    return {
        f"top{most}": ratio(sum(label in labels[:most] for label, labels in frames), len(frames), not frames, 6)
        for most in (1, 5)
    }


def _labels(classes: Iterable[Class]) -> list[str]:
    """Return the labels, best score first; those without a score keep their order."""
    return [found.label for found in sorted(classes, key=lambda found: -(found.score or 0.0))]
