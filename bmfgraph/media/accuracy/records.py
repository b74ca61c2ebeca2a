"""Read files of records: what models found in each frame, or the ground truth."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError

from bmfgraph.media.accuracy.coco import KEYS, coco_frames
from bmfgraph.media.accuracy.csv_table import csv_frames
from bmfgraph.media.accuracy.items import MAX_ITEMS, TASKS, Frame, comparison_error, malformed, too_large
from bmfgraph.system.files import file_error
from bmfgraph.system.untrusted import open_regular

__all__ = ["Table", "read"]

_MAX_BYTES = 512 << 20
"""Largest file that is read."""
_MAX_LINE = 16 << 20
"""Characters of the longest line."""
_MAX_DOCUMENT = 64 << 20
"""Largest file that is read as one JSON document: Python needs about 20 times as much memory for it."""
_MAX_PER_FRAME = 5_000
"""Items of one frame: a comparison makes a table of all pairs."""
_FIRST_KEY = re.compile(r'\s*\{\s*"(\w+)"')


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
        path: CSV if the name ends in ``.csv``, else JSON Lines, a JSON array, or a document of COCO's form.
        scored: True for predictions, whose boxes need a score. False for ground truth, whose boxes must have their
            corners in order.

    Raises:
        RunError: The file cannot be read, is too large, or has another form.
    """
    table, numbers, items = Table(path), list[int | None](), 0
    is_csv = path.suffix.lower() == ".csv"
    try:
        with io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="") as file:
            for number, frame in csv_frames(_lines(file, path), path) if is_csv else _json_frames(file, path):
                where = f"{str(path)!r}, line {number}"
                if frame.pts in table.frames and not is_csv:
                    raise comparison_error(f"{where}: a second line for the frame at {frame.pts:g} s")
                items += 1 + _check(frame, where, scored)
                if items > MAX_ITEMS:
                    raise too_large(f"{where}: more than {MAX_ITEMS:,} frames and items")
                table.tasks.update(frame.tasks)
                table.frames[frame.pts] = frame
                numbers.append(frame.frame)
    except OSError as error:
        raise comparison_error(file_error(path, "read", error)) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise comparison_error(f"{str(path)!r} is not a readable text file ({error})") from None
    table.whole = not is_csv and numbers == list(range(len(numbers))) != []
    return table


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    """Read lines up to the largest size of a file."""
    total = 0
    while line := file.readline(_MAX_LINE + 1):
        total += len(line)
        if len(line) > _MAX_LINE:
            raise too_large(f"{str(path)!r} has a line of more than {_MAX_LINE:,} characters")
        if total > _MAX_BYTES:
            raise too_large(f"{str(path)!r} is larger than {_MAX_BYTES:,} bytes")
        yield line


def _json_frames(file: TextIO, path: Path) -> Iterator[tuple[int, Frame]]:
    """Read the lines of JSON Lines, or the frames of a JSON document, with their numbers."""
    head = file.read(4096)
    file.seek(0)
    key = _FIRST_KEY.match(head)
    if key and key[1] in KEYS:
        yield from coco_frames(_document(file, path), path)
        return
    lines: Iterable[Any] = _document(file, path) if head.lstrip().startswith("[") else _lines(file, path)
    for number, line in enumerate(lines, 1):
        try:
            if not isinstance(line, str):
                yield number, Frame.model_validate(line)
            elif line.strip():
                yield number, Frame.model_validate_json(line)
        except ValidationError as error:
            raise malformed(path, number, error) from None


def _document(file: TextIO, path: Path) -> Any:
    text = file.read(_MAX_DOCUMENT + 1)
    if len(text) > _MAX_DOCUMENT:
        raise comparison_error(
            f"{str(path)!r} is a JSON document of more than {_MAX_DOCUMENT:,} characters", hint="use JSON Lines"
        )
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise comparison_error(f"{str(path)!r} is not a JSON document ({error})") from None


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
