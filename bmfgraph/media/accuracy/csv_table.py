"""Read records from CSV, where a row holds one object of a frame."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bmfgraph.media.accuracy.items import MAX_ITEMS, Frame, comparison_error, malformed, too_large

__all__ = ["csv_frames"]

_BOX = ("x1", "y1", "x2", "y2")
_VALUES = ("label", "text", "score", "mask", *_BOX)


def csv_frames(lines: Iterable[str], path: Path) -> Iterator[tuple[int, Frame]]:
    """Read the rows of CSV, and yield each frame once with the number of its last line.

    The columns say the task: ``text``, else ``x1``, ``y1``, ``x2``, ``y2`` of a detection, else ``mask`` of a segment,
    else ``label`` of a class. A row without a value is a frame without an object. Columns ``NAME_x``, ``NAME_y`` and
    ``NAME_score`` are keypoints.

    Args:
        lines: The lines of the file.
        path: The file, for messages.

    Raises:
        RunError: A column is missing, or a row has another form.
    """
    reader = csv.DictReader(lines)
    columns = reader.fieldnames or ()
    task = _task(columns)
    needed = {"texts": ("text",), "detections": ("label", *_BOX)}.get(task, ("label",))
    if missing := [name for name in ("pts", *needed) if name not in columns]:
        raise comparison_error(f"{str(path)!r}, line 1: no column {', '.join(missing)}")
    points = [name.removesuffix("_score") for name in columns if name.endswith("_score")]
    frames: dict[float, list[Any]] = {}
    numbers: dict[float, int] = {}
    for count, row in enumerate(reader):
        number = reader.line_num
        if count >= MAX_ITEMS:
            raise too_large(f"{str(path)!r}, line {number}: more than {MAX_ITEMS:,} rows")
        try:
            values = [_object(row, task, points)] if any(row.get(name) for name in _VALUES) else []
            frame = Frame.model_validate({"pts": row["pts"], task: values})
        except ValidationError as error:
            raise malformed(path, number, error) from None
        except (ValueError, RecursionError) as error:
            raise comparison_error(f"{str(path)!r}, line {number}: mask is not JSON ({error})") from None
        frames.setdefault(frame.pts, []).extend(getattr(frame, task))
        numbers[frame.pts] = number
    for pts, objects in frames.items():
        yield numbers[pts], Frame.model_validate({"pts": pts, task: objects})


def _task(columns: Sequence[str]) -> str:
    if "text" in columns:
        return "texts"
    if "label" not in columns or any(name in columns for name in _BOX):
        return "detections"
    return "segments" if "mask" in columns else "classes"


def _object(row: Mapping[str, Any], task: str, points: Sequence[str]) -> dict[str, Any]:
    """Return the object of a row, in the form of JSON Lines. Empty columns are left out."""
    values = {name: row[name] for name in ("score", "angle") if row.get(name)}
    values |= {name: row[name] for name in ("text", "label") if name in row}
    if task == "detections" or any(row.get(name) for name in _BOX):
        values["box"] = [row[name] for name in _BOX]
    if row.get("mask"):
        values["mask"] = json.loads(row["mask"])
    if task == "detections" and points:
        values["keypoints"] = [[row.get(f"{name}_{part}") for part in ("x", "y", "score")] for name in points]
    return values
