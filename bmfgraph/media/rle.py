"""Encode and decode masks as COCO's compressed run lengths.

A mask is written as ``{"size": [height, width], "counts": "..."}``. The counts are the lengths of runs of equal pixels,
column by column from the top left, and the first run is background. From the fourth on, a count is written as its
difference from the count two before it. Each number takes one or more characters of 6 bits, least significant first:
5 bits of a number in two's complement, and a bit that says whether more follow; 48 is added to make them printable.

Source: ``rleToString`` and ``rleFrString`` in ``common/maskApi.c`` of https://github.com/cocodataset/cocoapi.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_PIXELS", "Runs", "area", "decode", "encode", "iou", "read"]

MAX_PIXELS = 1 << 26
"""Pixels of the largest mask that is read: 8192 x 8192."""
_MAX_TEXT = 1 << 22
"""Characters of the longest counts that are read."""
_MAX_CHARACTERS = 6
"""Characters of the longest number: 30 bits hold every count of such a mask, and every difference of two."""

Integers = NDArray[np.int64]
"""int64, one dimension."""


@dataclass(frozen=True, eq=False)
class Runs:
    """The foreground of a mask, as runs of pixels in the order of its columns."""

    size: tuple[int, int]
    """Height and width in pixels."""
    starts: Integers
    """Index of the first pixel of each run, [n]."""
    stops: Integers
    """Index of the pixel after each run, [n]."""

    @property
    def area(self) -> int:
        """The number of foreground pixels."""
        return int((self.stops - self.starts).sum())


def encode(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Encode a mask.

    Args:
        mask: bool [height, width], with at least one pixel.

    Returns:
        ``size``, [height, width], and ``counts``, ASCII text.

    Example:
        >>> encode(np.array([[False, True], [False, True]]))
        {'size': [2, 2], 'counts': '22'}
    """
    pixels = np.asarray(mask, bool).ravel(order="F")
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    first = [0, 0] if pixels[0] else [0]
    return {"size": list(mask.shape), "counts": _text(np.diff(np.concatenate((first, edges, [pixels.size]))))}


