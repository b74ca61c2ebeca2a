"""What training minimises: Charbonnier losses, and for looks a critic that learns beside the network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from .resample import LUMA_WEIGHTS

LEAST_EPSILON = 1e-3
"""With it the loss is nearly L1."""
MOST_EPSILON = 0.1
"""With it the loss is near L2, and so is what PSNR measures."""


class PictureLoss:
    """Charbonnier loss, sqrt(d^2 + epsilon^2), on luma plus smaller shares on RGB, on edges and on changes in time.

    Sources: P. Charbonnier et al., "Two deterministic half-quadratic regularization algorithms for computed
    imaging", ICIP 1994; for super-resolution W.-S. Lai et al., LapSRN, CVPR 2017.  Luma leads because it is
    what is scored.

    Args:
        rgb_weight: of the RGB term.
        edge_weight: of the term on differences between neighbouring pixels of the luma.
        change_weight: of the term on differences between consecutive frames of the luma.
        device: where the pictures lie.
    """

    def __init__(self, rgb_weight: float, edge_weight: float, change_weight: float, device: torch.device) -> None:
        self._rgb_weight, self._edge_weight, self._change_weight = rgb_weight, edge_weight, change_weight
        self._luma = (torch.tensor(LUMA_WEIGHTS) / 255).to(device)
        self.epsilon = torch.tensor(LEAST_EPSILON, device=device)
        """On the device, so that it can change between replays of a captured step."""

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean loss, a scalar; both are float32 (N, 3k, H, W), RGB in 0..1."""
        n, channels, height, width = output.shape
        rgb = (output - target).reshape(n, channels // 3, 3, height, width)
        luma = torch.einsum("c,nkchw->nkhw", self._luma, rgb)
        loss = self._charbonnier(luma) + self._rgb_weight * self._charbonnier(rgb)
        if self._edge_weight:
            loss = loss + self._edge_weight * self._charbonnier(luma[..., 1:] - luma[..., :-1])
            loss = loss + self._edge_weight * self._charbonnier(luma[..., 1:, :] - luma[..., :-1, :])
        if self._change_weight:
            loss = loss + self._change_weight * self._charbonnier(luma[:, 1:] - luma[:, :-1])
        return loss

    def _charbonnier(self, difference: Tensor) -> Tensor:
        return torch.sqrt(difference * difference + self.epsilon * self.epsilon).mean()


class Critic(nn.Module):
    """Says for each part of a picture whether it looks real, given the picture that it was made from.

    Sources: P. Isola et al., pix2pix, CVPR 2017 (parts of the picture, and what it was made from beside it);
    T. Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018.
    """

    _WIDTHS = ((6, 48, 1), (48, 64, 2), (64, 96, 1), (96, 128, 2), (128, 128, 1))

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, stride in self._WIDTHS:
            layers += [spectral_norm(nn.Conv2d(inputs, outputs, 3, stride, 1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(128, 1, 3, 1, 1))

    def forward(self, picture: Tensor, low: Tensor) -> Tensor:
        """Scores (N, 1, H / 4, W / 4) of pictures (N, 3, H, W) made from ``low``, all RGB in 0..1."""
        origin = F.interpolate(low, size=picture.shape[2:], mode="bilinear", align_corners=False)
        scores: Tensor = self.layers(torch.cat([picture, origin], 1) * 2 - 1)
        return scores


def relativistic_loss(better: Tensor, worse: Tensor) -> Tensor:
    """How far scores are from telling that ``better`` ones are above the mean of the others, and the reverse.

    Source: A. Jolicoeur-Martineau, "The relativistic discriminator", ICLR 2019, as in ESRGAN (X. Wang et al.,
    ECCV Workshops 2018).
    """
    return (F.softplus(worse.mean() - better).mean() + F.softplus(worse - better.mean()).mean()) / 2
