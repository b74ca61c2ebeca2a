"""Define the types of the results that nodes read from the outputs of models."""

from __future__ import annotations

from dataclasses import dataclass

from bmfgraph.plan.frame_types import Device, FrameSpec

__all__ = ["ClassesSpec", "DetectionsSpec", "EmbeddingsSpec", "ResultSpec", "SegmentsSpec", "TextsSpec"]

_BOX = ("x1", "y1", "x2", "y2")


@dataclass(frozen=True)
class ResultSpec:
    """A result of each frame that is neither pixels nor a tensor of a model: one subclass for each sort."""

    source: FrameSpec
    """The frames that it describes."""

    noun = "results"
    """The result in messages, in the plural."""

    def __str__(self) -> str:
        return f"{self.noun} of {self.source.width}x{self.source.height}"

    def columns(self) -> tuple[str, ...]:
        """Return the names of its values in a table of records, where a row holds a single one of its objects."""
        return ()


@dataclass(frozen=True)
class DetectionsSpec(ResultSpec):
    """Labelled boxes of each frame, in source pixels: x1, y1, x2, y2 with y downwards."""

    labels: tuple[str, ...] = ()
    masks: bool = False
    """Whether each box comes with the pixels of its object."""
    rotated: bool = False
    """Whether each box comes with an angle."""
    keypoints: tuple[str, ...] = ()
    """Names of the points of each object."""
    skeleton: tuple[tuple[int, int], ...] = ()
    """Pairs of points that are joined by a line, by their numbers."""

    noun = "detections"

    def __str__(self) -> str:
        parts = [(self.masks, "masks"), (self.rotated, "angles"), (self.keypoints, f"{len(self.keypoints)} keypoints")]
        more = ", ".join(text for present, text in parts if present)
        labels = "/".join(self.labels) if len(self.labels) < 6 else f"{len(self.labels)} labels"
        return f"detections of {labels}{more and f' with {more}'} in {self.source.width}x{self.source.height}"

    def columns(self) -> tuple[str, ...]:
        points = [f"{name}_{part}" for name in self.keypoints for part in ("x", "y", "score")]
        more = [name for name, present in (("angle", self.rotated), ("mask", self.masks)) if present]
        return ("label", "score", *_BOX, *more, *points)


@dataclass(frozen=True)
class ClassesSpec(ResultSpec):
    """The best classes of each frame."""

    labels: tuple[str, ...] = ()

    noun = "classes"

    def columns(self) -> tuple[str, ...]:
        return ("label", "score")


@dataclass(frozen=True)
class SegmentsSpec(ResultSpec):
    """The class of each pixel: a map of class numbers that covers the whole source frame."""

    labels: tuple[str, ...] = ()
    width: int = 0
    """Of the map; it may be smaller than the frame."""
    height: int = 0
    background: int = -1
    """Number of the class that is not drawn; -1: none."""
    device: Device = "cpu"

    noun = "label maps"

    def columns(self) -> tuple[str, ...]:
        return ("label", "pixels", "mask")


@dataclass(frozen=True)
class TextsSpec(ResultSpec):
    """The text that was read in each frame."""

    noun = "texts"

    def columns(self) -> tuple[str, ...]:
        return ("text", "score", *_BOX)


@dataclass(frozen=True)
class EmbeddingsSpec(ResultSpec):
    """A vector that describes each frame."""

    size: int = 0

    noun = "embeddings"

    def columns(self) -> tuple[str, ...]:
        return tuple(f"value_{place}" for place in range(self.size))
