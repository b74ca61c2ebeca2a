"""Turns still pictures into short sequences seen by a moving camera, some with an object that moves by itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from .resample import shrink_matrix

_MARGIN = 3  # pixels that halving by the bicubic filter needs on either side
# Speeds in output pixels a frame: 30% of the sequences stand still, 35% move by at most 1.5, 23% by 4, 12% by 12.
_SPEED_STEPS = ((0.3, 1.5), (0.65, 2.5), (0.88, 8.0))
_ACCELERATION = 0.05  # of the speed, a frame
_SHAKE, _SHAKING_SHARE = 0.35, 0.5  # px, most
_TURN, _ZOOM, _SHEAR, _WARPING_SHARE = 0.004, 0.004, 0.002, 0.5  # radians and factors a frame, most
_SPACING = 0.5, 0.75  # picture pixels between two samples, of which each output pixel has two a side
_OBJECT_SHARE = 0.35
_OBJECT_RADII = 0.12, 0.4  # of the output's side
_SOFT_EDGE = 0.04  # of the output's side


class MovingCamera:
    """Renders sequences along smooth random camera paths over pictures.

    Each frame is sampled at twice its size by bicubic interpolation and halved as MATLAB does, so that it is
    as sharp as a real frame and free of aliasing.  In a share of the sequences an ellipse cut out of a second
    picture moves over the first along a path of its own, so that things are covered and uncovered.

    Args:
        side: width and height of the frames, pixels.
        frames: of a sequence.
        device: where to render.
    """

    def __init__(self, side: int, frames: int, device: torch.device) -> None:
        self._side, self._device = side, device
        self._half = torch.from_numpy(shrink_matrix(side)).to(device)
        self._times = torch.arange(frames, device=device) - frames / 2
        double = 2 * side + 2 * _MARGIN
        axis = torch.arange(double, device=device) - (double - 1) / 2
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        self._points = torch.stack([x, y, torch.ones_like(x)], -1).reshape(1, -1, 3)
        self._double = double

    def __call__(self, pictures: Sequence[Tensor]) -> Tensor:
        """Renders one sequence.

        Args:
            pictures: two pictures, uint8 (3, H, W): the ground, and what an object is cut out of.

        Returns:
            float32 (T, 3, side, side) in 0..1.
        """
        frames, _ = self._view(pictures[0])
        with_object = bool(torch.rand((), device=self._device) < _OBJECT_SHARE)
        if with_object:
            covering, cover = self._view(pictures[1])
            frames = frames + cover * (covering - frames)
        return (self._half @ frames @ self._half.T).clamp(0, 1)

    def _view(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Samples a picture along a path: (T, 3, double, double), and an ellipse's cover, (T, 1, double, double)."""
        points = self._points @ self._path().transpose(1, 2)  # (T, points, 2), picture pixels from the view's middle
        count, (height, width) = len(points), picture.shape[1:]
        size = torch.tensor([width, height], device=self._device)
        room = (size - _SPACING[1] * self._double).clamp(min=0)
        middle = size / 2 + self._uniform(2) * room / 2
        grid = ((points + middle) * 2 / size - 1).reshape(count, self._double, self._double, 2)
        source = (picture[None].float() / 255).expand(count, -1, -1, -1)
        frames = F.grid_sample(source, grid, mode="bicubic", padding_mode="reflection", align_corners=False)

        extent = self._double * _SPACING[0]
        least, most = _OBJECT_RADII
        radii = (torch.rand(2, device=self._device) * (most - least) + least) * extent
        centre = self._uniform(2) * extent / 4
        distance = (((points - centre) / radii).norm(dim=-1) - 1) * radii.mean()
        cover = (0.5 - distance / (_SOFT_EDGE * extent)).clamp(0, 1)
        return frames, cover.reshape(count, 1, self._double, self._double)

    def _path(self) -> Tensor:
        """Affine maps from samples to picture pixels, float32 (T, 2, 3)."""
        times, device = self._times, self._device
        pace, spacing = torch.rand(2, device=device)
        speed = sum(step * float(pace >= share) for share, step in _SPEED_STEPS)
        spacing = _SPACING[0] + spacing * (_SPACING[1] - _SPACING[0])
        velocity = self._uniform(2) * speed
        acceleration = self._uniform(2) * speed * _ACCELERATION
        shakes, warps = (
            torch.rand(2, device=device) < torch.tensor([_SHAKING_SHARE, _WARPING_SHARE], device=device)
        ) * (speed > 0)
        shift = velocity * times[:, None] + acceleration * times[:, None] ** 2
        shift = (shift + self._uniform(len(times), 2) * _SHAKE * shakes) * 2  # frames are made at twice their size
        turn, zoom, shear = self._uniform(3) * torch.tensor([_TURN, _ZOOM, _SHEAR], device=device) * warps
        angle, scale = turn * times, 1 + zoom * times
        cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
        row_x = torch.stack([cosine, -sine + shear * times, shift[:, 0]], -1)
        row_y = torch.stack([sine, cosine, shift[:, 1]], -1)
        path: Tensor = torch.stack([row_x, row_y], -2) * spacing
        return path

    def _uniform(self, *shape: int) -> Tensor:
        """Uniform in -1..1."""
        return torch.rand(*shape, device=self._device) * 2 - 1
