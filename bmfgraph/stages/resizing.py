"""Resize images."""

from __future__ import annotations

import torch
import torch.nn.functional as F

__all__ = ["resized"]


def resized(x: torch.Tensor, width: int, height: int, *, mode: str, antialias: bool, integer: bool) -> torch.Tensor:
    """Resize images whose pixel centres lie at 0.5, 1.5 and so on.

    Args:
        x: uint8 [batch, channels, height, width], 0..255, on any device.
        width: In pixels.
        height: In pixels.
        mode: nearest, bilinear, bicubic, or area, which averages the replaced pixels.
        antialias: Low-pass before shrinking; bilinear and bicubic only.
        integer: Return uint8; else bilinear and bicubic return float32, in 0..255 too.
    """
    if mode == "area":
        return F.interpolate(x.float(), (height, width), mode="area").round().to(torch.uint8)
    if mode == "nearest":
        return F.interpolate(x, (height, width), mode="nearest-exact")
    if not integer or x.is_cuda:
        # Torch resizes uint8 in fixed point, which can be one level off, and on the CPU only.
        x = x.float()
    x = F.interpolate(x, (height, width), mode=mode, antialias=antialias, align_corners=False)
    if x.is_floating_point() and mode == "bicubic":
        x = x.clamp(0, 255)
    return x.round().to(torch.uint8) if integer and x.is_floating_point() else x
