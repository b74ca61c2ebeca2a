"""Damage that training does to its low-resolution pictures on the device: shrinking filters, blur, noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from .resample import FloatArray, scaler_taps, shrink_matrix

_BLURS = (0.5, 0.8)  # standard deviations, high-resolution pixels
_BLUR_RADIUS = 2  # taps on either side of the blur's kernel
_LANCZOS_DIAMETER = 6  # output pixels; the widest filter


def round_to_8_bits(x: Tensor) -> Tensor:
    """Clips to 0..1 and rounds to multiples of 1/255."""
    return (x.clamp(0, 1) * 255).round() / 255


def margin(factor: int) -> int:
    """Pixels that ``Shrinker`` needs on either side of the high-resolution picture."""
    return ((_LANCZOS_DIAMETER - 1) * factor + 2 * _BLUR_RADIUS) // 2


class Shrinker:
    """Shrinks each sample by a filter drawn for it, after a slight blur in a share of them.

    Args:
        side: of the shrunk pictures, pixels.
        factor: by which they shrink.
        scalers: share of each filter, by its name in ``SCALERS``; they add up to one.
        blur_share: of the samples.
        device: where the pictures lie.
    """

    def __init__(
        self, side: int, factor: int, scalers: Mapping[str, float], blur_share: float, device: torch.device
    ) -> None:
        matrices, chances = [], []
        for name, share in scalers.items():
            taps = scaler_taps(name, factor)
            blurred = [_blurred(taps, sigma) for sigma in _BLURS]
            for kernel, chance in zip([taps, *blurred], [1 - blur_share, *[blur_share / len(_BLURS)] * 2], strict=True):
                width = 2 * margin(factor) + factor
                matrices.append(shrink_matrix(side, np.pad(kernel, (width - len(kernel)) // 2), factor))
                chances.append(share * chance)
        self._matrices = torch.from_numpy(np.stack(matrices)).to(device)
        self._steps = torch.tensor(np.cumsum(chances)[:-1], dtype=torch.float32, device=device)

    def __call__(self, high: Tensor) -> Tensor:
        """Shrinks pictures, rounding to 8 bits after the first direction as MATLAB and Pillow do.

        The products must be full float32: with TF32 the sums would be off by more than that rounding.

        Args:
            high: float32 (N, ..., factor * side + 2 margins, the same), in 0..1.

        Returns:
            float32 (N, ..., side, side), not rounded.
        """
        chance = torch.rand(high.shape[0], 1, device=high.device)
        index = (chance >= self._steps).sum(1)
        matrix = self._matrices[index].reshape(high.shape[0], *[1] * (high.dim() - 3), *self._matrices.shape[1:])
        return round_to_8_bits(matrix @ high) @ matrix.transpose(-1, -2)


def _blurred(taps: FloatArray, sigma: float) -> FloatArray:
    offsets = np.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1)
    gauss = np.exp(-(offsets**2) / (2 * sigma**2))
    result: FloatArray = np.convolve(taps, gauss / gauss.sum()).astype(np.float32)
    return result


def noisy(low: Tensor, share: float, most: float) -> Tensor:
    """Adds Gaussian noise to a share of the samples, of a standard deviation of up to ``most``, scale 0..1."""
    per_sample = (low.shape[0], *[1] * (low.dim() - 1))
    strength = torch.rand(per_sample, device=low.device) * most
    strength = strength * (torch.rand(per_sample, device=low.device) < share)
    return low + torch.randn_like(low) * strength
