"""YUV to RGB and back in torch, on any device: exact matrices, ranges and chroma positions, rounded to the nearest.

Chroma is interpolated by the cubic that swscale takes, so that both ways to the same picture agree.
Every operation is elementwise or a convolution of each channel by itself: those are done in full
float32 precision on every GPU, which matrix products and other convolutions are not (TF32).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F

from bmfgraph.plan.types import Chroma, ColorSpec, Matrix

__all__ = ["ToRgb", "ToYuv", "supported", "to_rgb"]

# Share of red and blue in luma: ITU-R BT.601, BT.709, BT.2020.
_LUMA: dict[Matrix, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}
_CUBIC = -0.6
"""swscale's bicubic."""
_REACH = 2
"""Chroma samples to each side that the cubic may need."""


@dataclass(frozen=True)
class _Form:
    """How a pixel format keeps its samples."""

    bits: int
    """Of a sample, that mean something."""
    across: int = 1
    """Luma samples for one chroma sample, across and down."""
    down: int = 1
    layout: Literal["planar", "uv", "vu", "gray"] = "planar"
    """``uv`` and ``vu``: one plane with both, alternating."""
    shift: int = 0
    """Meaningless low bits."""
    full: bool = False
    """Full range whatever the stream says."""


def _forms() -> dict[str, _Form]:
    forms = {"gray": _Form(8, layout="gray")}
    samplings = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "440": (1, 2)}
    for name, sampling in samplings.items():
        forms[f"yuv{name}p"] = _Form(8, *sampling)
        forms[f"yuvj{name}p"] = _Form(8, *sampling, full=True)
    for bits in (9, 10, 12, 14, 16):
        forms[f"gray{bits}le"] = _Form(bits, layout="gray")
        forms |= {f"yuv{name}p{bits}le": _Form(bits, *sampling) for name, sampling in samplings.items()}
    for digit, name in (("0", "420"), ("2", "422"), ("4", "444")):
        for bits in (10, 12, 16):
            forms[f"p{digit}{bits}le"] = _Form(bits, *samplings[name], layout="uv", shift=16 - bits)
    forms["nv12"] = _Form(8, 2, 2, "uv")
    forms["nv21"] = _Form(8, 2, 2, "vu")
    forms["nv16"] = _Form(8, 2, 1, "uv")
    forms["nv24"] = _Form(8, 1, 1, "uv")
    forms["nv42"] = _Form(8, 1, 1, "vu")
    return forms


_FORMS = _forms()


def supported(pixel_format: str) -> bool:
    """Whether :class:`ToRgb` takes frames of this format, by FFmpeg's name.

    =====================================  ======================================================
    8 bits                                 yuv420p, yuv422p, yuv440p, yuv444p, and yuvj...; gray
    8 bits, chroma in one plane            nv12, nv21, nv16, nv24, nv42
    9, 10, 12, 14 and 16 bits              yuv420p10le and so on; gray10le and so on
    10, 12 and 16 bits, high bits first,   p010le, p210le, p410le and so on
    chroma in one plane
    =====================================  ======================================================
    """
    return pixel_format in _FORMS


def _form(pixel_format: str, color: ColorSpec) -> _Form:
    if pixel_format not in _FORMS:
        raise ValueError(f"pixel format {pixel_format} cannot be converted")
    if color.matrix not in _LUMA and _FORMS[pixel_format].layout != "gray":
        raise ValueError(f"colour matrix {color.matrix} is none of YUV")
    return _FORMS[pixel_format]


@dataclass(frozen=True)
class _Levels:
    """Codes of a format: luma of black, what one RGB level adds to luma, chroma of grey, what one level adds there."""

    black: float
    luma: float
    grey: float
    chroma: float


def _levels(form: _Form, full_range: bool) -> _Levels:
    place = 1 << form.shift
    grey = float(place << (form.bits - 1))
    if full_range or form.full:
        step = ((1 << form.bits) - 1) * place / 255
        return _Levels(0.0, step, grey, step)
    step = (place << (form.bits - 8)) / 255
    return _Levels(16 * 255 * step, 219 * step, grey, 224 * step)


