"""Define the results that stages read from the outputs of models, as arrays for each frame.

All arrays are on the CPU on every device, except those of :class:`Segments`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bmfgraph.media.rle import encode
from bmfgraph.plan.types import Placement
from bmfgraph.stages.items import Frame, Result

__all__ = ["Box", "Classes", "Detections", "Embedding", "Masks", "Segments", "Texts", "rounded"]


@dataclass(frozen=True, slots=True)
class Box:
    """One detected object.

    Attributes:
        label: Name of the object's class.
        score: Confidence in 0..1.
        x1: Left edge, in pixels of the source frame.
        y1: Top edge; y grows downwards.
        x2: Right edge.
        y2: Bottom edge.
        angle: Radians by which the box is turned about its centre, clockwise on the screen.
        keypoints: x, y and score of each point.
    """

    label: str
    score: float
    x1: float
    y1: float
    x2: float
    y2: float
    angle: float = 0.0
    keypoints: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Masks:
    """The pixels of each object, as values on a grid that is coarser than the frame.

    Attributes:
        values: A pixel belongs to the object where its interpolated value is above ``threshold``; float32
            [n, rows, columns]. With ``weights``: the planes that the values are mixed of, [planes, rows, columns].
        threshold: Least value: of a logit where the model gives logits, so 0 for a probability of 0.5.
        placement: Position of the source frame in the grid.
        by_box: Whether the grid covers the box of its object instead; only the size of the source frame is then read.
        weights: Share of each plane in the values of each object, float32 [n, planes]; None: values of its own. They
            are mixed when a mask is read, and inside its box only.
    """

    values: NDArray[np.float32]
    threshold: float
    placement: Placement
    by_box: bool = False
    weights: NDArray[np.float32] | None = None

    def select(self, numbers: NDArray[Any]) -> Masks:
        """Return the masks of some objects, by their positions, or by which ones."""
        if self.weights is not None:
            return replace(self, weights=self.weights[numbers])
        return replace(self, values=self.values[numbers])

    def patch(self, number: int, corners: NDArray[np.float32]) -> tuple[int, int, NDArray[np.bool_]]:
        """Return the pixels of an object inside its box, by bilinear interpolation.

        Args:
            number: The object.
            corners: Its box in pixels of the source frame, float32 [4].

        Returns:
            Column and row of the patch in the source frame, and its pixels, bool [height, width].
        """
        place = self.placement
        limits = (place.source_width, place.source_height) * 2
        left, top, right, bottom = (
            int(min(max(value, 0), limit))
            for value, limit in zip(
                (*np.floor(corners[:2]).tolist(), *np.ceil(corners[2:]).tolist()), limits, strict=True
            )
        )
        shape = self.values.shape[1:]
        scale_x, scale_y, offset_x, offset_y = place.scale_x, place.scale_y, place.left, place.top
        if self.by_box:
            scale_y, scale_x = np.array(shape) / np.maximum(corners[2:] - corners[:2], 1e-6)[::-1]
            offset_x, offset_y = -corners[0] * scale_x, -corners[1] * scale_y
        rows, down = _weights(top, bottom, scale_y, offset_y, shape[0])
        columns, across = _weights(left, right, scale_x, offset_x, shape[1])
        if self.weights is None:
            grid = self.values[number, rows, columns]
        else:
            grid = np.tensordot(self.weights[number], self.values[:, rows, columns], 1)
        return left, top, down @ grid @ across.T > self.threshold

    def whole(self, number: int, corners: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return the pixels of an object as a picture of the whole source frame, bool [height, width]."""
        left, top, patch = self.patch(number, corners)
        picture = np.zeros((self.placement.source_height, self.placement.source_width), np.bool_)
        picture[top : top + patch.shape[0], left : left + patch.shape[1]] = patch
        return picture


