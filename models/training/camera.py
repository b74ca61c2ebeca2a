"""Turns still pictures into seven-frame windows seen by a moving camera."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .clips import WINDOW
from .crops import CROP_SIDE
from .resample import MARGIN_BY_TWO, halving_matrix

# Speeds in output pixels a frame: 12% of the windows stand still, 43% move by at most 1.5, 30% by 4, 15% by
# 12.
_SPEED_STEPS = ((0.12, 1.5), (0.55, 2.5), (0.85, 8.0))
_ACCELERATION = 0.08  # of the speed, a frame
_SHAKE = 0.35  # px, most
_SHAKING_SHARE = 0.5
_WARPING_SHARE = 0.5
_TURN, _ZOOM, _SHEAR = 0.006, 0.006, 0.003  # radians and factors a frame, most


class MovingCamera:
    """Renders windows along smooth random camera paths over stills.

    Each frame is sampled at twice its size by bicubic interpolation and halved as MATLAB does, so that it is
    as sharp as a real frame and free of aliasing.

    Args:
        side: width and height of the frames, pixels.
        device: where to render.
    """

    def __init__(self, side: int, device: torch.device) -> None:
        self._side, self._device = side, device
        self._half = torch.from_numpy(halving_matrix(side)).to(device)
        self._times = torch.arange(WINDOW, device=device) - float(WINDOW // 2)
        double = 2 * side + 2 * MARGIN_BY_TWO
        axis = (torch.arange(double, device=device) - (double - 1) / 2) * (2 / CROP_SIDE)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        self._points = torch.stack([x, y, torch.ones_like(x)], -1).reshape(1, -1, 3)
        self._double = double

    def __call__(self, stills: Tensor) -> Tensor:
        """Renders one window for each still.

        Args:
            stills: float32 (N, 3, 256, 256), RGB in 0..1.

        Returns:
            float32 (N, 7, 3, side, side) in 0..1.
        """
        n = stills.shape[0]
        transforms = self._paths(n)
        grid = (self._points @ transforms.transpose(1, 2)).reshape(n * WINDOW, self._double, self._double, 2)
        repeated = stills.repeat_interleave(WINDOW, 0)
        frames = F.grid_sample(repeated, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
        frames = (self._half @ frames @ self._half.T).clamp(0, 1)
        return frames.reshape(n, WINDOW, 3, self._side, self._side)

    def _paths(self, n: int) -> Tensor:
        """Affine maps from output to still coordinates (-1..1), float32 (7n, 2, 3)."""
        times = self._times
        pace = torch.rand(n, device=self._device)
        speed = torch.zeros_like(pace)
        for share, step in _SPEED_STEPS:
            speed = speed + step * (pace >= share)
        moves = speed > 0

        velocity = self._uniform(n, 2) * speed[:, None]
        acceleration = self._uniform(n, 2) * speed[:, None] * _ACCELERATION
        shake = self._uniform(n, WINDOW, 2) * _SHAKE * moves[:, None, None]
        shake = shake * self._some(n, _SHAKING_SHARE)[:, None, None]
        time = times[None, :, None]
        shift = velocity[:, None] * time + acceleration[:, None] * time**2 + shake
        shift = shift * (2 * 2 / CROP_SIDE)  # to the still's coordinates; frames are made at twice their size

        warps = moves * self._some(n, _WARPING_SHARE)
        turn = (self._uniform(n) * _TURN * warps)[:, None] * times
        zoom = 1 + (self._uniform(n) * _ZOOM * warps)[:, None] * times
        shear = (self._uniform(n) * _SHEAR * warps)[:, None] * times
        cosine, sine = torch.cos(turn) * zoom, torch.sin(turn) * zoom
        row_x = torch.stack([cosine, -sine + shear, shift[..., 0]], -1)
        row_y = torch.stack([sine, cosine, shift[..., 1]], -1)
        transforms = torch.stack([row_x, row_y], -2).reshape(n * WINDOW, 2, 3)
        flips = (torch.rand(n, 1, 2, device=self._device) < 0.5) * 2.0 - 1
        transforms[..., :2] *= flips.repeat_interleave(WINDOW, 0)
        return transforms

    def _uniform(self, *shape: int) -> Tensor:
        """Uniform in -1..1."""
        return torch.rand(*shape, device=self._device) * 2 - 1

    def _some(self, n: int, share: float) -> Tensor:
        """True for a random share of ``n`` windows."""
        return torch.rand(n, device=self._device) < share
