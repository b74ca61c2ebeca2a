"""Compare the results of a model with the predictions of its origin, such as the PyTorch code behind its export.

Both are records, as the ``records`` node writes them: a mapping for each frame, with ``detections``, ``classes`` or
``texts``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bmfgraph import error_codes as codes
from bmfgraph.errors import ConfigError
from bmfgraph.system.files import file_error
from bmfgraph.system.untrusted import read_bounded

__all__ = ["Parity", "Record", "compare_records", "read_records"]

_LIMIT = 64 << 20
"""Bytes of the largest file of predictions."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class _Detection(_Part):
    label: str
    score: float
    box: tuple[float, float, float, float]


class _Class(_Part):
    label: str
    score: float


class _Text(_Part):
    text: str


class Record(_Part):
    """The results of one frame; None: not of that sort."""

    frame: int = 0
    detections: tuple[_Detection, ...] | None = None
    classes: tuple[_Class, ...] | None = None
    texts: tuple[_Text, ...] | None = None


@dataclass
class Parity:
    """How far two sets of results are apart."""

    frames: int = 0
    matched: int = 0
    """Boxes, classes or texts that both have."""
    least_iou: float | None = None
    """Of the matched boxes; None without any."""
    score_difference: float = 0.0
    """Greatest difference between the scores of matched boxes or classes."""
    missing: list[str] = field(default_factory=list)
    """What only the origin has."""
    extra: list[str] = field(default_factory=list)
    """What the origin does not have."""
    wrong: list[str] = field(default_factory=list)
    """Frames whose classes come in another order, or whose texts differ."""

    def within(self, iou: float, score: float) -> bool:
        """Return whether the two agree.

        Args:
            iou: Least overlap of matched boxes.
            score: Greatest difference of scores.
        """
        overlaps = self.least_iou is None or self.least_iou >= iou
        return overlaps and self.score_difference <= score and not (self.missing or self.extra or self.wrong)


def read_records(path: Path) -> dict[int, Record]:
    """Read predictions: JSON Lines with a record for each frame, or a plain JSON list of the detections of one picture.

    Returns:
        The records by the number of their frame.

    Raises:
        ConfigError: The file cannot be read, or has another form.
    """
    try:
        text = read_bounded(path, _LIMIT).decode("utf-8-sig").strip()
    except OSError as error:
        raise _refusal(file_error(path, "read", error)) from None
    except UnicodeDecodeError:
        raise _refusal(f"{str(path)!r} is not UTF-8") from None
    records: dict[int, Record] = {}
    for number, content in _contents(path, text):
        try:
            record = Record.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise _refusal(f"{str(path)!r}, line {number}: {where or 'it'}: {first['msg']}") from None
        if record.detections is None and record.classes is None and record.texts is None:
            raise _refusal(f"{str(path)!r}, line {number} has neither detections nor classes nor texts")
        if record.frame in records:
            raise _refusal(f"{str(path)!r}, line {number}: a second line for frame {record.frame}")
        records[record.frame] = record
    if not records:
        raise _refusal(f"{str(path)!r} is empty")
    return records


