"""Read files of records: what models found in each frame, or the ground truth."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TextIO

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bmfgraph import error_codes as codes
from bmfgraph.errors import RunError
from bmfgraph.media import rle
from bmfgraph.system.files import file_error
from bmfgraph.system.untrusted import open_regular

__all__ = ["TASKS", "Box", "Class", "Frame", "Segment", "Table", "Text", "comparison_error", "read"]

TASKS = ("detections", "classes", "segments", "texts")
"""The keys of a record that are compared."""
_COLUMNS = ("pts", "label", "x1", "y1", "x2", "y2")
_MAX_BYTES = 512 << 20
"""Largest file that is read."""
_MAX_LINE = 16 << 20
"""Characters of the longest line."""
_MAX_ARRAY = 64 << 20
"""Largest file that is read as one JSON array: Python needs about 20 times as much memory for it."""
_MAX_ITEMS = 2_000_000
"""Frames and items of the largest file; each takes up to 1 kB of memory."""
_MAX_PER_FRAME = 5_000
"""Items of one frame: a comparison makes a table of all pairs."""
_MAX_KEYPOINTS = 1_000
"""Keypoints of one detection."""
_MAX_TEXT = 10_000
"""Characters of the longest text: their comparison takes the square of it."""

Coordinate = Annotated[float, Field(ge=-1e9, le=1e9)]
"""Pixels. The area of a box is finite then."""


def _mask(value: Mapping[str, Any]) -> Mapping[str, Any]:
    # The runs are read again for the comparison: they take more memory than the text.
    rle.read(value)
    return {"size": value["size"], "counts": value["counts"]}


def _keypoints(points: tuple[tuple[float, ...], ...]) -> NDArray[np.float64] | None:
    return np.array([(*point, 1.0)[:3] for point in points], np.float64) if points else None


Mask = Annotated[dict[str, Any], AfterValidator(_mask)]
"""COCO's run lengths."""
Keypoints = Annotated[
    tuple[tuple[Coordinate, Coordinate] | tuple[Coordinate, Coordinate, float], ...],
    Field(max_length=_MAX_KEYPOINTS),
    AfterValidator(_keypoints),
]
"""float64 [points, 3]: x, y in pixels, and a score, which is 1 if the file has none."""


class _Item(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Box(_Item):
    """A detection: its box, and perhaps its keypoints and its mask."""

    label: str
    score: float | None = None
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate]
    angle: float = 0.0
    keypoints: Keypoints | None = None
    mask: Mask | None = None


class Class(_Item):
    """A class of a whole frame."""

    label: str
    score: float | None = None


class Segment(_Item):
    """The pixels of one class."""

    label: str
    mask: Mask


class Text(_Item):
    """A text that was read, and perhaps its place."""

    text: str = Field(max_length=_MAX_TEXT)
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None


class Frame(_Item):
    """What a file has for one frame. A task that the file does not have is None."""

    frame: int | None = None
    pts: float
    detections: tuple[Box, ...] | None = None
    classes: tuple[Class, ...] | None = None
    segments: tuple[Segment, ...] | None = None
    texts: tuple[Text, ...] | None = None

    @property
    def tasks(self) -> list[str]:
        """The tasks that the frame has results of."""
        return [task for task in TASKS if getattr(self, task) is not None]


@dataclass
class Table:
    """The frames of a file, by their time in seconds."""

    path: Path
    frames: dict[float, Frame] = field(default_factory=dict)
    whole: bool = False
    """True if the file lists every frame of its clip."""
    tasks: set[str] = field(default_factory=set)


def read(path: Path, *, scored: bool) -> Table:
    """Read a file of records.

    Args:
        path: CSV if the name ends in ``.csv``, else JSON Lines or a JSON array.
        scored: True for predictions, whose boxes need a score. False for ground truth, whose boxes must have their
            corners in order.

    Raises:
        RunError: The file cannot be read, is too large, or has another form.
    """
    table, numbers, items = Table(path), list[int | None](), 0
    is_csv = path.suffix.lower() == ".csv"
    try:
        with io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="") as file:
            for number, frame in _csv_frames(file, path) if is_csv else _json_frames(file, path):
                where = f"{str(path)!r}, line {number}"
                if frame.pts in table.frames and not is_csv:
                    raise comparison_error(f"{where}: a second line for the frame at {frame.pts:g} s")
                items += 1 + _check(frame, where, scored)
                if items > _MAX_ITEMS:
                    raise _too_large(f"{where}: more than {_MAX_ITEMS:,} frames and items")
                table.tasks.update(frame.tasks)
                table.frames[frame.pts] = frame
                numbers.append(frame.frame)
    except OSError as error:
        raise comparison_error(file_error(path, "read", error)) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise comparison_error(f"{str(path)!r} is not a readable text file ({error})") from None
    table.whole = not is_csv and numbers == list(range(len(numbers))) != []
    return table


