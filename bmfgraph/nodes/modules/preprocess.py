"""``preprocess`` at work: crop, resize, pad, channel order, normalisation, dtype, layout in torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F

from bmfgraph.nodes.modules.items import Frame, Sample
from bmfgraph.nodes.modules.stage import Stage
from bmfgraph.nodes.preprocess import Transform

__all__ = ["Preprocess", "apply"]

# ITU-R BT.601, luma of R'G'B'.
_LUMA = (0.299, 0.587, 0.114)


class Preprocess(Stage):
    """Frames to samples of one tensor."""

    work: Transform

    def process(self, *items: Any) -> Iterable[Sample]:
        frame: Frame = items[0]
        return (Sample({self.work.name: apply(frame.pixels(), self.work)}, (frame,)),)


def apply(pixels: torch.Tensor, transform: Transform) -> torch.Tensor:
    """uint8 [height, width, 3] RGB to a tensor of batch 1 as ``transform`` says; contiguous, never written into."""
    if transform.crop:
        left, top, width, height = transform.crop
        pixels = pixels[top : top + height, left : left + width]
    x = pixels.permute(2, 0, 1)[None]
    if transform.resize:
        x = _resize(x, transform)
    if any(transform.pad):
        left, top, right, bottom = transform.pad
        x = F.pad(x, (left, right, top, bottom), value=transform.pad_value)
    meaning = transform.meaning
    if meaning.channels == "BGR":
        x = x.flip(1)
    elif meaning.channels == "GRAY":
        weights = torch.tensor(_LUMA).view(1, 3, 1, 1)
        x = (x.float() * weights).sum(1, keepdim=True)
        x = x if meaning.normalised or transform.dtype != "uint8" else x.round().to(torch.uint8)
    dtype = getattr(torch, transform.dtype)
    if meaning.normalised:
        x = (x.float() - _per_channel(meaning.mean)) / _per_channel(meaning.std)
    if meaning.layout == "NHWC":
        x = x.permute(0, 2, 3, 1)
    return x.to(dtype).contiguous()


def _per_channel(values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(values).view(1, -1, 1, 1)


def _resize(x: torch.Tensor, transform: Transform) -> torch.Tensor:
    assert transform.resize
    width, height = transform.resize
    mode, smooth = transform.mode, transform.mode in ("bilinear", "bicubic")
    if mode == "area":
        return F.interpolate(x.float(), (height, width), mode="area").round().to(torch.uint8)
    if not smooth:
        return F.interpolate(x, (height, width), mode="nearest-exact")
    return F.interpolate(x, (height, width), mode=mode, antialias=transform.antialias, align_corners=False)
