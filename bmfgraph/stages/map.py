"""Run the node kind ``map``: draw a value of each pixel, alone or together with the frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F

from bmfgraph.nodes.map import MapParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.color_maps import color_table
from bmfgraph.stages.cuda import graphed_on_cuda
from bmfgraph.stages.items import Frame, Sample
from bmfgraph.stages.pictures import new_frame
from bmfgraph.stages.resample import Resampler, planes_of

__all__ = ["Map"]

_LOW, _HIGH = 0.01, 0.99
"""Shares of the values below the ends of an automatic range."""
_BLUR = 1 / 60
"""Sides of the squares that a blurred frame is averaged over, as a share of its shorter side."""


class Map(Stage):
    """Convert each Sample of a model's outputs to a Frame."""

    params: MapParams

    def open(self) -> None:
        params, device = self.params, torch.device(self.device)
        self._resampler = Resampler(params.output.placement, params.width, params.height, self.device)
        self._outside = self._resampler.outside()
        # A recorded graph reads these tensors at every frame, so they live as long as the stage.
        self._colors = color_table(params.colors, device)
        self._background = torch.tensor(
            params.background if isinstance(params.background, tuple) else (0, 0, 0), dtype=torch.float32, device=device
        )
        # The range of the earlier frames stays on the device. NaN: there are none yet.
        self._range = torch.tensor(params.range or (torch.nan, torch.nan), device=device)
        self._draw = graphed_on_cuda(self._drawn, device)

    def process(self, *items: Any) -> Iterable[Frame]:
        sample: Sample = items[0]
        frame: Frame = items[1] if len(items) > 1 else sample.frames[0]
        values = sample.tensors[self.params.output.axes.tensor][0]
        frames = (frame.pixels(),) if len(items) > 1 else ()
        image, self._range = self._draw(values, self._range, *frames)
        if self.device == "cuda":
            return (frame.with_image(image),)
        result, pixels = new_frame(frame, self.params.width, self.params.height)
        pixels.copy_(image)
        return (result,)

    def _drawn(
        self, tensor: torch.Tensor, limits: torch.Tensor, frame: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the image, uint8 RGB [height, width, 3], and the range for the next frame.

        Args:
            tensor: The model's output.
            limits: The range of the earlier frames, float32 [2].
            frame: The pixels to blend with or to cut out, uint8 RGB [height, width, 3].
        """
        params = self.params
        planes = planes_of(tensor, params.output).float()
        if params.output.axes.activation == "sigmoid":
            planes = planes.sigmoid()
        elif params.output.axes.activation == "exp":
            planes = planes.exp()
        if params.range is None:
            limits = self._limits(planes, limits)
        low, high = limits.unbind()
        # A frame of equal values has no range; all of it is low.
        shares = (self._resampler.linear(planes)[0] - low) / (high - low).clamp(min=torch.finfo(torch.float32).tiny)
        shares = shares.clamp_(0, 1)
        if params.invert:
            shares = 1 - shares
        if params.background is not None:
            assert frame is not None
            if self._outside is not None:
                shares = shares.masked_fill(self._outside, 0)
            levels = frame.float()
            behind = _blurred(levels) if params.background == "blur" else self._background
            return _levels(torch.lerp(behind, levels, shares[..., None])), limits
        numbers = (shares * 255).round_().int()
        # Faster than indexing with brackets.
        image = self._colors.index_select(0, numbers.flatten()).view(*shares.shape, 3)
        if frame is not None:
            assert params.blend is not None
            image = _levels(torch.lerp(frame.float(), image.float(), params.blend))
        if self._outside is not None:
            other = torch.zeros_like(image) if frame is None else frame
            image = torch.where(self._outside[..., None], other, image)
        return image, limits

    def _limits(self, planes: torch.Tensor, earlier: torch.Tensor) -> torch.Tensor:
        """Return the low and the high percentile of the frame's values, smoothed over time."""
        values = self._resampler.cut(planes).flatten()
        last = len(values) - 1
        ends = torch.stack([values.kthvalue(1 + round(share * last)).values for share in (_LOW, _HIGH)])
        return torch.where(earlier.isnan(), ends, torch.lerp(ends, earlier, self.params.smooth))


def _blurred(image: torch.Tensor) -> torch.Tensor:
    """Return an image [height, width, 3] out of focus: means of squares, smoothed twice and interpolated."""
    height, width = image.shape[:2]
    side = max(2, round(min(height, width) * _BLUR))
    planes = image.permute(2, 0, 1)[None]
    small = F.interpolate(planes, (max(1, height // side), max(1, width // side)), mode="area")
    for _ in range(2):
        small = F.avg_pool2d(small, 3, stride=1, padding=1, count_include_pad=False)
    return F.interpolate(small, (height, width), mode="bilinear")[0].permute(1, 2, 0)


def _levels(image: torch.Tensor) -> torch.Tensor:
    """Round values in 0..255 to levels."""
    return image.add_(0.5).to(torch.uint8)
