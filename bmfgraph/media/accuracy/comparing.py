"""Compare two files of records, task by task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bmfgraph.media.accuracy.classes import compare_classes
from bmfgraph.media.accuracy.detections import compare_detections
from bmfgraph.media.accuracy.items import TASKS, comparison_error
from bmfgraph.media.accuracy.joining import Pair, join
from bmfgraph.media.accuracy.records import read
from bmfgraph.media.accuracy.segments import compare_segments
from bmfgraph.media.accuracy.texts import compare_texts

__all__ = ["compare", "contents"]

_COMPARISONS: Mapping[str, Callable[[Sequence[Pair]], dict[str, Any]]] = MappingProxyType(
    {"classes": compare_classes, "segments": compare_segments, "texts": compare_texts}
)


def compare(path: Path, reference: Path, *, iou: float = 0.5) -> dict[str, Any]:
    """Compare two files in a format that the ``records`` node writes, in all tasks that both have.

    Frames are joined by ``pts``. A frame that a file leaves out has nothing there.

    A prediction matches a box of the ground truth if their labels are equal and their intersection over union is at
    least ``iou``. Predictions are matched in the order of their scores, each with the free box of its frame that
    overlaps most.

    Args:
        path: The predictions, boxes with a score: CSV if the name ends in ``.csv``, else JSON Lines or a JSON array.
        reference: The ground truth, in the same formats. Scores are not needed.
        iou: Smallest overlap of a match, above 0 and at most 1.

    Returns:
        JSON-ready metrics. If there is nothing to predict, shares are 1 if nothing is predicted, else 0.

        - ``reference``, ``iou``: the arguments; ``frames``: frames of both files.
        - ``detections``:

          - ``found``, ``wanted``, ``matched``: predictions, boxes of the ground truth, true positives;
            ``precision`` and ``recall`` follow from them.
          - ``map50`` (``map75`` for an ``iou`` of 0.75): area under the whole precision-recall curve, as in PASCAL VOC
            since 2010; mean over the labels of the ground truth.
          - ``map``: COCO's average precision: 101 recalls, mean over the overlaps 0.50, 0.55, ..., 0.95 and the labels,
            at most 100 predictions of a label in a frame; ``map50_coco`` and ``map75_coco``: at one overlap.
          - ``mask_map``: the same for masks; ``oks_map``: the same for keypoints by their similarity, at most 20
            predictions. Only if the ground truth has masks or keypoints.
          - ``mean_iou``: over the matches; None without a match.
          - ``labels``: ``found``, ``wanted``, ``matched`` and ``ap`` (area under the curve) by label.

        - ``classes``: see :func:`bmfgraph.media.accuracy.classes.compare_classes`.
        - ``segments``: see :func:`bmfgraph.media.accuracy.segments.compare_segments`.
        - ``texts``: see :func:`bmfgraph.media.accuracy.texts.compare_texts`.

    Raises:
        RunError: A file cannot be read, or the files have no task in common. Or the predictions cover a whole clip
            (their frame numbers are 0, 1, 2, ...) and lack a frame of the ground truth.
        ValueError: ``iou`` is out of range.
    """
    if not 0 < iou <= 1:
        raise ValueError(f"iou is {iou}, and must be above 0 and at most 1")
    predictions, truth = read(path, scored=True), read(reference, scored=False)
    if predictions.tasks and truth.tasks and not predictions.tasks & truth.tasks:
        raise comparison_error(
            f"{str(reference)!r} has {_listed(truth.tasks)}, and {str(path)!r} has {_listed(predictions.tasks)}",
            hint="compare with labels of the task of the model",
        )
    pairs = join(predictions, truth)
    metrics: dict[str, Any] = {"reference": str(reference), "iou": iou, "frames": len(pairs)}
    tasks = truth.tasks & predictions.tasks or truth.tasks or predictions.tasks or {"detections"}
    if "detections" in tasks:
        metrics |= compare_detections(pairs, iou)
    for task, comparison in _COMPARISONS.items():
        if task in tasks:
            metrics |= comparison(pairs)
    return metrics


def contents(path: Path) -> set[str]:
    """Return the tasks that a file of ground truth has, and ``masks`` and ``keypoints`` if its boxes have them.

    Raises:
        RunError: The file cannot be read.
    """
    table = read(path, scored=False)
    boxes = [box for frame in table.frames.values() for box in frame.detections or ()]
    masks, keypoints = (any(getattr(box, name) is not None for box in boxes) for name in ("mask", "keypoints"))
    return table.tasks | ({"masks"} if masks else set()) | ({"keypoints"} if keypoints else set())


def _listed(tasks: set[str]) -> str:
    return ", ".join(task for task in TASKS if task in tasks)
