"""Define what a frame of a file of records holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bmfgraph import error_codes as codes
from bmfgraph.errors import RunError
from bmfgraph.media import rle

__all__ = [
    "MAX_ITEMS",
    "TASKS",
    "Box",
    "Class",
    "Coordinate",
    "Frame",
    "Mask",
    "Segment",
    "Text",
    "comparison_error",
    "malformed",
    "too_large",
]

TASKS = ("detections", "classes", "segments", "texts")
"""The keys of a record that are compared."""
MAX_ITEMS = 2_000_000
"""Frames and items of the largest file; each takes up to 1 kB of memory."""
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


def comparison_error(text: str, hint: str = "use labels in a format that the records node writes") -> RunError:
    """Return the error of two files that cannot be compared."""
    return RunError("reference", "accuracy", text, hint=hint, code=codes.COMPARISON_FAILURE, path="reference")


def too_large(text: str) -> RunError:
    """Return the error of a file that takes too much memory."""
    return comparison_error(text, hint="compare a part of the clip")


def malformed(path: Path, line: int | None, error: ValidationError) -> RunError:
    """Return the error of a line, or of a whole document, that does not have the form of records."""
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    where = f"{str(path)!r}{f', line {line}' if line else ''}"
    return comparison_error(f"{where}: {key + ': ' if key else ''}{first['msg'].removeprefix('Value error, ')}")