def _contents(path: Path, text: str) -> list[tuple[int, Any]]:
    """Return the content of each line with its number."""
    try:
        if text.startswith("["):
            items = json.loads(text)
            if all(isinstance(item, dict) and "box" in item for item in items):
                return [(1, {"detections": items})]
            return list(enumerate(items, 1))
        return [(number, json.loads(line)) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    except (ValueError, RecursionError) as error:
        raise _refusal(f"{str(path)!r} is not JSON Lines ({error})") from None


def compare_records(
    own: Mapping[int, Record],
    origin: Mapping[int, Record],
    *,
    threshold: Callable[[str], float] = lambda label: 0.0,
    tolerance: float = 0.0,
) -> Parity:
    """Compare the frames that the origin's predictions have.

    Boxes are matched in the order of the origin's scores, each with the free box of its label that overlaps most.
    Classes are matched by label. A box below the threshold of its label, or by no more than ``tolerance`` above it, may
    be missing or extra.

    Args:
        own: The results to judge, by frame.
        origin: The predictions that they should equal, by frame.
        threshold: The least score of each label.
        tolerance: Difference of scores that counts as equal.

    Raises:
        ConfigError: A frame is missing, or its results are of another sort.
    """
    parity = Parity()
    for number, wanted in sorted(origin.items()):
        result = own.get(number)
        if result is None:
            raise _refusal(f"the predictions have a frame {number}, and the input has {len(own)} frame(s)")
        parity.frames += 1
        if wanted.detections is not None and result.detections is not None:
            _compare_boxes(
                parity,
                number,
                result.detections,
                wanted.detections,
                lambda box: box.score > threshold(box.label) + tolerance,
            )
        elif wanted.classes is not None and result.classes is not None:
            _compare_classes(parity, number, result.classes, wanted.classes)
        elif wanted.texts is not None and result.texts is not None:
            _compare_texts(parity, number, result.texts, wanted.texts)
        else:
            has, gives = (", ".join(sorted(part.model_fields_set - {"frame"})) for part in (wanted, result))
            raise _refusal(f"the predictions of frame {number} have {has}, and the model gives {gives or 'no records'}")
    return parity


def _compare_boxes(
    parity: Parity,
    frame: int,
    own: Sequence[_Detection],
    origin: Sequence[_Detection],
    counts: Callable[[_Detection], bool],
) -> None:
    free = list(own)
    for wanted in sorted(origin, key=lambda box: -box.score):
        candidates = [(_overlap(box.box, wanted.box), box) for box in free if box.label == wanted.label]
        overlap, best = max(candidates, key=lambda pair: pair[0], default=(0.0, None))
        if best is None or overlap == 0:
            if counts(wanted):
                parity.missing.append(_box_text(frame, wanted))
            continue
        free.remove(best)
        parity.matched += 1
        parity.least_iou = overlap if parity.least_iou is None else min(parity.least_iou, overlap)
        parity.score_difference = max(parity.score_difference, abs(best.score - wanted.score))
    parity.extra += [_box_text(frame, box) for box in free if counts(box)]


def _compare_classes(parity: Parity, frame: int, own: Sequence[_Class], origin: Sequence[_Class]) -> None:
    scores = {item.label: item.score for item in own}
    # The origin may list all of its classes, and the model only the best.
    best = sorted(origin, key=lambda item: -item.score)[: max(len(own), 1)]
    for wanted in origin:
        if wanted.label in scores:
            parity.matched += 1
            parity.score_difference = max(parity.score_difference, abs(scores[wanted.label] - wanted.score))
    if [item.label for item in own][: len(best)] != [item.label for item in best]:
        labels = (", ".join(item.label for item in items) or "none" for items in (own, best))
        parity.wrong.append("frame {}: the classes are {}, and the origin's {}".format(frame, *labels))


def _compare_texts(parity: Parity, frame: int, own: Sequence[_Text], origin: Sequence[_Text]) -> None:
    if own == origin:
        parity.matched += len(own)
        return
    texts = (", ".join(repr(item.text) for item in items) or "none" for items in (own, origin))
    parity.wrong.append("frame {}: the text is {}, and the origin's {}".format(frame, *texts))


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the intersection over union of two boxes; 1 for equal ones."""
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if tuple(a) == tuple(b):
        return 1.0
    both = max(across, 0.0) * max(down, 0.0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both) if both else 0.0


def _box_text(frame: int, box: _Detection) -> str:
    corners = ", ".join(f"{value:.1f}" for value in box.box)
    return f"frame {frame}: {box.label} {box.score:.3f} [{corners}]"


def _refusal(message: str) -> ConfigError:
    return ConfigError(
        message,
        path="--against",
        hint='write a line for each frame: {"frame": 0, "detections": [{"label": "cat", "score": 0.9, "box": '
        "[x1, y1, x2, y2]}]}; or classes with label and score, or texts with text",
        code=codes.UNUSABLE_PREDICTIONS,
    )
