"""How right detections are: precision, recall and average precision against labels or other detections."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from bmfgraph import error_codes as codes
from bmfgraph.errors import RunError

__all__ = ["compare"]

_NEAR = 0.001
"""Seconds; containers round frame times by half a millisecond at most."""
_COLUMNS = ("pts", "label", "x1", "y1", "x2", "y2")


def compare(found: Path, reference: Path, *, iou: float = 0.5) -> dict[str, Any]:
    """Compare two files in a form that the `records` node writes: CSV where the name ends so, else JSON Lines.

    Boxes match where their labels are equal and their intersection over union is ``iou`` or more. Those found choose
    in the order of their scores, each the nearest box of the reference in its frame that is still free. Boxes of the
    reference need no score. ``map50`` (``map75`` for 0.75) is the mean, over the labels of the reference, of the area
    under the whole precision-recall curve, as in PASCAL VOC from 2010 on. ``mean_iou``: of the matches, None without.
    Where neither file has a box, precision, recall and ``map50`` are 1; where only one has, they are 0.

    Frames are joined by `pts`, and have no boxes in a file that leaves them out. But a frame of the reference that
    ``found`` leaves out is an error if the lines there, numbered 0, 1, 2 and so on, are a whole clip's. Raises
    RunError for that, and for a file that cannot be read; ValueError for an ``iou`` that is no share.
    """
    if not 0 < iou <= 1:
        raise ValueError(f"iou is {iou}, and must be above 0 and at most 1")
    frames = _joined(_read(found, scored=True), _read(reference, scored=False))
    labels = sorted({box.label for frame in frames for box in (*frame.predictions, *frame.ground_truth)})
    results = {label: _compare_label(frames, label, iou) for label in labels}
    every = list(results.values())
    matched, count, wanted = (sum(getattr(one, name) for one in every) for name in ("matched", "found", "wanted"))
    overlaps = [overlap for one in every for overlap in one.overlaps if overlap]
    precisions = [one.average_precision for one in every if one.ground_truth]
    empty = count == wanted == 0
    return {
        "reference": str(reference),
        "iou": iou,
        "frames": len(frames),
        "found": count,
        "wanted": wanted,
        "matched": matched,
        "precision": _share(matched, count, empty),
        "recall": _share(matched, wanted, empty),
        f"map{100 * iou:g}": _share(sum(precisions), len(precisions), empty),
        "mean_iou": round(sum(overlaps) / matched, 4) if matched else None,
        "labels": {
            label: {"found": one.predictions, "wanted": one.ground_truth, "matched": one.true_positives, "ap": _ap(one)}
            for label, one in results.items()
        },
    }


def _share(part: float, whole: int, empty: bool) -> float:
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
    """A file's boxes by the time of their frame in seconds."""

    path: Path
    frames: dict[float, list[_Box]] = field(default_factory=dict)
    whole: bool = False
    """Whether it lists every frame of its clip."""


