"""Convert between YUV and RGB in torch, on any device.

The results are those of the formulas in ITU-R BT.601, BT.709 and BT.2020, rounded to the nearest code. Chroma is
interpolated with the bicubic kernel of FFmpeg's swscale (Keys, a = -0.6), so that the CPU path through swscale and the
GPU path through this module agree. All operations are elementwise or depthwise convolutions: those run in full float32
on every GPU, while matrix products and other convolutions may use TF32. Where torch can compile a CUDA kernel, one
kernel replaces them on the way from YUV.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F

from bmfgraph.plan.types import Chroma, ColorSpec
from bmfgraph.stages.color_kernel import YuvToRgb, kernel_of
from bmfgraph.stages.pictures import LEVEL
from bmfgraph.stages.pixel_formats import LUMA_WEIGHTS, format_of, levels_of

__all__ = ["ToRgb", "ToYuv", "to_rgb"]

_CUBIC_A = -0.6
"""Parameter of Keys' cubic kernel; swscale's default for its bicubic."""
_CUBIC_RADIUS = 2
"""Chroma samples on each side of the kernel."""


class ToRgb:
    """Convert YUV or grey frames of one format, colour and size to RGB. Several threads may share one converter."""

    def __init__(
        self,
        pixel_format: str,
        color: ColorSpec,
        chroma: Chroma,
        width: int,
        height: int,
        device: torch.device,
        *,
        deep: bool = False,
    ) -> None:
        """Prepare the weights.

        Args:
            pixel_format: FFmpeg's name; see :func:`supported`.
            color: Matrix and range of the frames.
            chroma: Horizontal position of the chroma samples; "" counts as ``center``, between two luma samples, as in
                swscale.
            width: Width of the frames in pixels.
            height: Height of the frames in pixels.
            device: Device of the planes and the result.
            deep: The result has 16 bits instead of 8.

        Raises:
            ValueError: The format or the matrix is not supported.
        """
        self._format = format_ = format_of(pixel_format, color)
        self.width, self.height, self.device = width, height, device
        self._dtype, unit = (torch.uint16, LEVEL) if deep else (torch.uint8, 1)
        levels = levels_of(format_, color.full_range)
        self._gain = unit / levels.luma
        # The conversion to integers truncates, so half a code is added to round to the nearest.
        self._offset = 0.5 - levels.black * self._gain
        self._maximum = 255 * unit + 0.5
        self._kernel: Callable[[Sequence[torch.Tensor], int, int], torch.Tensor] | None = None
        if format_.layout == "gray":
            return
        red, blue = LUMA_WEIGHTS[color.matrix]
        green = 1 - red - blue
        v_to_red, u_to_blue = 2 * (1 - red), 2 * (1 - blue)
        u_to_green, v_to_green = u_to_blue * blue / green, v_to_red * red / green
        per_code = unit / levels.chroma
        down = _upsampling_taps(format_.subsample_y, "center")
        across = _upsampling_taps(format_.subsample_x, chroma or "center")
        if device.type == "cuda":
            numbers = YuvToRgb(
                format_,
                deep,
                _rows(across),
                _rows(down),
                levels.grey,
                self._gain,
                self._offset,
                self._maximum,
                *(value * per_code for value in (v_to_red, u_to_green, v_to_green, u_to_blue)),
            )
            self._kernel = kernel_of(numbers)
        # Green needs a mixture of U and V, which is computed at chroma resolution.
        self._u_share = u_to_green / (u_to_green + v_to_green)
        gains = torch.tensor([v_to_red, -u_to_green - v_to_green, u_to_blue], dtype=torch.float64) * per_code
        taps = torch.einsum("yj,xi->yxji", down, across).flatten(0, 1)
        weight = (gains[:, None, None, None] * taps).flatten(0, 1)[:, None]
        bias = (self._offset - gains * levels.grey).repeat_interleave(len(taps))
        self._weight = weight.to(device, torch.float32)
        self._bias = bias.to(device, torch.float32)
        columns, rows = (taps.shape[-1] // 2, taps.shape[-2] // 2)
        self._pad = (columns, columns, rows, rows)

    def __call__(self, planes: Sequence[torch.Tensor]) -> torch.Tensor:
        """Convert one frame.

        Args:
            planes: Y, U and V, each [height, width] or [height, width, 1]; interleaved chroma as [height, 2 width] or
                [height, width, 2]; grey as one plane. uint8 for 8 bits, else uint16 or int16. Planes may be larger
                than the frame, at the right and at the bottom.

        Returns:
            RGB [3, height, width], contiguous: uint8, 0..255, or uint16, 0..65535.

        Raises:
            ValueError: A plane is too small.
        """
        flat = [plane.flatten(1) if plane.dim() == 3 else plane for plane in planes]
        return self.batch([plane[None] for plane in flat])[0]

    @property
    def is_one_kernel(self) -> bool:
        """True if one kernel converts a whole batch; a CUDA graph of a single kernel saves no time."""
        return self._kernel is not None

    def batch(self, planes: Sequence[torch.Tensor]) -> torch.Tensor:
        """Convert several frames at once.

        Args:
            planes: As for a single frame, each [count, height, width], and interleaved chroma [count, height, 2 width].

        Returns:
            RGB [count, 3, height, width], contiguous.

        Raises:
            ValueError: A plane is too small.
        """
        format_, count = self._format, len(planes[0])
        luma = self._plane(planes[0], self.height, self.width)
        if format_.layout == "gray":
            levels = self._coded((luma.to(torch.float32) * self._gain).add_(self._offset))
            return levels[:, None].expand(-1, 3, -1, -1).contiguous()
        height, width = -(-self.height // format_.subsample_y), -(-self.width // format_.subsample_x)
        if self._kernel is not None:
            columns = width if format_.layout == "planar" else 2 * width
            chromas = [self._cut(plane, height, columns) for plane in planes[1:]]
            return self._kernel([self._cut(planes[0], self.height, self.width), *chromas], self.width, self.height)
        if format_.layout == "planar":
            u, v = (self._plane(plane, height, width) for plane in planes[1:3])
        else:
            both = self._plane(planes[1], height, 2 * width).unflatten(2, (width, 2)).unbind(3)
            u, v = both if format_.layout == "uv" else (both[1], both[0])
        chroma = torch.empty((count, 3, height, width), device=self.device)
        for_red, for_green, for_blue = chroma.unbind(1)
        for_red.copy_(v)
        for_blue.copy_(u)
        torch.lerp(for_red, for_blue, self._u_share, out=for_green)
        if any(self._pad):
            chroma = F.pad(chroma, self._pad, mode="replicate")
        phases = F.conv2d(chroma, self._weight, self._bias, groups=3)
        # Rows and columns of the upsampled image come from `subsample_y` and `subsample_x` phases in turn.
        phases = phases.view(count, 3, format_.subsample_y, format_.subsample_x, height, width)
        upsampled = phases.permute(0, 1, 4, 2, 5, 3)
        rgb = torch.empty((count, 3, self.height, self.width), device=self.device)
        luma = luma[:, None]
        if self.height % format_.subsample_y or self.width % format_.subsample_x:
            size = (count, 3, height * format_.subsample_y, width * format_.subsample_x)
            cropped = upsampled.reshape(size)[..., : self.height, : self.width]
            torch.add(cropped, luma, alpha=self._gain, out=rgb)
        else:
            blocks = (height, format_.subsample_y, width, format_.subsample_x)
            luma = luma.reshape(count, 1, *blocks)
            torch.add(upsampled, luma, alpha=self._gain, out=rgb.view(count, 3, *blocks))
        return self._coded(rgb)

    def _coded(self, values: torch.Tensor) -> torch.Tensor:
        return values.clamp_(0, self._maximum).to(self._dtype)

    def _plane(self, plane: torch.Tensor, height: int, width: int) -> torch.Tensor:
        plane = self._cut(plane, height, width)
        if self._format.bits == 8:
            return plane
        return (plane.view(torch.uint16) if plane.dtype == torch.int16 else plane).to(torch.float32)

    def _cut(self, plane: torch.Tensor, height: int, width: int) -> torch.Tensor:
        # Decoders round buffers up, for example to an even width.
        plane = plane[:, :height, :width]
        if plane.shape[1:] != (height, width):
            shape = list(plane.shape[1:])
            raise ValueError(f"expected a plane of {height}x{width} (height x width), not {shape}")
        return plane


def _rows(table: torch.Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, table.tolist()))


def _upsampling_taps(factor: int, chroma: Chroma) -> torch.Tensor:
    """Return the filter weights [factor, taps] of each output phase."""
    if factor == 1:
        return torch.ones((1, 1), dtype=torch.float64)
    first = 0.0 if chroma == "left" else -0.25
    offsets = range(-_CUBIC_RADIUS, _CUBIC_RADIUS + 1)
    return torch.tensor(
        [[_cubic(first + phase / 2 - offset) for offset in offsets] for phase in range(2)], dtype=torch.float64
    )


def _cubic(x: float) -> float:
    """Evaluate Keys' cubic convolution kernel (IEEE Trans. ASSP 29, 1981)."""
    x = abs(x)
    if x < 1:
        return (_CUBIC_A + 2) * x**3 - (_CUBIC_A + 3) * x**2 + 1
    return _CUBIC_A * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


