"""Run the node kind ``frames``: convert tensors to video frames with the time and properties of their sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch

from bmfgraph.nodes.frames import FramesParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.bmf_frames import new_frame
from bmfgraph.stages.cuda import constant
from bmfgraph.stages.items import Frame, Sample

__all__ = ["ToFrames", "levels"]


class ToFrames(Stage):
    """Convert a Sample to one Frame for each frame that it stands for."""

    params: FramesParams

    def process(self, *items: Any) -> Iterable[Frame]:
        sample: Sample = items[0]
        # The last window of a clip stands for fewer frames than its tensor has images.
        for frame, image in zip(sample.frames, self._images(sample.tensors[self.params.tensor]), strict=False):
            if self.device == "cuda":
                yield Frame(frame.index, frame.video, frame.matrix, levels(image, self.params))
                continue
            result, pixels = new_frame(frame, self.params.width, self.params.height)
            pixels.copy_(levels(image, self.params))
            yield result

    def _images(self, tensor: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield each image of the tensor as [height, width, channels]."""
        meaning = self.params.meaning
        whole = tensor[0] if meaning.layout == "NHWC" else tensor[0].permute(1, 2, 0)
        if self.params.crop:
            left, top, width, height = self.params.crop
            whole = whole[top : top + height, left : left + width]
        for place in range(self.params.pictures):
            yield whole[..., place * meaning.count : (place + 1) * meaning.count]


def levels(image: torch.Tensor, params: FramesParams) -> torch.Tensor:
    """Convert the values of a model's output to RGB levels.

    Args:
        image: [height, width, channels] of any dtype, with the meaning in ``params``. uint8 counts as levels already.
        params: Mean and standard deviation of the values, and their channel order.

    Returns:
        value * std + mean, rounded to the nearest and clamped to 0..255: uint8 RGB [height, width, channels].
    """
    meaning = params.meaning
    if image.dtype != torch.uint8:
        # Each operation is one pass over the image: adding 0.5 and truncating saves the pass of a round().
        offset = constant(tuple(value + 0.5 for value in meaning.mean), image.device)
        if len(meaning.std) == 1:
            image = torch.add(offset, image.float(), alpha=meaning.std[0])
        else:
            image = torch.addcmul(offset, image.float(), constant(meaning.std, image.device))
        image = image.clamp_(0, 255).to(torch.uint8)
    return image.flip(-1) if meaning.channels == "BGR" else image
