"""Run the node kind ``frames``: convert tensors and label maps to frames with the time of their sources."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from bmfgraph.nodes.frames import FramesParams, LabelFramesParams
from bmfgraph.stages.cuda import constant
from bmfgraph.stages.items import Frame
from bmfgraph.stages.levels_kernel import Levels, levels_kernel
from bmfgraph.stages.pictures import LEVEL, moved, packed, parts_in_cache
from bmfgraph.stages.recording import TensorStage
from bmfgraph.stages.results import Segments

__all__ = ["ToFrames", "label_image", "levels"]

_MOST_ROWS = 1 << 16
"""CUDA's limit for the blocks of a grid."""


class ToFrames(TensorStage):
    """Convert a Sample to one Frame for each frame that it stands for, and Segments to one Frame."""

    params: FramesParams | LabelFramesParams

    @property
    def recordable(self) -> bool:
        return isinstance(self.params, FramesParams)

    def process(self, *items: Any) -> Iterable[Frame]:
        if isinstance(self.params, FramesParams):
            return super().process(*items)
        segments: Segments = items[0]
        return (self._frame(segments.frame, label_image(segments.classes, self.params)),)

    def tensors_of(self, *items: Any) -> dict[str, torch.Tensor]:
        assert isinstance(self.params, FramesParams)
        return {self.params.tensor: items[0].tensors[self.params.tensor]}

    def compute(self, tensors: dict[str, torch.Tensor], count: int) -> dict[str, torch.Tensor]:
        """Return each picture of the windows, uint8 or uint16 [count, height, width, 3], by its number."""
        params = self.params
        assert isinstance(params, FramesParams)
        pictures = _pictures(tensors[params.tensor], params)
        return {str(number): levels(picture, params) for number, picture in enumerate(pictures)}

    def items_of(self, groups: Sequence[tuple[Frame, ...]], tensors: dict[str, torch.Tensor]) -> Iterable[Frame]:
        pictures = [tensor.unbind() for tensor in tensors.values()]
        # The last window of a clip stands for fewer frames than its tensor has images.
        return [
            self._frame(frame, picture[number])
            for number, group in enumerate(groups)
            for frame, picture in zip(group, pictures, strict=False)
        ]

    def _frame(self, frame: Frame, image: torch.Tensor) -> Frame:
        return frame.with_image(image if self.device == "cuda" else packed(image, -1))


def _pictures(tensor: torch.Tensor, params: FramesParams) -> Iterator[torch.Tensor]:
    """Yield each picture of windows, [count, height, width, channels]."""
    meaning = params.meaning
    whole = tensor if meaning.layout == "NHWC" else tensor.permute(0, 2, 3, 1)
    if params.crop:
        left, top, width, height = params.crop
        whole = whole[:, top : top + height, left : left + width]
    for place in range(params.pictures):
        yield whole[..., place * meaning.count : (place + 1) * meaning.count]


def label_image(classes: torch.Tensor, params: LabelFramesParams) -> torch.Tensor:
    """Draw a label map with a colour for each class, or with class numbers as grey levels.

    Args:
        classes: uint8 [rows, columns] on any device.
        params: Colours, and the size of the image, to which the nearest pixels are taken.

    Returns:
        uint8 RGB [height, width, 3].
    """
    image = classes[None]
    if params.colors:
        black = (0, 0, 0) * (256 - len(params.colors))
        table = constant(tuple(itertools.chain(*params.colors, black)), classes.device, torch.uint8).view(256, 3)
        image = table.index_select(0, classes.flatten().int()).view(*classes.shape, 3).permute(2, 0, 1)
    if classes.shape != (params.height, params.width):
        image = F.interpolate(image[None], (params.height, params.width), mode="nearest-exact")[0]
    return image.expand(3, -1, -1).permute(1, 2, 0)


def levels(image: torch.Tensor, params: FramesParams) -> torch.Tensor:
    """Convert the values of a model's output to RGB levels.

    Args:
        image: [..., height, width, channels] of any dtype, with the meaning in ``params``. uint8 counts as levels
            already.
        params: Mean and standard deviation of the values, their channel order, and the depth of the frames.

    Returns:
        value * std + mean, rounded to the nearest and clamped to 0..255: uint8 RGB [..., height, width, 3]; for deep
        frames 257 times as much, uint16. Grey becomes three equal channels.
    """
    meaning = params.meaning
    if image.dtype != torch.uint8:
        unit = LEVEL if params.deep else 1
        # Adding 0.5 and truncating saves the pass of a round().
        scale = tuple(value * unit for value in meaning.std)
        offset = tuple(value * unit + 0.5 for value in meaning.mean)
        image = _as_integers(image.float(), Levels(scale, offset, 255 * unit, params.deep))
    if meaning.channels == "GRAY":
        return image.expand(*image.shape[:-1], 3)
    if meaning.channels != "BGR":
        return image
    # Torch does not flip uint16 on the CPU.
    return image.view(torch.int16).flip(-1).view(torch.uint16) if params.deep else image.flip(-1)


def _as_integers(image: torch.Tensor, numbers: Levels) -> torch.Tensor:
    """Convert values [..., channels] to levels."""
    if image.is_cuda and image.dim() == 4 and image.shape[1] < _MOST_ROWS:
        channels = image.shape[-1]
        scale, offset = ((part * channels)[:channels] for part in (numbers.scale, numbers.offset))
        convert = levels_kernel(replace(numbers, scale=scale, offset=offset))
        if convert is not None:
            return convert(image)
    dtype = torch.uint16 if numbers.deep else torch.uint8
    start = constant(numbers.offset, image.device)

    def converted(part: torch.Tensor) -> torch.Tensor:
        if len(numbers.scale) == 1:
            part = torch.add(start, part, alpha=numbers.scale[0])
        else:
            part = torch.addcmul(start, part, constant(numbers.scale, image.device))
        return part.clamp_(0, numbers.most).to(dtype)

    if image.is_cuda:
        return converted(image)
    result = torch.empty(image.shape, dtype=dtype)
    for target, part in parts_in_cache(result, image, -3):
        moved(target, converted(part), -1)
    return result