@lru_cache(maxsize=16)
def _to_rgb(
    pixel_format: str, color: ColorSpec, chroma: Chroma, width: int, height: int, device: torch.device
) -> ToRgb:
    return ToRgb(pixel_format, color, chroma, width, height, device)


def to_rgb(
    planes: Sequence[torch.Tensor], pixel_format: str, color: ColorSpec, chroma: Chroma, width: int, height: int
) -> torch.Tensor:
    """Convert one frame by a :class:`ToRgb` that is cached for the next frames.

    Args:
        planes: As :meth:`ToRgb.__call__` expects them.
        pixel_format: FFmpeg's name; see :func:`supported`.
        color: Matrix and range of the frame.
        chroma: Horizontal position of the chroma samples.
        width: Width of the frame in pixels.
        height: Height of the frame in pixels.

    Returns:
        uint8 RGB [3, height, width] on the planes' device.
    """
    return _to_rgb(pixel_format, color, chroma, width, height, planes[0].device)(planes)


class ToYuv:
    """Convert RGB frames of one size to a planar YUV format."""

    def __init__(
        self, pixel_format: str, color: ColorSpec, chroma: Chroma, width: int, height: int, device: torch.device
    ) -> None:
        """Prepare the weights.

        Args:
            pixel_format: FFmpeg's name of a planar YUV format.
            color: Matrix and range to convert to.
            chroma: Horizontal position of the chroma samples: ``left`` on a luma sample, whose neighbours count half,
                or between two. Vertically they lie between two rows.
            width: Width of the frames in pixels.
            height: Height of the frames in pixels.
            device: Device of the images and the result.

        Raises:
            ValueError: The format or the matrix is not supported.
        """
        self._format = format_ = format_of(pixel_format, color)
        if format_.layout != "planar":
            raise ValueError(f"pixel format {pixel_format} cannot be written, only planar YUV")
        self.width, self.height, self.device = width, height, device
        levels = levels_of(format_, color.full_range)
        red, blue = LUMA_WEIGHTS[color.matrix]
        luma = torch.tensor([red, 1 - red - blue, blue], dtype=torch.float64)
        self._luma = [value * levels.luma for value in luma.tolist()]
        # The conversion to integers truncates, so half a code is added to round to the nearest.
        self._black = torch.tensor(levels.black + 0.5, device=device)
        self._maximum = (1 << format_.bits) - 0.5
        rgb_to_u = (torch.tensor([0, 0, 1]) - luma) / (2 * (1 - blue))
        rgb_to_v = (torch.tensor([1, 0, 0]) - luma) / (2 * (1 - red))
        gains = torch.stack([rgb_to_u, rgb_to_v], 1) * levels.chroma
        left = format_.subsample_x == 2 and chroma == "left"
        taps_x = [0.25, 0.5, 0.25] if left else [1 / format_.subsample_x] * format_.subsample_x
        taps_y = torch.full((format_.subsample_y, 1), 1 / format_.subsample_y, dtype=torch.float64)
        taps = taps_y * torch.tensor(taps_x)
        # Depthwise: each of R, G and B contributes its part to U and to V.
        self._weight = (gains[..., None, None] * taps).flatten(0, 1)[:, None].to(device, torch.float32)
        self._bias = torch.tensor([levels.grey + 0.5] * 2 + [0.0] * 4, device=device)
        self._pad = (int(left), width % format_.subsample_x, 0, height % format_.subsample_y)

    def __call__(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Convert one frame.

        Args:
            image: RGB, [height, width, 3] or [3, height, width]: uint8, 0..255, or uint16, 0..65535.

        Returns:
            Y, U and V, each [height, width] of its plane, uint8 for 8 bits, else int16. They are consecutive parts of
            one contiguous buffer.

        Raises:
            ValueError: The image has another size.
        """
        format_, count = self._format, self.height * self.width
        if image.shape == (self.height, self.width, 3):
            image = image.permute(2, 0, 1)
        if image.shape != (3, self.height, self.width):
            raise ValueError(f"expected an image of 3x{self.height}x{self.width}, not {list(image.shape)}")
        levels = image.to(torch.float32, memory_format=torch.contiguous_format)
        if image.dtype == torch.uint16:
            levels *= 1 / LEVEL
        height, width = -(-self.height // format_.subsample_y), -(-self.width // format_.subsample_x)
        dtype = torch.uint8 if format_.bits == 8 else torch.int16
        buffer = torch.empty(count + 2 * height * width, dtype=dtype, device=self.device)
        red, green, blue = levels.unbind(0)
        y = torch.add(self._black, red, alpha=self._luma[0])
        y.add_(green, alpha=self._luma[1]).add_(blue, alpha=self._luma[2])
        luma = buffer[:count].view(self.height, self.width)
        luma.copy_(y)
        padded = levels[None]
        if any(self._pad):
            padded = F.pad(padded, self._pad, mode="replicate")
        stride = (format_.subsample_y, format_.subsample_x)
        parts = F.conv2d(padded, self._weight, self._bias, stride=stride, groups=3)
        # In full range, pure blue and red lie half a code above the maximum.
        chroma = parts.view(3, 2, height, width).sum(0).clamp_(0, self._maximum)
        u, v = buffer[count:].view(2, height, width).copy_(chroma).unbind(0)
        return luma, u, v
