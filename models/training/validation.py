"""Scores a network in training on windows that were held out, as clean and as coded pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .pairs import SCORED, Pairs
from .resample import LUMA_WEIGHTS

_BORDER = 4  # high-resolution pixels that are left out on every side


class Scores(NamedTuple):
    """Mean Y-PSNR in dB of the windows' frames 2, 3 and 4; NaN without windows."""

    clean: float = math.nan
    coded: float = math.nan


class Validation:
    """Windows of held-out pictures, shrunk bicubically, and the same ones coded.

    Nothing is chosen by them.

    Args:
        folder: holds ``clean`` and ``coded``, as ``make_pairs`` wrote them.
        device: where to score.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._sets = []
        for name in Scores._fields:
            pairs = Pairs.load(folder / name)
            self._sets.append(
                (torch.from_numpy(pairs.low.copy()).to(device), torch.from_numpy(pairs.high.copy()).to(device))
            )
        self._luma = torch.tensor(LUMA_WEIGHTS, device=device)[:, None, None]

    @torch.no_grad()
    def __call__(self, network: nn.Module, windows: bool) -> Scores:
        """Scores a network on outputs rounded to 8 bits; ``windows``: it takes seven frames at once."""
        return Scores(*(self._score(network, windows, low, high) for low, high in self._sets))

    def _score(self, network: nn.Module, windows: bool, low: Tensor, high: Tensor) -> float:
        scores = []
        for window, target in zip(low, high, strict=True):
            x = window.permute(0, 3, 1, 2).float() / 255
            output = network(x.flatten(0, 1)[None]) if windows else network(x[SCORED])
            pixels = (output.reshape(3, 3, *target.shape[1:3]).clamp(0, 1) * 255).round()
            inside = slice(_BORDER, -_BORDER)
            error = ((pixels - target.permute(0, 3, 1, 2)) * self._luma / 255).sum(1)[:, inside, inside]
            scores.append(10 * torch.log10(255**2 / (error * error).mean((1, 2)).clamp(min=1e-6)).mean())
        return float(torch.stack(scores).mean()) if scores else math.nan
