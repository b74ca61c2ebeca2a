"""Softens and shrinks training pictures, and adds noise to them, on the device."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from .resample import scaler_taps, shrink_matrix

_SOFT = (0.5, 0.75, 1.0, 1.3)  # standard deviations of the softening blurs, high-resolution pixels
_LANCZOS_DIAMETER = 6  # output pixels; the widest filter


def round_to_8_bits(x: Tensor) -> Tensor:
    """Clips to 0..1 and rounds to multiples of 1/255."""
    return (x.clamp(0, 1) * 255).round() / 255


def margin(factor: int) -> int:
    """Pixels that ``Shrinker`` needs on either side of the high-resolution picture."""
    return (_LANCZOS_DIAMETER - 1) * factor // 2


class Softener:
    """Blurs a share of the samples, as lenses, scaling and noise filters soften what cameras record.

    The low- and the high-resolution pictures are made from the soft ones, so that a network learns to keep them soft.

    Args:
        side: of the square pictures, pixels.
        share: of the samples.
        device: where the pictures lie.
    """

    def __init__(self, side: int, share: float, device: torch.device) -> None:
        position = torch.arange(side, dtype=torch.float64)
        distance = position[:, None] - position
        blurs = [torch.exp(-(distance**2) / (2 * sigma**2)) for sigma in _SOFT]
        matrices = [torch.eye(side), *((blur / blur.sum(1, keepdim=True)).float() for blur in blurs)]
        self._matrices = torch.stack(matrices).to(device)
        self._share = share

    def __call__(self, pictures: Tensor) -> Tensor:
        """Softens some of the samples, float32 (N, ..., side, side) in 0..1, and rounds to 8 bits."""
        n, device = pictures.shape[0], pictures.device
        chosen = torch.rand(n, device=device) < self._share
        chosen = chosen * torch.randint(1, len(self._matrices), (n,), device=device)
        matrix = self._matrices[chosen].reshape(n, *[1] * (pictures.dim() - 3), *self._matrices.shape[1:])
        return round_to_8_bits(matrix @ pictures @ matrix.transpose(-1, -2))


class Shrinker:
    """Shrinks each sample by a filter drawn for it.

    Args:
        side: of the shrunk pictures, pixels.
        factor: by which they shrink.
        scalers: share of each filter, by its name in ``SCALERS``; they add up to one.
        device: where the pictures lie.
    """

    def __init__(self, side: int, factor: int, scalers: Mapping[str, float], device: torch.device) -> None:
        width = 2 * margin(factor) + factor
        kernels = [scaler_taps(name, factor) for name in scalers]
        padded = [np.pad(kernel, (width - len(kernel)) // 2) for kernel in kernels]
        matrices = [shrink_matrix(side, kernel, factor) for kernel in padded]
        self._matrices = torch.from_numpy(np.stack(matrices)).to(device)
        self._steps = torch.tensor(np.cumsum(list(scalers.values()))[:-1], dtype=torch.float32, device=device)

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


def noisy(low: Tensor, share: float, most: float) -> Tensor:
    """Adds Gaussian noise to a share of the samples, of a standard deviation of up to ``most``, scale 0..1."""
    per_sample = (low.shape[0], *[1] * (low.dim() - 1))
    strength = torch.rand(per_sample, device=low.device) * most
    strength = strength * (torch.rand(per_sample, device=low.device) < share)
    return low + torch.randn_like(low) * strength
