"""Run the node kind ``preprocess``: crop, resize, pad and normalise frames to model inputs."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from bmfgraph.nodes.preprocess import Transform
from bmfgraph.plan.types import TensorMeaning
from bmfgraph.stages.cuda import constant
from bmfgraph.stages.pictures import packed, parts_in_cache, to_8_bits, to_levels
from bmfgraph.stages.recording import TensorStage
from bmfgraph.stages.resizing import resized

__all__ = ["Preprocess", "apply"]

# Weights of R, G and B in luma: ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


class Preprocess(TensorStage):
    """Convert each Frame to a Sample of one tensor."""

    params: Transform
    counts_rows = False

    def tensors_of(self, *items: Any) -> dict[str, torch.Tensor]:
        return {"pixels": items[0].pixels()}

    def compute(self, tensors: dict[str, torch.Tensor], count: int) -> dict[str, torch.Tensor]:
        return {self.params.name: apply(tensors["pixels"], self.params)}


def apply(pixels: torch.Tensor, transform: Transform) -> torch.Tensor:
    """Convert images to a model's input tensor.

    Args:
        pixels: RGB [count, height, width, 3] on any device: uint8, or uint16, whose codes become levels 0..255 with
            fractions, rounded for integer tensors. It is not written to.
        transform: Crop, size, padding, and meaning of the tensor's values.

    Returns:
        The contiguous tensor [count, channels, height, width], or [count, height, width, channels] for NHWC, in the
        dtype of ``transform`` on the device of ``pixels``. It may share the memory of ``pixels``.
    """
    if transform.crop:
        left, top, width, height = transform.crop
        pixels = pixels[:, top : top + height, left : left + width]
    integer = "int" in transform.dtype
    if pixels.dtype == torch.uint16:
        pixels = to_8_bits(pixels) if integer else to_levels(pixels)
    x = pixels.permute(0, 3, 1, 2)
    if transform.resize:
        width, height = transform.resize
        x = resized(x, width, height, mode=transform.mode, antialias=transform.antialias, integer=integer)
    if any(transform.pad):
        left, top, right, bottom = transform.pad
        x = F.pad(x, (left, right, top, bottom), value=transform.pad_value)
    meaning = transform.meaning
    if meaning.channels == "BGR":
        x = x.flip(1)
    elif meaning.channels == "GRAY":
        x = (x.float() * _per_channel(_LUMA, x)).sum(1, keepdim=True)
        x = x if meaning.normalised or transform.dtype != "uint8" else x.round().to(torch.uint8)
    dtype = getattr(torch, transform.dtype)
    if meaning.normalised:
        x = _normalised(x, meaning)
    if meaning.layout == "NHWC":
        x = x.permute(0, 2, 3, 1)
    return packed(x.to(dtype), 3 if meaning.layout == "NHWC" else 1)


def _normalised(x: torch.Tensor, meaning: TensorMeaning) -> torch.Tensor:
    """Return (x - mean) / std in float32, in the memory order of the meaning's layout."""
    mean = _per_channel(meaning.mean, x) if any(meaning.mean) else None
    std = _per_channel(meaning.std, x)
    order = torch.contiguous_format if meaning.layout == "NCHW" else torch.channels_last
    result = torch.empty(x.shape, dtype=torch.float32, device=x.device, memory_format=order)
    # Bytes are cheaper to bring into another order than floats.
    for target, part in parts_in_cache(result, x.contiguous(memory_format=order), 2):
        target.copy_(part)
        if mean is not None:
            target.sub_(mean)
        target.div_(std)
    return result


def _per_channel(values: tuple[float, ...], like: torch.Tensor) -> torch.Tensor | float:
    return values[0] if len(values) == 1 else constant(values, like.device).view(1, -1, 1, 1)