def _read(path: Path, *, scored: bool) -> _Table:
    table, numbers = _Table(path), list[int | None]()
    rows = path.suffix.lower() == ".csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for place, line in _rows(file, path) if rows else _lines(file, path):
                if line.pts in table.frames and not rows:
                    raise _refused(f"{str(path)!r}, line {place}: a second line for the frame at {line.pts:g} s")
                _check(line.detections, f"{str(path)!r}, line {place}", scored)
                table.frames.setdefault(line.pts, []).extend(line.detections)
                numbers.append(line.frame)
    except OSError as error:
        raise _refused(f"{str(path)!r} cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise _refused(f"{str(path)!r} is no text that could be read ({error})") from None
    table.whole = not rows and numbers == list(range(len(numbers))) != []
    return table


def _lines(file: TextIO, path: Path) -> Iterator[tuple[int, _Line]]:
    """Of JSON Lines, with their numbers."""
    for place, text in enumerate(file, 1):
        if text.strip():
            try:
                yield place, _Line.model_validate_json(text)
            except ValidationError as error:
                raise _malformed(path, place, error) from None


def _rows(file: TextIO, path: Path) -> Iterator[tuple[int, _Line]]:
    """Of CSV: one box each."""
    reader = csv.DictReader(file)
    if missing := [name for name in _COLUMNS if name not in (reader.fieldnames or ())]:
        raise _refused(f"{str(path)!r}, line 1: no column {', '.join(missing)}")
    for row in reader:
        box = {"label": row["label"], "score": row.get("score") or None, "box": [row[name] for name in _COLUMNS[2:]]}
        try:
            yield reader.line_num, _Line.model_validate({"pts": row["pts"], "detections": [box]})
        except ValidationError as error:
            raise _malformed(path, reader.line_num, error) from None


def _check(boxes: Sequence[_Box], where: str, scored: bool) -> None:
    """Models may find boxes with their corners swapped; labels of that kind are a mistake."""
    for box in boxes:
        if scored and box.score is None:
            raise _refused(f"{where}: a box that was found has no score")
        if not scored and (box.box[0] > box.box[2] or box.box[1] > box.box[3]):
            raise _refused(f"{where}: box {list(box.box)} is not in the order left, top, right, bottom")


def _malformed(path: Path, line: int, error: ValidationError) -> RunError:
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    return _refused(f"{str(path)!r}, line {line}: {place + ': ' if place else ''}{first['msg']}")


def _refused(text: str, hint: str = "give labels in a form that the records node writes") -> RunError:
    return RunError("reference", "accuracy", text, hint=hint, code=codes.COMPARISON_FAILURE)


# ----------------------------------------------------------------------------------------------- comparing


@dataclass(frozen=True)
class _Frame:
    """What was found and what was wanted in it."""

    predictions: Sequence[_Box]
    ground_truth: Sequence[_Box]


def _joined(found: _Table, reference: _Table) -> list[_Frame]:
    """All frames of both, in the order of time."""
    times = np.array(sorted(found.frames))
    wanted: dict[float, list[_Box]] = {time: [] for time in found.frames}
    for time, boxes in reference.frames.items():
        nearest = float(times[np.abs(times - time).argmin()]) if len(times) else None
        if nearest is None or abs(nearest - time) > _NEAR:
            if found.whole:
                raise _refused(
                    f"{str(reference.path)!r} has a frame at {time:g} s, where {str(found.path)!r} has none: its "
                    f"{len(times)} frames go from {times[0]:g} s to {times[-1]:g} s",
                    hint="compare with labels of the same clip, and of the same part of it",
                )
            nearest = time
        wanted.setdefault(nearest, []).extend(boxes)
    return [_Frame(found.frames.get(time, []), wanted[time]) for time in sorted(wanted)]


@dataclass(frozen=True)
class _Result:
    """Of one label. ``overlaps``: of each box found, best score first, with its match, or 0."""

    overlaps: Sequence[float]
    ground_truth: int

    @property
    def predictions(self) -> int:
        return len(self.overlaps)

    @property
    def true_positives(self) -> int:
        return sum(overlap > 0 for overlap in self.overlaps)

    @property
    def average_precision(self) -> float:
        """Area under the precision-recall curve, made monotonic: precision is the best at that recall or above."""
        hits = np.array(self.overlaps) > 0
        precision = hits.cumsum() / np.arange(1, len(hits) + 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        return float(best[hits].sum() / self.ground_truth) if self.ground_truth else 0.0


def _ap(result: _Result) -> float:
    return round(result.average_precision, 4)


def _compare_label(frames: Sequence[_Frame], label: str, iou: float) -> _Result:
    wanted = [_corners(box for box in frame.ground_truth if box.label == label) for frame in frames]
    free = [np.ones(len(boxes), bool) for boxes in wanted]
    found = [(place, box) for place, frame in enumerate(frames) for box in frame.predictions if box.label == label]
    overlaps = []
    for place, box in sorted(found, key=lambda one: -(one[1].score or 0.0)):
        shares = _overlap(np.array(box.box), wanted[place]) * free[place]
        best = int(shares.argmax()) if len(shares) else -1
        matches = best >= 0 and shares[best] >= iou
        overlaps.append(float(shares[best]) if matches else 0.0)
        if matches:
            free[place][best] = False
    return _Result(overlaps, sum(map(len, wanted)))


Corners = NDArray[np.float64]


def _corners(boxes: Any) -> Corners:
    return np.array([box.box for box in boxes], np.float64).reshape(-1, 4)


def _overlap(one: Corners, others: Corners) -> Corners:
    """Intersection over union of a box [4] with each of the others [n, 4]: [n]."""
    sides = np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2])
    shared = sides.clip(min=0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (one[2:] - one[:2]).clip(min=0).prod()
    together = areas - shared
    # Boxes beyond the picture's edge are clipped to nothing, and are like themselves only.
    same = (others == one).all(axis=1).astype(np.float64)
    return np.asarray(np.divide(shared, together, out=same, where=together > 0))
