"""``frames`` at work: tensors become BMF video frames, each with the time and properties of its source."""

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
    """Samples to frames."""

    params: FramesParams

    def process(self, *items: Any) -> Iterable[Frame]:
        sample: Sample = items[0]
        for frame, image in zip(sample.frames, self._pictures(sample.tensors[self.params.tensor]), strict=False):
            if self.device == "cuda":
                yield Frame(frame.index, frame.video, frame.matrix, levels(image, self.params))
                continue
            made, pixels = new_frame(frame, self.params.width, self.params.height)
            pixels.copy_(levels(image, self.params))
            yield made

    def _pictures(self, tensor: torch.Tensor) -> Iterator[torch.Tensor]:
        """Each picture as [height, width, channels]."""
        meaning = self.params.meaning
        whole = tensor[0] if meaning.layout == "NHWC" else tensor[0].permute(1, 2, 0)
        if self.params.crop:
            left, top, width, height = self.params.crop
            whole = whole[top : top + height, left : left + width]
        for place in range(self.params.pictures):
            yield whole[..., place * meaning.count : (place + 1) * meaning.count]


def levels(image: torch.Tensor, params: FramesParams) -> torch.Tensor:
    """Values to uint8 RGB levels: level = value * std + mean, to the nearest, clamped. uint8 is taken as it is."""
    meaning = params.meaning
    if image.dtype != torch.uint8:
        # Few passes over the picture: a half more, and the conversion cuts the rest off.
        offset = constant(tuple(value + 0.5 for value in meaning.mean), image.device)
        if len(meaning.std) == 1:
            image = torch.add(offset, image.float(), alpha=meaning.std[0])
        else:
            image = torch.addcmul(offset, image.float(), constant(meaning.std, image.device))
        image = image.clamp_(0, 255).to(torch.uint8)
    return image.flip(-1) if meaning.channels == "BGR" else image