def decode(rle: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Decode a mask.

    Args:
        rle: ``size`` and ``counts``, as :func:`encode` returns them.

    Returns:
        The mask, bool [height, width].

    Raises:
        ValueError: As :func:`read`.
    """
    runs = read(rle)
    height, width = runs.size
    steps = np.zeros(height * width + 1, np.int8)
    # Runs of no pixels may start and stop at the same index.
    np.add.at(steps, runs.starts, 1)
    np.add.at(steps, runs.stops, -1)
    return steps[:-1].cumsum(dtype=np.int8).astype(bool).reshape((height, width), order="F")


def read(rle: Mapping[str, Any]) -> Runs:
    """Read the runs of a mask, without making its pixels.

    Args:
        rle: ``size`` and ``counts``, as :func:`encode` returns them.

    Raises:
        ValueError: The mask has no pixels or more than ``MAX_PIXELS``, or its counts are not text of this format, are
            too long, or do not add up to its size.
    """
    size, counts = rle.get("size"), rle.get("counts")
    if not isinstance(size, list | tuple) or len(size) != 2 or any(type(side) is not int or side < 1 for side in size):
        raise ValueError("the size of a mask must be two whole numbers above 0, its height and width")
    height, width = size
    if height * width > MAX_PIXELS:
        raise ValueError(f"a mask of {height} x {width} pixels is too large; at most {MAX_PIXELS:,} pixels are read")
    if not isinstance(counts, str):
        raise ValueError("the counts of a mask must be text, COCO's compressed run lengths")
    if len(counts) > _MAX_TEXT:
        raise ValueError(f"the counts of a mask have {len(counts):,} characters; at most {_MAX_TEXT:,} are read")
    lengths = _numbers(counts)
    if not len(lengths) or lengths.min() < 0 or lengths.max() > height * width or lengths.sum() != height * width:
        raise ValueError(f"the counts of a mask do not add up to its size, {height} x {width} pixels")
    ends = lengths.cumsum()
    stops = ends[1::2]
    return Runs((height, width), ends[:-1:2][: len(stops)], stops)


def area(rle: Mapping[str, Any]) -> int:
    """Return the number of foreground pixels of a mask.

    Raises:
        ValueError: As :func:`read`.
    """
    return read(rle).area


def iou(masks: Sequence[Runs], others: Sequence[Runs]) -> NDArray[np.float64]:
    """Return the intersection over union of each mask with each of the others.

    Args:
        masks: n masks.
        others: m masks of the same size.

    Returns:
        float64 [n, m]; 1 for two masks without foreground.
    """
    overlaps = np.zeros((len(masks), len(others)))
    lengths = [len(mask.starts) for mask in masks]
    rows = np.repeat(np.arange(len(masks)), lengths)
    starts = np.concatenate([mask.starts for mask in masks]) if masks else np.empty(0, np.int64)
    stops = np.concatenate([mask.stops for mask in masks]) if masks else np.empty(0, np.int64)
    areas = np.array([mask.area for mask in masks], np.float64)
    for column, other in enumerate(others):
        covered = _foreground_before(other, stops) - _foreground_before(other, starts)
        intersection = np.bincount(rows, covered, len(masks))
        union = areas + other.area - intersection
        np.divide(intersection, union, out=overlaps[:, column], where=union > 0)
        overlaps[union == 0, column] = 1
    return overlaps


def _foreground_before(mask: Runs, positions: Integers) -> Integers:
    """Return the number of foreground pixels of a mask before each of some indices."""
    if not len(mask.starts):
        return np.zeros_like(positions)
    sums = np.concatenate(([0], (mask.stops - mask.starts).cumsum()))
    # The run in which a position lies, or the last one before it.
    run = np.searchsorted(mask.starts, positions, side="right") - 1
    inside = np.minimum(positions, mask.stops[run]) - mask.starts[run]
    return np.where(run < 0, 0, sums[run] + inside)


def _text(counts: Integers) -> str:
    """Write counts, int64 [n], as characters."""
    values = counts.copy()
    values[3:] -= counts[1:-2]
    columns = []
    for _ in range(_MAX_CHARACTERS):
        bits, values = values & 0x1F, values >> 5
        # The number ends where the bits that are left repeat the sign.
        more = np.where(bits & 0x10, values != -1, values != 0)
        columns.append(np.where(more, bits | 0x20, bits) + 48)
        if not more.any():
            break
    else:
        raise ValueError(f"a mask has more than {MAX_PIXELS:,} pixels")
    characters = np.stack(columns, axis=1)
    # A number goes on as long as all of its characters so far have the bit for more.
    going = np.cumprod((characters - 48) >> 5, axis=1)
    used = np.concatenate((np.ones((len(counts), 1), bool), going[:, :-1].astype(bool)), axis=1)
    return bytes(characters[used].astype(np.uint8)).decode("ascii")


def _numbers(text: str) -> Integers:
    """Read counts, int64 [n], from characters.

    Raises:
        ValueError: A character is not of the format, or a number is too long.
    """
    try:
        characters = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        raise ValueError("the counts of a mask have a character that is not of COCO's run lengths") from None
    if len(characters) and (characters.min() < 0 or characters.max() > 63):
        raise ValueError("the counts of a mask have a character that is not of COCO's run lengths")
    ends = np.flatnonzero(characters < 0x20)
    starts = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends
    lengths = ends - starts + 1
    if int(lengths.sum()) != len(characters) or (lengths > _MAX_CHARACTERS).any():
        raise ValueError("the counts of a mask end within a number, or have a number that is too large")
    if not len(ends):
        return ends
    place = 5 * (np.arange(len(characters)) - np.repeat(starts, lengths))
    values = np.add.reduceat((characters & 0x1F) << place, starts)
    values -= np.where(characters[ends] & 0x10, np.int64(1) << (5 * lengths), 0)
    # Undo the differences: the counts of each parity add up, from the second and third count on.
    values[1::2] = values[1::2].cumsum()
    values[2::2] = values[2::2].cumsum()
    return values
