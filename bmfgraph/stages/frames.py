"""``frames`` at work: tensors become BMF video frames, each with the time and properties of its source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch

from bmfgraph.nodes.frames import FramesWork
from bmfgraph.stages.base import Stage
from bmfgraph.stages.bmf_frames import new_frame
from bmfgraph.stages.cuda import constant
from bmfgraph.stages.items import Frame, Sample

__all__ = ["ToFrames", "levels"]


class ToFrames(Stage):
    """Samples to frames."""

    work: FramesWork

    def process(self, *items: Any) -> Iterable[Frame]:
        sample: Sample = items[0]
        for frame, picture in zip(sample.frames, self._pictures(sample.tensors[self.work.tensor]), strict=False):
            if self.device == "cuda":
                yield Frame(frame.index, frame.video, frame.matrix, levels(picture, self.work))
                continue
            made, pixels = new_frame(frame, self.work.width, self.work.height)
            pixels.copy_(levels(picture, self.work))
            yield made

    def _pictures(self, tensor: torch.Tensor) -> Iterator[torch.Tensor]:
        """Each picture as [height, width, channels]."""
        meaning = self.work.meaning
        whole = tensor[0] if meaning.layout == "NHWC" else tensor[0].permute(1, 2, 0)
        if self.work.crop:
            left, top, width, height = self.work.crop
            whole = whole[top : top + height, left : left + width]
        for place in range(self.work.pictures):
            yield whole[..., place * meaning.count : (place + 1) * meaning.count]


def levels(picture: torch.Tensor, work: FramesWork) -> torch.Tensor:
    """Values to uint8 RGB levels: level = value * std + mean, to the nearest, clamped. uint8 is taken as it is."""
    meaning = work.meaning
    if picture.dtype != torch.uint8:
        # Few passes over the picture: a half more, and the conversion cuts the rest off.
        offset = constant(tuple(value + 0.5 for value in meaning.mean), picture.device)
        if len(meaning.std) == 1:
            picture = torch.add(offset, picture.float(), alpha=meaning.std[0])
        else:
            picture = torch.addcmul(offset, picture.float(), constant(meaning.std, picture.device))
        picture = picture.clamp_(0, 255).to(torch.uint8)
    return picture.flip(-1) if meaning.channels == "BGR" else picture
