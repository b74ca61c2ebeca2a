"""What the stages hand to each other at run time."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch

from bmfgraph.plan.types import Matrix

__all__ = ["Box", "Detections", "Frame", "Sample"]


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame on its way: ``index`` counts from 0 in presentation order, ``video`` is BMF's VideoFrame."""

    index: int
    video: Any
    """Where there is a ``picture``, this has the frame's time and properties only."""
    matrix: Matrix = "bt709"
    """YUV matrix that an encoder shall write the picture with."""
    image: torch.Tensor | None = None
    """The picture where it lies on the GPU: uint8 RGB [height, width, 3], read only."""

    @property
    def time(self) -> Fraction:
        """Presentation time in seconds."""
        base = self.video.time_base
        return Fraction(self.video.pts * base.num, base.den) if base.den > 0 else Fraction(0)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        if self.image is not None:
            return self.image.shape[1], self.image.shape[0]
        return self.video.width, self.video.height

    def pixels(self) -> torch.Tensor:
        """The picture of an RGB24 frame, uint8 [height, width, 3], without a copy, wherever it lies.

        Read only: a decoder's frame is referred to by the frames decoded after it.
        """
        if self.image is not None:
            return self.image
        return torch.from_numpy(self.video.frame().plane(0).numpy())


@dataclass(frozen=True, slots=True)
class Sample:
    """Tensors by name, and the frames that they answer for, in order."""

    tensors: dict[str, torch.Tensor]
    frames: tuple[Frame, ...]

    @property
    def index(self) -> int:
        """Index of the first frame."""
        return self.frames[0].index


@dataclass(frozen=True, slots=True)
class Box:
    """One found object: corners in source pixels, y downwards, score in 0..1."""

    label: str
    score: float
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Detections:
    """All boxes of one frame, best first."""

    frame: Frame
    boxes: tuple[Box, ...]

    @property
    def index(self) -> int:
        """Index of the frame."""
        return self.frame.index
