"""Run the node kind ``convert``: change the pixel format of frames, with swscale on the CPU."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bmfgraph.media.filtering import FrameFilter
from bmfgraph.nodes.convert import ConvertParams, scale_steps
from bmfgraph.stages.base import Stage
from bmfgraph.stages.items import Frame
from bmfgraph.stages.pictures import to_8_bits

__all__ = ["Convert"]


class Convert(Stage):
    """Convert each frame: on the CPU between any two formats, on the GPU from RGB of 16 bits to 8."""

    params: ConvertParams

    def open(self) -> None:
        self._filter = FrameFilter(scale_steps(self.params))

    def process(self, *items: Any) -> Iterable[Frame]:
        frame: Frame = items[0]
        if self.device == "cuda" or (self.params.source_format, self.params.pixel_format) == ("rgb48le", "rgb24"):
            # Swscale cuts bits off without rounding.
            return [frame.with_image(to_8_bits(frame.pixels()))]
        picture = frame.as_picture()
        if frame.picture is None:
            # The filters need a time, which an image has outside its picture.
            picture.time_base, picture.pts = frame.time_base, frame.pts
        return [frame.with_picture(result) for result in self._filter.push(picture)]
