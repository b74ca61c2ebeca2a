"""Run the node kind ``resize``: change the size of frames."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from bmfgraph.nodes.resize import ResizeParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.items import Frame
from bmfgraph.stages.pictures import new_frame
from bmfgraph.stages.resizing import resized

__all__ = ["Resize"]


class Resize(Stage):
    """Resize each frame."""

    params: ResizeParams

    def process(self, *items: Any) -> Iterable[Frame]:
        frame: Frame = items[0]
        image = self._resized(frame.pixels())
        if self.device == "cuda":
            return (frame.with_image(image),)
        result, pixels = new_frame(frame, self.params.width, self.params.height)
        pixels.copy_(image)
        return (result,)

    def _resized(self, pixels: torch.Tensor) -> torch.Tensor:
        params = self.params
        x = pixels.permute(2, 0, 1)[None]
        x = resized(x, params.width, params.height, mode=params.mode, antialias=params.antialias, integer=True)
        return x[0].permute(1, 2, 0)