def comparison_error(text: str, hint: str = "use labels in a format that the records node writes") -> RunError:
    """Return the error of two files that cannot be compared."""
    return RunError("reference", "accuracy", text, hint=hint, code=codes.COMPARISON_FAILURE, path="reference")


def _too_large(text: str) -> RunError:
    return comparison_error(text, hint="compare a part of the clip")


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    """Read lines up to the largest size of a file."""
    total = 0
    while line := file.readline(_MAX_LINE + 1):
        total += len(line)
        if len(line) > _MAX_LINE:
            raise _too_large(f"{str(path)!r} has a line of more than {_MAX_LINE:,} characters")
        if total > _MAX_BYTES:
            raise _too_large(f"{str(path)!r} is larger than {_MAX_BYTES:,} bytes")
        yield line


def _json_frames(file: TextIO, path: Path) -> Iterator[tuple[int, Frame]]:
    """Read the lines of JSON Lines, or the items of a JSON array, with their numbers."""
    lines: Iterable[Any] = _lines(file, path)
    if file.read(4096).lstrip().startswith("["):
        file.seek(0)
        text = file.read(_MAX_ARRAY + 1)
        if len(text) > _MAX_ARRAY:
            raise comparison_error(
                f"{str(path)!r} is a JSON array of more than {_MAX_ARRAY:,} characters", hint="use JSON Lines"
            )
        try:
            lines = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise comparison_error(f"{str(path)!r} is not a JSON array ({error})") from None
    else:
        file.seek(0)
    for number, line in enumerate(lines, 1):
        try:
            if not isinstance(line, str):
                yield number, Frame.model_validate(line)
            elif line.strip():
                yield number, Frame.model_validate_json(line)
        except ValidationError as error:
            raise _malformed(path, number, error) from None


def _csv_frames(file: TextIO, path: Path) -> Iterator[tuple[int, Frame]]:
    """Read CSV, and yield each frame once with the number of its last line. A row is a box, or a frame without one."""
    reader = csv.DictReader(_lines(file, path))
    if missing := [name for name in _COLUMNS if name not in (reader.fieldnames or ())]:
        raise comparison_error(f"{str(path)!r}, line 1: no column {', '.join(missing)}")
    frames: dict[float, list[Box]] = {}
    numbers: dict[float, int] = {}
    for count, row in enumerate(reader):
        if count >= _MAX_ITEMS:
            raise _too_large(f"{str(path)!r}, line {reader.line_num}: more than {_MAX_ITEMS:,} rows")
        box = {"label": row["label"], "score": row.get("score") or None, "box": [row[name] for name in _COLUMNS[2:]]}
        empty = not any(row[name] for name in _COLUMNS[1:])
        try:
            frame = Frame.model_validate({"pts": row["pts"], "detections": [] if empty else [box]})
        except ValidationError as error:
            raise _malformed(path, reader.line_num, error) from None
        frames.setdefault(frame.pts, []).extend(frame.detections or ())
        numbers[frame.pts] = reader.line_num
    for pts, boxes in frames.items():
        yield numbers[pts], Frame(pts=pts, detections=tuple(boxes))


def _check(frame: Frame, where: str, scored: bool) -> int:
    """Reject what a type cannot say, and return the number of items of the frame."""
    if not frame.tasks:
        raise comparison_error(f"{where}: none of {', '.join(TASKS)}")
    sizes = {task: len(getattr(frame, task)) for task in frame.tasks}
    for task, size in sizes.items():
        if size > _MAX_PER_FRAME:
            raise comparison_error(f"{where}: {size:,} {task} in a frame; at most {_MAX_PER_FRAME:,} are compared")
    for box in frame.detections or ():
        if scored and box.score is None:
            raise comparison_error(f"{where}: a prediction has no score")
        # A model may swap the corners.
        if not scored and (box.box[0] > box.box[2] or box.box[1] > box.box[3]):
            raise comparison_error(f"{where}: box {list(box.box)} is not in the order left, top, right, bottom")
    return sum(sizes.values())


def _malformed(path: Path, line: int, error: ValidationError) -> RunError:
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    text = first["msg"].removeprefix("Value error, ")
    return comparison_error(f"{str(path)!r}, line {line}: {key + ': ' if key else ''}{text}")