def _weights(start: int, end: int, scale: float, offset: float, size: int) -> tuple[slice, NDArray[np.float32]]:
    """Return the grid lines around the pixels from ``start`` to ``end``, and their weights, float32 [pixels, lines]."""
    places = np.clip((np.arange(start, end) + 0.5) * scale + offset - 0.5, 0, size - 1)
    lines = slice(int(places[0]), int(places[-1]) + 2) if len(places) else slice(0)
    numbers = np.arange(size)[lines]
    weights: NDArray[np.float32] = np.maximum(0, 1 - np.abs(places[:, None] - numbers)).astype(np.float32)
    return lines, weights


def rounded(values: NDArray[np.float32], decimals: int) -> list[Any]:
    """Return float32 values as Python's ``round`` gives them, at a fifteenth of its time.

    Their products with a power of ten are exact as float64, so both round the same number.
    """
    rounded: list[Any] = values.astype(np.float64).round(decimals).tolist()
    return rounded


@dataclass(frozen=True, slots=True)
class Detections(Result):
    """All objects that were detected in one frame, as arrays by falling score.

    Attributes:
        corners: Left, top, right and bottom edge of each object, in pixels of the source frame, float32 [n, 4]. For
            rotated boxes: before the turn about the centre.
        scores: Confidence of each object in 0..1, float32 [n].
        classes: Number of each object's class, int64 [n].
        names: Name of each class.
        ids: Number of each object that stays the same from frame to frame, int64 [n].
        angles: Radians by which each box is turned about its centre, clockwise on the screen, float32 [n].
        keypoints: x and y in pixels of the source frame, and score, of each point, float32 [n, points, 3].
        masks: The pixels of each object.
        embeddings: A vector of each object, float32 [n, size].
        attributes: Further values of each object by name, each an array [n, ...].
    """

    corners: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    names: tuple[str, ...]
    ids: NDArray[np.int64] | None = None
    angles: NDArray[np.float32] | None = None
    keypoints: NDArray[np.float32] | None = None
    masks: Masks | None = None
    embeddings: NDArray[np.float32] | None = None
    attributes: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, frame: Frame, *boxes: Box) -> Detections:
        """Return the detections that consist of these boxes."""
        names = tuple(dict.fromkeys(box.label for box in boxes))
        corners = np.array([(box.x1, box.y1, box.x2, box.y2) for box in boxes], np.float32).reshape(-1, 4)
        scores = np.array([box.score for box in boxes], np.float32)
        classes = np.array([names.index(box.label) for box in boxes], np.int64)
        points = [box.keypoints for box in boxes]
        return cls(
            frame,
            corners,
            scores,
            classes,
            names,
            angles=np.array([box.angle for box in boxes], np.float32) if any(box.angle for box in boxes) else None,
            keypoints=np.array(points, np.float32) if any(points) else None,
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each object's class."""
        return tuple(self.names[number] for number in self.classes.tolist())

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The objects one by one, which takes longer than the arrays."""
        count = len(self.scores)
        angles = self.angles.tolist() if self.angles is not None else [0.0] * count
        points = self.keypoints.tolist() if self.keypoints is not None else [[]] * count
        rows = zip(self.labels, self.scores.tolist(), self.corners.tolist(), angles, points, strict=True)
        return tuple(
            Box(label, score, x1, y1, x2, y2, angle, tuple(map(tuple, keypoints)))
            for label, score, (x1, y1, x2, y2), angle, keypoints in rows
        )

    def select(self, numbers: NDArray[Any]) -> Detections:
        """Return some of the objects.

        Args:
            numbers: Their positions, int64 [m], or which ones, bool [n].
        """
        arrays = ("corners", "scores", "classes", "ids", "angles", "keypoints", "embeddings")
        chosen: dict[str, Any] = {name: array[numbers] for name in arrays if (array := getattr(self, name)) is not None}
        if self.masks is not None:
            chosen["masks"] = self.masks.select(numbers)
        chosen["attributes"] = {name: array[numbers] for name, array in self.attributes.items()}
        return replace(self, **chosen)

    def record(self) -> dict[str, Any]:
        return self.record_with(rounded(self.scores, 4), rounded(self.corners, 2))

    def record_with(self, scores: list[float], boxes: list[list[float]]) -> dict[str, Any]:
        """Return the record for rounded scores and corners."""
        columns: dict[str, Sequence[Any]] = {} if self.ids is None else {"id": self.ids.tolist()}
        columns |= {"label": self.labels, "score": scores, "box": boxes}
        if self.angles is not None:
            columns["angle"] = rounded(self.angles, 4)
        if self.keypoints is not None:
            places, certain = rounded(self.keypoints[..., :2], 2), rounded(self.keypoints[..., 2], 4)
            columns["keypoints"] = [
                [[*place, score] for place, score in zip(*points, strict=True)]
                for points in zip(places, certain, strict=True)
            ]
        if self.masks is not None:
            whole = (self.masks.whole(number, corners) for number, corners in enumerate(self.corners))
            columns["mask"] = [encode(mask) for mask in whole]
        if self.embeddings is not None:
            columns["embedding"] = self.embeddings.tolist()
        columns |= {name: array.tolist() for name, array in self.attributes.items()}
        rows = zip(*columns.values(), strict=True)
        return {"detections": [dict(zip(columns, row, strict=True)) for row in rows]}

    def quads(self) -> NDArray[np.float32]:
        """Return the four corner points of each box, clockwise from the top left one before the turn.

        Returns:
            float32 [n, 4, 2], in pixels of the source frame.
        """
        centre = (self.corners[:, None, :2] + self.corners[:, None, 2:]) / 2
        half = (self.corners[:, None, 2:] - self.corners[:, None, :2]) / 2
        points = half * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32)
        if self.angles is not None:
            cosine, sine = np.cos(self.angles)[:, None], np.sin(self.angles)[:, None]
            x, y = points[..., 0], points[..., 1]
            points = np.stack([x * cosine - y * sine, x * sine + y * cosine], axis=2)
        return (centre + points).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Classes(Result):
    """The best classes of one frame, by falling score.

    Attributes:
        scores: float32 [n], in 0..1.
        classes: Numbers of the classes, int64 [n].
        names: Name of each class of the model.
    """

    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    names: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(self.names[number] for number in self.classes.tolist())

    def record(self) -> dict[str, Any]:
        rows = zip(self.labels, self.scores.tolist(), strict=True)
        return {"classes": [{"label": label, "score": round(score, 4)} for label, score in rows]}


@dataclass(frozen=True, slots=True)
class Segments(Result):
    """The class of each pixel of one frame.

    Attributes:
        classes: Numbers of the classes, uint8 [height, width], on the stage's device. The map covers the whole frame,
            and may be smaller than it. 255 stands for no class.
        names: Name of each class.
    """

    classes: torch.Tensor
    names: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        classes = self.classes.cpu().numpy()
        present = [number for number in np.unique(classes).tolist() if number < len(self.names)]
        return {
            "segments": [
                {"label": self.names[number], "pixels": int(mask.sum()), "mask": encode(mask)}
                for number, mask in ((number, classes == number) for number in present)
            ]
        }


@dataclass(frozen=True, slots=True)
class Texts(Result):
    """The texts that were read in one frame.

    Attributes:
        texts: The texts.
        scores: Mean score of the characters of each text, float32 [n].
        corners: The box of each text in pixels of the source frame, float32 [n, 4].
    """

    texts: tuple[str, ...]
    scores: NDArray[np.float32]
    corners: NDArray[np.float32]

    def record(self) -> dict[str, Any]:
        rows = zip(self.texts, self.scores.tolist(), self.corners.tolist(), strict=True)
        return {
            "texts": [
                {"text": text, "score": round(score, 4), "box": [round(value, 2) for value in box]}
                for text, score, box in rows
            ]
        }


@dataclass(frozen=True, slots=True)
class Embedding(Result):
    """The vector that describes one frame.

    Attributes:
        values: float32 [size].
    """

    values: NDArray[np.float32]

    def record(self) -> dict[str, Any]:
        return {"embedding": self.values.tolist()}
