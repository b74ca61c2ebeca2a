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

import torch

from bmfgraph.plan.types import Matrix

__all__ = ["Frame", "Result", "Sample"]


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
