"""Read records from a document of COCO's form."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bmfgraph.media.accuracy.items import Box, Coordinate, Frame, Mask, comparison_error, malformed

__all__ = ["KEYS", "coco_frames"]

KEYS = ("annotations", "images", "categories", "info", "licenses")
"""The keys of such a document. A record has none of them."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class _Image(_Part):
    id: int
    pts: float
    """Seconds; COCO's own documents are about pictures, and lack it."""
    frame: int | None = None


class _Category(_Part):
    id: int
    name: str


class _Annotation(_Part):
    image_id: int
    category_id: int
    bbox: tuple[Coordinate, Coordinate, Coordinate, Coordinate]
    score: float | None = None
    iscrowd: Literal[0] = 0
    segmentation: Mask | None = None
    keypoints: tuple[Coordinate, ...] = ()


class _Document(_Part):
    images: tuple[_Image, ...]
    annotations: tuple[_Annotation, ...]
    categories: tuple[_Category, ...]


def coco_frames(document: Any, path: Path) -> Iterator[tuple[int, Frame]]:
    """Yield the images of a document as frames, with their numbers from 1.

    Source: https://cocodataset.org/#format-data. Masks must be compressed run lengths, and crowds are refused.

    Args:
        document: The content of the file. Each image needs ``pts``, its time in seconds.
        path: The file, for messages.

    Raises:
        RunError: The document has another form.
    """
    try:
        content = _Document.model_validate(document)
    except ValidationError as error:
        raise malformed(path, None, error) from None
    labels = {category.id: category.name for category in content.categories}
    boxes: dict[int, list[Box]] = {image.id: [] for image in content.images}
    for number, annotation in enumerate(content.annotations):
        objects, label = boxes.get(annotation.image_id), labels.get(annotation.category_id)
        if objects is None or label is None:
            raise comparison_error(f"{str(path)!r}: annotations.{number} has an unknown image or category")
        try:
            objects.append(_box(annotation, label))
        except ValidationError as error:
            raise malformed(path, None, error) from None
    for number, image in enumerate(content.images, 1):
        yield number, Frame(frame=image.frame, pts=image.pts, detections=tuple(boxes[image.id]))


def _box(annotation: _Annotation, label: str) -> Box:
    left, top, width, height = annotation.bbox
    numbers = annotation.keypoints
    return Box.model_validate(
        {
            "label": label,
            "score": annotation.score,
            "box": (left, top, left + width, top + height),
            "keypoints": [numbers[at : at + 3] for at in range(0, len(numbers), 3)],
            "mask": annotation.segmentation,
        }
    )
