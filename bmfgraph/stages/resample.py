"""Resample maps of a model's output so that they cover exactly the source frame."""

from __future__ import annotations

import math

import torch

from bmfgraph.nodes.pixels import PixelOutput
from bmfgraph.plan.types import Placement

__all__ = ["Resampler", "planes_of"]


def planes_of(tensor: torch.Tensor, output: PixelOutput) -> torch.Tensor:
    """Return an output as [classes, height, width].

    Args:
        tensor: The output without its batch dim.
        output: The order of its axes.
    """
    planes = tensor.permute(output.axes.axes)
    return planes.reshape(output.classes, *planes.shape[-2:])


class Resampler:
    """Cut the source frame out of maps, and bring it to a size.

    Values lie at the centres of pixels, and are interpolated linearly between them, as by OpenCV and torch. Pixels
    whose centre lies in a letterbox bar do not count.
    """

    def __init__(self, place: Placement, width: int, height: int, device: torch.device | str) -> None:
        """Compute the positions.

        Args:
            place: Position of the source frame in the maps.
            width: Width of the result in pixels.
            height: Height of the result.
            device: Device of the maps.
        """
        left, top, shown_width, shown_height = place.shown_part()
        rows = (place.top + top * place.scale_y, shown_height * place.scale_y)
        columns = (place.left + left * place.scale_x, shown_width * place.scale_x)
        self._rows = _Axis(place.top, place.source_height * place.scale_y, rows, place.height, height, device)
        self._columns = _Axis(place.left, place.source_width * place.scale_x, columns, place.width, width, device)

    def linear(self, planes: torch.Tensor, start: int = 0, end: int | None = None) -> torch.Tensor:
        """Interpolate rows ``start`` to ``end`` of the result.

        Args:
            planes: [n, height, width] of any dtype.
            start: First row.
            end: Row after the last one; None: all others.

        Returns:
            float32 [n, end - start, width of the result].
        """
        end = self._rows.count if end is None else end
        # Rows are cheap to take and columns are not, so the columns come first, while there are few rows.
        first, last = self._rows.span(start, end)
        wide = self._columns.linear(planes[:, first : last + 1], 2, 0, self._columns.count)
        return self._rows.linear(wide, 1, start, end, first).float()

    def nearest(self, planes: torch.Tensor) -> torch.Tensor:
        """Take the nearest pixels.

        Args:
            planes: [n, height, width] of any dtype.

        Returns:
            [n, height, width] of the result, of the same dtype.
        """
        return self._columns.nearest(self._rows.nearest(planes, 1), 2)

    def cut(self, planes: torch.Tensor) -> torch.Tensor:
        """Return the pixels inside the source frame, without interpolation, as a view of [n, height, width]."""
        rows, columns = self._rows, self._columns
        return planes[:, rows.lowest : rows.highest + 1, columns.lowest : columns.highest + 1]

    def outside(self) -> torch.Tensor | None:
        """Return which pixels of the result the model has not seen, because the frame was cropped; None for none.

        Returns:
            bool [height, width] of the result.
        """
        both = self._rows.outside[:, None] | self._columns.outside
        return both if self._rows.cropped or self._columns.cropped else None


class _Axis:
    """Positions in a map along one axis, for each pixel of the result."""

    def __init__(
        self,
        offset: float,
        span: float,
        shown: tuple[float, float],
        size: int,
        count: int,
        device: torch.device | str,
    ) -> None:
        # Products of scales and sizes are whole only up to the rounding of floats.
        offset, span = round(offset, 6), round(span, 6)
        # The part of the frame that lies in the map; bars begin where it ends.
        begin, end = max(0.0, round(shown[0], 6)), min(float(size), round(sum(shown), 6))
        self.count = count
        self.lowest = min(max(0, math.ceil(begin - 0.5)), size - 1)
        self.highest = max(self.lowest, math.ceil(end - 0.5) - 1)
        self.cropped = offset < begin or offset + span > end
        self._steps = span == count and offset == int(offset) and not self.cropped
        places = (torch.arange(count, dtype=torch.float64) + 0.5) * (span / count) + offset
        self.outside = ((places < begin) | (places >= end)).to(device)
        self._nearest = places.floor().clamp(self.lowest, self.highest).long().to(device)
        centres = (places - 0.5).clamp(self.lowest, self.highest)
        low = centres.floor().long()
        high = (low + 1).clamp(max=self.highest)
        self._ends = low.tolist(), high.tolist()
        self._low, self._high, self._weights = low.to(device), high.to(device), (centres - low).float().to(device)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the first and the last pixel that positions ``start`` to ``end`` lie between."""
        return self._ends[0][start], self._ends[1][end - 1]

    def linear(self, planes: torch.Tensor, dim: int, start: int, end: int, skipped: int = 0) -> torch.Tensor:
        """Interpolate along a dim of planes that lack the first ``skipped`` pixels."""
        if self._steps:
            return planes.narrow(dim, self.lowest + start - skipped, end - start)
        low, high = (planes.index_select(dim, part[start:end] - skipped).float() for part in (self._low, self._high))
        shape = [-1 if axis == dim else 1 for axis in range(planes.dim())]
        return torch.lerp(low, high, self._weights[start:end].view(shape))

    def nearest(self, planes: torch.Tensor, dim: int) -> torch.Tensor:
        """Take the nearest pixel along a dim."""
        return planes.index_select(dim, self._nearest)
