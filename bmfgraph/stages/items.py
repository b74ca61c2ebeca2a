"""Define the items that stages pass to each other.

Every node of a pipeline runs one stage (:mod:`bmfgraph.stages.base`). A stage takes items from its inputs and returns
items. All items of a stream come in the order of their frames. Between two nodes, the items of a few consecutive frames
travel together, as a :class:`Batch`.

Rules for the memory of all items:

* Read only. A decoder's frame is a reference of the frames decoded after it, and several consumers can share one item.
  Copy before you change pixels or tensors, or fill a new frame from :func:`bmfgraph.stages.pictures.new_frame`.
* Valid as long as the item, or a tensor of it, is referenced. A stage may hold items back for later frames; each one
  held keeps its memory.
* On the GPU, tensors are ready for work on the current stream of the stage's thread, and only for that. The CPU may
  read them only after a wait, so use :class:`bmfgraph.stages.cuda.AsyncDownload`. For work on a stream of your own,
  call ``wait_stream`` before and ``tensor.record_stream`` after, as torch demands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch

from bmfgraph.stages.pictures import picture_of, rgb_pixels

__all__ = ["Batch", "Frame", "Result", "Sample", "batches", "is_kept"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One video frame. Its size, pixel format and colours are those of the edge's FrameSpec in the plan.

    Attributes:
        index: Number of the frame in presentation order, from 0. Every item made of this frame keeps it.
        pts: Presentation time in ticks of ``time_base``, counted from the start of the clip.
        time_base: Seconds per tick.
        image: Pixels of an RGB frame on either device, [height, width, 3]: uint8, 0..255, or uint16, 0..65535; None
            where ``picture`` has them.
        picture: PyAV's VideoFrame in any pixel format, on the CPU; None where ``image`` has the pixels.
        duration: Seconds for which the source shows the frame; 0 if it does not say so.
    """

    index: int
    pts: int = 0
    time_base: Fraction = Fraction(1)
    image: torch.Tensor | None = None
    picture: Any = None
    duration: Fraction = Fraction(0)

    @property
    def time(self) -> Fraction:
        """Presentation time in seconds."""
        return self.pts * self.time_base

    @property
    def seconds(self) -> float:
        """Presentation time in seconds, as a float. It takes a tenth of the time of ``float(frame.time)``."""
        return self.pts * self.time_base.numerator / self.time_base.denominator

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        if self.image is not None:
            return self.image.shape[1], self.image.shape[0]
        return self.picture.width, self.picture.height

    def pixels(self) -> torch.Tensor:
        """Return the pixels of an RGB frame without a copy, on the device where they are.

        Returns:
            RGB [height, width, 3], uint8, 0..255, or uint16, 0..65535, not always contiguous, read only.
        """
        return self.image if self.image is not None else rgb_pixels(self.picture)

    def with_image(self, image: torch.Tensor) -> Frame:
        """Return a frame with the same index and time, and other pixels.

        Args:
            image: RGB [height, width, 3], uint8 or uint16, on either device. The frame keeps its memory.
        """
        return Frame(self.index, self.pts, self.time_base, image, None, self.duration)

    def with_picture(self, picture: Any) -> Frame:
        """Return a frame with the same index and time around another VideoFrame of PyAV."""
        return Frame(self.index, self.pts, self.time_base, None, picture, self.duration)

    def as_picture(self) -> Any:
        """Return PyAV's VideoFrame of a frame on the CPU, without a copy where the rows are contiguous."""
        return self.picture if self.image is None else picture_of(self.image)


@dataclass(frozen=True, slots=True)
class Sample:
    """Input or output tensors of a model.

    Attributes:
        tensors: Tensors by name. Their first dimension is 1, or the number of a picture's tiles; shape, dtype, layout,
            channel order and value range are those of the edge's TensorSpec in the plan. All of them are on the
            stage's device.
        frames: Frames that the sample stands for, in order, at least one. A window of several frames stands only for
            those that the model's output replaces.
    """

    tensors: dict[str, torch.Tensor]
    frames: tuple[Frame, ...]

    @property
    def index(self) -> int:
        """Index of the first frame."""
        return self.frames[0].index

    @property
    def time(self) -> Fraction:
        """Presentation time of the first frame in seconds."""
        return self.frames[0].time


@dataclass(frozen=True, slots=True)
class Result:
    """A result of one frame; the base class of all items that are neither frames nor tensors.

    Attributes:
        frame: The frame.
    """

    frame: Frame

    @property
    def index(self) -> int:
        """Index of the frame."""
        return self.frame.index

    @property
    def time(self) -> Fraction:
        """Presentation time of the frame in seconds."""
        return self.frame.time

    @property
    def pts(self) -> Fraction:
        """The same, under the name that the items of a stream have."""
        return self.frame.time

    def record(self) -> dict[str, Any]:
        """Return what the node ``records`` writes of it: plain values by key, such as a list of mappings."""
        return {}


@dataclass(frozen=True, slots=True)
class Batch:
    """Items of consecutive frames of one stream, in order, at least one."""

    items: tuple[Frame | Sample | Result, ...]


def batches(items: Sequence[Frame | Sample | Result], size: int) -> Iterator[Batch]:
    """Split items to batches of at most ``size``."""
    for start in range(0, len(items), size):
        yield Batch(tuple(items[start : start + size]))


def is_kept(index: int, kept: tuple[int, int] | None) -> bool:
    """Return whether a sink writes a frame: ``kept`` names the first one of them, and the first one behind them."""
    return kept is None or kept[0] <= index < kept[1]
