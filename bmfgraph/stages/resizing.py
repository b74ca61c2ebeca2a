"""Resize images."""

from __future__ import annotations

import torch
import torch.nn.functional as F

__all__ = ["resized"]


def resized(x: torch.Tensor, width: int, height: int, *, mode: str, antialias: bool, integer: bool) -> torch.Tensor:
    """Resize images whose pixel centres lie at 0.5, 1.5 and so on.

    Args:
        x: [batch, channels, height, width] on any device: uint8, 0..255; uint16, 0..65535; or float32, 0..255.
        width: In pixels.
        height: In pixels.
        mode: nearest, bilinear, bicubic, or area, which averages the replaced pixels.
        antialias: Low-pass before shrinking; bilinear and bicubic only.
        integer: Return the dtype of ``x``; else bilinear and bicubic return float32, in the same range.
    """
    dtype = x.dtype
    # Torch resizes uint8 in fixed point, which can be one level off, and on the CPU only; uint16 not at all.
    fixed_point = integer and mode != "area" and not x.is_cuda
    if dtype == torch.uint16 or (dtype == torch.uint8 and mode != "nearest" and not fixed_point):
        # Torch's CPU kernels take half the time on planes.
        x = x.to(torch.float32, memory_format=torch.preserve_format if x.is_cuda else torch.contiguous_format)
    if mode in ("area", "nearest"):
        x = F.interpolate(x, (height, width), mode="area" if mode == "area" else "nearest-exact")
        return x.round().to(dtype) if x.dtype != dtype else x
    x = F.interpolate(x, (height, width), mode=mode, antialias=antialias, align_corners=False)
    if x.is_floating_point() and mode == "bicubic":
        x = x.clamp(0, 65535 if dtype == torch.uint16 else 255)
    return x.round().to(dtype) if integer and x.is_floating_point() else x