class ToRgb:
    """Converts frames of one format, colour and size; the same object may serve several threads.

    ``chroma``: where the chroma samples lie across; "" is read as swscale does, as between two luma samples.
    """

    def __init__(
        self, pixel_format: str, color: ColorSpec, chroma: Chroma, width: int, height: int, device: torch.device
    ) -> None:
        self._form = form = _form(pixel_format, color)
        self.width, self.height, self.device = width, height, device
        levels = _levels(form, color.full_range)
        self._gain = 1 / levels.luma
        # Half a level more, as the conversion to whole levels cuts off.
        self._offset = 0.5 - levels.black / levels.luma
        if form.layout == "gray":
            return
        red, blue = _LUMA[color.matrix]
        green = 1 - red - blue
        from_v, from_u = 2 * (1 - red), 2 * (1 - blue)
        u_in_green, v_in_green = from_u * blue / green, from_v * red / green
        # Green takes a mixture of U and V, made before they are enlarged.
        self._u_share = u_in_green / (u_in_green + v_in_green)
        gains = torch.tensor([from_v, -u_in_green - v_in_green, from_u], dtype=torch.float64) / levels.chroma
        taps = torch.einsum(
            "yj,xi->yxji", _enlarge(form.down, "center"), _enlarge(form.across, chroma or "center")
        ).flatten(0, 1)
        weight = (gains[:, None, None, None] * taps).flatten(0, 1)[:, None]
        bias = (self._offset - gains * levels.grey).repeat_interleave(len(taps))
        self._weight = weight.to(device, torch.float32)
        self._bias = bias.to(device, torch.float32)
        side, rows = (taps.shape[-1] // 2, taps.shape[-2] // 2)
        self._pad = (side, side, rows, rows)

    def __call__(self, planes: Sequence[torch.Tensor]) -> torch.Tensor:
        """Planes [height, width] or [height, width, 1], one of both chromas [height, 2 width] or [height, width, 2];
        8 bits as uint8, more as uint16 or int16. Gives uint8 [3, height, width], RGB, contiguous.
        """
        form = self._form
        luma = self._plane(planes[0], self.height, self.width)
        if form.layout == "gray":
            levels = (luma.to(torch.float32) * self._gain).add_(self._offset).clamp_(0, 255.5).to(torch.uint8)
            return levels.expand(3, -1, -1).contiguous()
        height, width = -(-self.height // form.down), -(-self.width // form.across)
        if form.layout == "planar":
            u, v = (self._plane(plane, height, width) for plane in planes[1:3])
        else:
            both = self._plane(planes[1], height, 2 * width).unflatten(1, (width, 2)).unbind(2)
            u, v = both if form.layout == "uv" else (both[1], both[0])
        low = torch.empty((1, 3, height, width), device=self.device)
        for_red, for_green, for_blue = low[0].unbind(0)
        for_red.copy_(v)
        for_blue.copy_(u)
        torch.lerp(for_red, for_blue, self._u_share, out=for_green)
        if any(self._pad):
            low = F.pad(low, self._pad, mode="replicate")
        phases = F.conv2d(low, self._weight, self._bias, groups=3)
        # The enlarged picture's rows and columns come from `down` and `across` phases in turn.
        wide = phases.view(3, form.down, form.across, height, width).permute(0, 3, 1, 4, 2)
        rgb = torch.empty((3, self.height, self.width), device=self.device)
        if self.height % form.down or self.width % form.across:
            cut = wide.reshape(3, height * form.down, width * form.across)[:, : self.height, : self.width]
            torch.add(cut, luma, alpha=self._gain, out=rgb)
        else:
            parts = (height, form.down, width, form.across)
            torch.add(wide, luma.view(parts), alpha=self._gain, out=rgb.view(3, *parts))
        return rgb.clamp_(0, 255.5).to(torch.uint8)

    def _plane(self, plane: torch.Tensor, height: int, width: int) -> torch.Tensor:
        if plane.dim() == 3:
            plane = plane.flatten(1)
        # Buffers may have a sample more for an even width.
        plane = plane[:height, :width]
        if plane.shape != (height, width):
            raise ValueError(f"a plane of {tuple(plane.shape)} was given where {(height, width)} is needed")
        if self._form.bits == 8:
            return plane
        return (plane.view(torch.uint16) if plane.dtype == torch.int16 else plane).to(torch.float32)


def _enlarge(factor: int, chroma: Chroma) -> torch.Tensor:
    """Weights [phases, taps] that make ``factor`` samples of one and its neighbours."""
    if factor == 1:
        return torch.ones((1, 1), dtype=torch.float64)
    first = 0.0 if chroma == "left" else -0.25
    offsets = range(-_REACH, _REACH + 1)
    return torch.tensor(
        [[_cubic(first + phase / 2 - offset) for offset in offsets] for phase in range(2)], dtype=torch.float64
    )


def _cubic(x: float) -> float:
    x = abs(x)
    if x < 1:
        return (_CUBIC + 2) * x**3 - (_CUBIC + 3) * x**2 + 1
    return _CUBIC * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


@lru_cache(maxsize=16)
def _to_rgb(
    pixel_format: str, color: ColorSpec, chroma: Chroma, width: int, height: int, device: torch.device
) -> ToRgb:
    return ToRgb(pixel_format, color, chroma, width, height, device)


def to_rgb(
    planes: Sequence[torch.Tensor], pixel_format: str, color: ColorSpec, chroma: Chroma, width: int, height: int
) -> torch.Tensor:
    """One frame by a :class:`ToRgb` that is kept for the next: uint8 [3, height, width]."""
    return _to_rgb(pixel_format, color, chroma, width, height, planes[0].device)(planes)


class ToYuv:
    """Converts RGB frames of one size to a planar YUV format.

    ``chroma``: where the chroma samples lie across: on a luma sample (its neighbours weigh half) or between two.
    Down, they lie between two rows.
    """

    def __init__(
        self, pixel_format: str, color: ColorSpec, chroma: Chroma, width: int, height: int, device: torch.device
    ) -> None:
        self._form = form = _form(pixel_format, color)
        if form.layout != "planar":
            raise ValueError(f"pixel format {pixel_format} cannot be written, only planar YUV")
        self.width, self.height, self.device = width, height, device
        levels = _levels(form, color.full_range)
        red, blue = _LUMA[color.matrix]
        luma = torch.tensor([red, 1 - red - blue, blue], dtype=torch.float64)
        self._luma = [value * levels.luma for value in luma.tolist()]
        # Half a level more, as the conversion to whole levels cuts off.
        self._black = torch.tensor(levels.black + 0.5, device=device)
        self._most = (1 << form.bits) - 0.5
        of_u = (torch.tensor([0, 0, 1]) - luma) / (2 * (1 - blue))
        of_v = (torch.tensor([1, 0, 0]) - luma) / (2 * (1 - red))
        shares = torch.stack([of_u, of_v], 1) * levels.chroma
        left = form.across == 2 and chroma == "left"
        across = [0.25, 0.5, 0.25] if left else [1 / form.across] * form.across
        taps = torch.full((form.down, 1), 1 / form.down, dtype=torch.float64) * torch.tensor(across)
        # Each of R, G and B gives its part of U and of V.
        self._weight = (shares[..., None, None] * taps).flatten(0, 1)[:, None].to(device, torch.float32)
        self._bias = torch.tensor([levels.grey + 0.5] * 2 + [0.0] * 4, device=device)
        self._pad = (int(left), width % form.across, 0, height % form.down)

    def __call__(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """uint8 RGB, [height, width, 3] or [3, height, width], to Y, U and V, uint8 or, for more bits, int16.

        The planes are parts of one contiguous buffer, in this order.
        """
        form, count = self._form, self.height * self.width
        if image.shape == (self.height, self.width, 3):
            image = image.permute(2, 0, 1)
        if image.shape != (3, self.height, self.width):
            raise ValueError(f"a picture of {tuple(image.shape)} was given where 3x{self.height}x{self.width} is due")
        levels = image.to(torch.float32, memory_format=torch.contiguous_format)
        height, width = -(-self.height // form.down), -(-self.width // form.across)
        dtype = torch.uint8 if form.bits == 8 else torch.int16
        made = torch.empty(count + 2 * height * width, dtype=dtype, device=self.device)
        red, green, blue = levels.unbind(0)
        y = torch.add(self._black, red, alpha=self._luma[0])
        y.add_(green, alpha=self._luma[1]).add_(blue, alpha=self._luma[2])
        luma = made[:count].view(self.height, self.width)
        luma.copy_(y)
        low = levels[None]
        if any(self._pad):
            low = F.pad(low, self._pad, mode="replicate")
        parts = F.conv2d(low, self._weight, self._bias, stride=(form.down, form.across), groups=3)
        # Pure blue and red are half a code beyond the last one of full range.
        chroma = parts.view(3, 2, height, width).sum(0).clamp_(0, self._most)
        u, v = made[count:].view(2, height, width).copy_(chroma).unbind(0)
        return luma, u, v
