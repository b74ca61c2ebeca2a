"""Compare detections with ground truth: precision, recall and average precision."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from bmfgraph import error_codes as codes
from bmfgraph.errors import RunError
from bmfgraph.system.files import file_error
from bmfgraph.system.untrusted import open_regular

__all__ = ["compare"]

_NEAR = 0.001
"""Seconds within which two times belong to the same frame: containers round by at most half a millisecond."""
_COLUMNS = ("pts", "label", "x1", "y1", "x2", "y2")


def compare(path: Path, reference: Path, *, iou: float = 0.5) -> dict[str, Any]:
    """Compare two files of detections, in a format that the ``records`` node writes.

    A prediction matches a box of the ground truth if their labels are equal and their intersection over union is at
    least ``iou``. Predictions are matched in the order of their scores, each with the free box of its frame that
    overlaps most. Average precision is the area under the whole precision-recall curve, as in PASCAL VOC since 2010.

    Frames are joined by ``pts``. A frame that a file leaves out has no boxes there.

    Args:
        path: The predictions, each with a score: CSV if the name ends in ``.csv``, else JSON Lines.
        reference: The ground truth, in the same formats. Scores are not needed.
        iou: Smallest overlap of a match, above 0 and at most 1.

    Returns:
        JSON-ready metrics:

        - ``reference``, ``iou``: the arguments.
        - ``frames``: frames of both files.
        - ``found``, ``wanted``, ``matched``: predictions, boxes of the ground truth, true positives.
        - ``precision``, ``recall``: 1 if neither file has a box, 0 if only one has.
        - ``map50`` (``map75`` for an ``iou`` of 0.75): mean of the average precision over the labels of the ground
          truth, likewise 1 or 0 without boxes.
        - ``mean_iou``: over the matches; None without a match.
        - ``labels``: ``found``, ``wanted``, ``matched`` and ``ap`` (average precision) by label.

    Raises:
        RunError: A file cannot be read. Or the predictions cover a whole clip (their frame numbers are 0, 1, 2, ...)
            and lack a frame of the ground truth.
        ValueError: ``iou`` is out of range.
    """
    if not 0 < iou <= 1:
        raise ValueError(f"iou is {iou}, and must be above 0 and at most 1")
    frames = _joined(_read(path, scored=True), _read(reference, scored=False))
    labels = sorted({box.label for frame in frames for box in (*frame.predictions, *frame.ground_truth)})
    results = {label: _compare_label(frames, label, iou) for label in labels}
    predictions = sum(result.predictions for result in results.values())
    ground_truth = sum(result.ground_truth for result in results.values())
    true_positives = sum(result.true_positives for result in results.values())
    precisions = [result.average_precision for result in results.values() if result.ground_truth]
    empty = predictions == ground_truth == 0
    return {
        "reference": str(reference),
        "iou": iou,
        "frames": len(frames),
        "found": predictions,
        "wanted": ground_truth,
        "matched": true_positives,
        "precision": _ratio(true_positives, predictions, empty),
        "recall": _ratio(true_positives, ground_truth, empty),
        f"map{100 * iou:g}": _ratio(sum(precisions), len(precisions), empty),
        "mean_iou": round(sum(sum(result.overlaps) for result in results.values()) / true_positives, 4)
        if true_positives
        else None,
        "labels": {
            label: {
                "found": result.predictions,
                "wanted": result.ground_truth,
                "matched": result.true_positives,
                "ap": round(result.average_precision, 4),
            }
            for label, result in results.items()
        },
    }


def _ratio(part: float, whole: int, empty: bool) -> float:
    return 1.0 if empty else round(part / whole, 4) if whole else 0.0


# ------------------------------------------------------------------------------------------------ reading


class _Box(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    label: str
    score: float | None = None
    box: tuple[float, float, float, float]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    frame: int | None = None
    pts: float
    detections: tuple[_Box, ...]


@dataclass
class _Table:
    """The boxes of a file, by the time of their frame in seconds."""

    path: Path
    frames: dict[float, list[_Box]] = field(default_factory=dict)
    whole: bool = False
    """True if the file lists every frame of its clip."""


def _read(path: Path, *, scored: bool) -> _Table:
    table, numbers = _Table(path), list[int | None]()
    is_csv = path.suffix.lower() == ".csv"
    try:
        with io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="") as file:
            for number, line in _csv_lines(file, path) if is_csv else _json_lines(file, path):
                where = f"{str(path)!r}, line {number}"
                if line.pts in table.frames and not is_csv:
                    raise _error(f"{where}: a second line for the frame at {line.pts:g} s")
                _check(line.detections, where, scored)
                table.frames.setdefault(line.pts, []).extend(line.detections)
                numbers.append(line.frame)
    except OSError as error:
        raise _error(file_error(path, "read", error)) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise _error(f"{str(path)!r} is not a readable text file ({error})") from None
    table.whole = not is_csv and numbers == list(range(len(numbers))) != []
    return table


def _json_lines(file: TextIO, path: Path) -> Iterator[tuple[int, _Line]]:
    """Read the lines of JSON Lines, with their numbers."""
    for number, text in enumerate(file, 1):
        if text.strip():
            try:
                yield number, _Line.model_validate_json(text)
            except ValidationError as error:
                raise _malformed(path, number, error) from None


def _csv_lines(file: TextIO, path: Path) -> Iterator[tuple[int, _Line]]:
    """Read the rows of CSV, with their line numbers. Each row is a box."""
    reader = csv.DictReader(file)
    if missing := [name for name in _COLUMNS if name not in (reader.fieldnames or ())]:
        raise _error(f"{str(path)!r}, line 1: no column {', '.join(missing)}")
    for row in reader:
        box = {"label": row["label"], "score": row.get("score") or None, "box": [row[name] for name in _COLUMNS[2:]]}
        try:
            yield reader.line_num, _Line.model_validate({"pts": row["pts"], "detections": [box]})
        except ValidationError as error:
            raise _malformed(path, reader.line_num, error) from None


def _check(boxes: Sequence[_Box], where: str, scored: bool) -> None:
    """Reject predictions without a score, and ground truth with swapped corners. A model may swap the corners."""
    for box in boxes:
        if scored and box.score is None:
            raise _error(f"{where}: a prediction has no score")
        if not scored and (box.box[0] > box.box[2] or box.box[1] > box.box[3]):
            raise _error(f"{where}: box {list(box.box)} is not in the order left, top, right, bottom")


def _malformed(path: Path, line: int, error: ValidationError) -> RunError:
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    return _error(f"{str(path)!r}, line {line}: {key + ': ' if key else ''}{first['msg']}")


def _error(text: str, hint: str = "use labels in a format that the records node writes") -> RunError:
    return RunError("reference", "accuracy", text, hint=hint, code=codes.COMPARISON_FAILURE, path="reference")


# ----------------------------------------------------------------------------------------------- comparing


@dataclass(frozen=True)
class _Frame:
    """The boxes of a frame in both files."""

    predictions: Sequence[_Box]
    ground_truth: Sequence[_Box]


def _joined(predictions: _Table, reference: _Table) -> list[_Frame]:
    """Return the frames of both files in the order of time."""
    times = np.array(sorted(predictions.frames))
    ground_truth: dict[float, list[_Box]] = {time: [] for time in predictions.frames}
    for time, boxes in reference.frames.items():
        nearest = float(times[np.abs(times - time).argmin()]) if len(times) else None
        if nearest is None or abs(nearest - time) > _NEAR:
            if predictions.whole:
                raise _error(
                    f"{str(reference.path)!r} has a frame at {time:g} s, where {str(predictions.path)!r} has none: its "
                    f"{len(times)} frames go from {times[0]:g} s to {times[-1]:g} s",
                    hint="compare with labels of the same clip, and of the same part of it",
                )
            nearest = time
        ground_truth.setdefault(nearest, []).extend(boxes)
    return [_Frame(predictions.frames.get(time, []), ground_truth[time]) for time in sorted(ground_truth)]


@dataclass(frozen=True)
class _Result:
    """The matches of one label."""

    overlaps: Sequence[float]
    """Intersection over union of each prediction with its match, best score first; 0 without a match."""
    ground_truth: int

    @property
    def predictions(self) -> int:
        return len(self.overlaps)

    @property
    def true_positives(self) -> int:
        return sum(overlap > 0 for overlap in self.overlaps)

    @property
    def average_precision(self) -> float:
        """Area under the precision-recall curve, where each precision is the best at that recall or above."""
        hits = np.array(self.overlaps) > 0
        precision = hits.cumsum() / np.arange(1, len(hits) + 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        return float(best[hits].sum() / self.ground_truth) if self.ground_truth else 0.0


def _compare_label(frames: Sequence[_Frame], label: str, iou: float) -> _Result:
    ground_truth = [_corners(box for box in frame.ground_truth if box.label == label) for frame in frames]
    free = [np.ones(len(boxes), bool) for boxes in ground_truth]
    predictions = [
        (index, box) for index, frame in enumerate(frames) for box in frame.predictions if box.label == label
    ]
    overlaps = []
    for index, box in sorted(predictions, key=lambda prediction: -(prediction[1].score or 0.0)):
        candidates = _iou(np.array(box.box), ground_truth[index]) * free[index]
        best = int(candidates.argmax()) if len(candidates) else -1
        matches = best >= 0 and candidates[best] >= iou
        overlaps.append(float(candidates[best]) if matches else 0.0)
        if matches:
            free[index][best] = False
    return _Result(overlaps, sum(map(len, ground_truth)))


Corners = NDArray[np.float64]
"""float64 [n, 4] or [4]: left, top, right, bottom in pixels."""


def _corners(boxes: Iterable[_Box]) -> Corners:
    return np.array([box.box for box in boxes], np.float64).reshape(-1, 4)


def _iou(box: Corners, others: Corners) -> NDArray[np.float64]:
    """Return the intersection over union, float64 [n], of a box [4] with each of the others [n, 4]."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    intersection = sides.clip(min=0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).clip(min=0).prod()
    union = areas - intersection
    # Boxes beyond the image's edge are clipped to an area of 0, so they match only an equal box.
    equal = (others == box).all(axis=1).astype(np.float64)
    return np.asarray(np.divide(intersection, union, out=equal, where=union > 0))
