"""Define the items that stages pass to each other.

Every node of a pipeline runs one stage (:mod:`bmfgraph.stages.base`). A stage takes items from its inputs and returns
items. All items of a stream come in the order of their frames.

Rules for the memory of all items:

* Read only. A decoder's frame is a reference of the frames decoded after it, and several consumers can share one item.
  Copy before you change pixels or tensors, or fill a new frame from :func:`bmfgraph.stages.bmf_frames.new_frame`.
* Valid as long as the item, or a tensor of it, is referenced. A stage may hold items back for later frames; each one
  held keeps its memory.
* On the GPU, tensors are ready for work on the current stream of the stage's thread, and only for that. The CPU may
  read them only after a wait, so use :class:`bmfgraph.stages.cuda.AsyncDownload`. For work on a stream of your own,
  call ``wait_stream`` before and ``tensor.record_stream`` after, as torch demands.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bmfgraph.plan.types import Matrix

__all__ = ["Box", "Detections", "Frame", "Sample"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One video frame.

    Attributes:
        index: Number of the frame in presentation order, from 0. Every item made of this frame keeps it.
        video: BMF's VideoFrame: pixels (on the CPU), pts, time base, and colour properties. Where ``image`` is set,
            only its time and properties count.
        matrix: YUV matrix that an encoder writes the image with.
        image: Pixels of a frame on the GPU, uint8 RGB [height, width, 3], 0..255; None for a frame on the CPU.
    """

    index: int
    video: Any
    matrix: Matrix = "bt709"
    image: torch.Tensor | None = None

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
        """Return the pixels of an RGB frame without a copy, on the device where they are.

        Returns:
            uint8 RGB [height, width, 3], 0..255, not always contiguous, read only.
        """
        if self.image is not None:
            return self.image
        return torch.from_numpy(self.video.frame().plane(0).numpy())


@dataclass(frozen=True, slots=True)
class Sample:
    """Input or output tensors of a model.

    Attributes:
        tensors: Tensors by name. Their first dimension is a batch of 1; shape, dtype, layout, channel order and value
            range are those of the edge's TensorSpec in the plan. All of them are on the stage's device.
        frames: Frames that the sample stands for, in order, at least one. A window of several frames stands only for
            those that the model's output replaces.
    """

    tensors: dict[str, torch.Tensor]
    frames: tuple[Frame, ...]

    @property
    def index(self) -> int:
        """Index of the first frame."""
        return self.frames[0].index


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
    """

    label: str
    score: float
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Detections:
    """All objects that were detected in one frame, as arrays by falling score; on the CPU on every device.

    Attributes:
        frame: The frame.
        corners: Left, top, right and bottom edge of each object, in pixels of the source frame, float32 [n, 4].
        scores: Confidence of each object in 0..1, float32 [n].
        classes: Number of each object's class, int64 [n].
        names: Name of each class.
    """

    frame: Frame
    corners: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    names: tuple[str, ...]

    @classmethod
    def of(cls, frame: Frame, *boxes: Box) -> Detections:
        """Return the detections that consist of these boxes."""
        names = tuple(dict.fromkeys(box.label for box in boxes))
        corners = np.array([(box.x1, box.y1, box.x2, box.y2) for box in boxes], np.float32).reshape(-1, 4)
        scores = np.array([box.score for box in boxes], np.float32)
        return cls(frame, corners, scores, np.array([names.index(box.label) for box in boxes], np.int64), names)

    @property
    def index(self) -> int:
        """Index of the frame."""
        return self.frame.index

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each object's class."""
        return tuple(self.names[number] for number in self.classes.tolist())

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The objects one by one, which takes longer than the arrays."""
        rows = zip(self.labels, self.scores.tolist(), self.corners.tolist(), strict=True)
        return tuple(Box(label, score, *corners) for label, score, corners in rows)
