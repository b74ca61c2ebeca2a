"""Run the node kind ``tonemap``: make ordinary video of HDR.

Sources of the formulas: ITU-R BT.2100 (PQ, HLG and its OOTF), BT.2390 (the curve that brings a bright display's picture
to a darker one), BT.1886 (the display of ordinary video), BT.2020 and BT.709 (primaries).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from bmfgraph.nodes.tonemap import TonemapParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.cuda import graphed_on_cuda
from bmfgraph.stages.items import Frame
from bmfgraph.stages.pictures import LEVEL, packed

__all__ = ["ToneMap", "Tonemap", "curve", "gamut_matrix", "hlg_scene", "pq_code", "pq_luminance"]

_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
"""Constants of PQ."""
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
"""Constants of HLG."""
_SHARES = (0.2627, 0.6780, 0.0593)
"""Weights of red, green and blue in the luminance of BT.2020."""
_CHROMATICITIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
"""x, y of red, green and blue by ColourPrimaries of ITU-T H.273: BT.709, BT.2020, P3. White is D65 in all of them."""
_D65 = (0.3127, 0.3290)
_DISPLAY_GAMMA = 2.4
"""Exponent of BT.1886."""


class Tonemap(Stage):
    """Convert each HDR frame to 8-bit RGB in BT.709."""

    params: TonemapParams

    def open(self) -> None:
        self._convert = graphed_on_cuda(ToneMap(self.params, torch.device(self.device)), self.device)

    def process(self, *items: Any) -> Iterable[Frame]:
        frame: Frame = items[0]
        return (frame.with_image(self._convert(frame.pixels())),)


class ToneMap:
    """Convert images from PQ or HLG to BT.709.

    Each pixel is scaled by one factor, that of its brightest component, so hues stay; colours outside of BT.709 are
    clipped. Functions of one code are tables of all 65536.
    """

    def __init__(self, params: TonemapParams, device: torch.device) -> None:
        """Compute the tables.

        Args:
            params: Transfer, primaries, and luminances of the source and of white.
            device: Device of the images.
        """
        self._params = params
        signal = torch.arange(65536, dtype=torch.float64) / 65535
        if params.hlg:
            table = hlg_scene(signal)
        else:
            light = pq_luminance(signal).clamp(max=params.peak)
            # Linear light in units of white, and the factor that the curve makes of a brightest component.
            table = light / params.white
            gain = curve(light, params.peak, params.white) / light.clamp(min=1e-9)
            gain[0] = 1
            self._gain = gain.to(device, torch.float32)
        self._table = table.to(device, torch.float32)
        self._exponent = 1.2 + 0.42 * math.log10(params.peak / 1000) - 1
        self._matrix = gamut_matrix(params.primaries)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Convert one image.

        Args:
            image: RGB [height, width, 3] of full range: uint8 or uint16. It is not written to.

        Returns:
            uint8 RGB [height, width, 3] in BT.709, for a display by BT.1886.
        """
        params = self._params
        samples = image.permute(2, 0, 1).to(torch.int32)
        if image.dtype == torch.uint8:
            samples = samples * LEVEL
        linear = self._looked_up(self._table, samples)
        if params.hlg:
            luminance = sum(share * part for share, part in zip(_SHARES, linear, strict=True))
            # The OOTF raises the scene's light to the display's.
            linear *= luminance.clamp_(min=1e-6).pow_(self._exponent).mul_(params.peak / params.white)
            light = linear.amax(0).mul_(params.white).clamp_(1e-6, params.peak)
            linear *= curve(light, params.peak, params.white).div_(light)
        else:
            linear *= self._looked_up(self._gain, samples.amax(0))
        red, green, blue = linear
        result = torch.empty_like(linear)
        for part, row in zip(result, self._matrix, strict=True):
            torch.mul(red, row[0], out=part).add_(green, alpha=row[1]).add_(blue, alpha=row[2])
        levels = result.clamp_(0, 1).pow_(1 / _DISPLAY_GAMMA).mul_(255).add_(0.5).to(torch.uint8)
        return packed(levels.permute(1, 2, 0), -1)

    def _looked_up(self, table: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
        return table.index_select(0, samples.reshape(-1)).view(samples.shape)


def pq_luminance(signal: torch.Tensor) -> torch.Tensor:
    """Return the luminance in cd/m² of PQ signals 0..1: the EOTF of SMPTE ST 2084."""
    power = signal.pow(1 / _M2)
    return 10_000 * ((power - _C1).clamp(min=0) / (_C2 - _C3 * power)).pow(1 / _M1)


def pq_code(luminance: torch.Tensor) -> torch.Tensor:
    """Return the PQ signals 0..1 of luminances in cd/m², the inverse of :func:`pq_luminance`."""
    power = (luminance / 10_000).pow(_M1)
    return ((_C1 + _C2 * power) / (1 + _C3 * power)).pow(_M2)


def hlg_scene(signal: torch.Tensor) -> torch.Tensor:
    """Return the linear scene light 0..1 of HLG signals 0..1: the inverse of its OETF."""
    return torch.where(signal <= 0.5, signal.square() / 3, (((signal - _C) / _A).exp() + _B) / 12)


def curve(luminance: torch.Tensor, peak: float, white: float) -> torch.Tensor:
    """Compress luminances by the EETF of ITU-R BT.2390, for black levels of 0.

    Args:
        luminance: cd/m², up to ``peak``.
        peak: Luminance of the source's display.
        white: Luminance of the target's.

    Returns:
        cd/m², up to ``white``; dark pixels as they are.
    """
    if peak <= white:
        return luminance.clone()
    scale = float(pq_code(torch.tensor(peak, dtype=torch.float64)))
    highest = float(pq_code(torch.tensor(white, dtype=torch.float64))) / scale
    knee = 1.5 * highest - 0.5
    signal = pq_code(luminance) / scale
    t = ((signal - knee) / (1 - knee)).clamp(min=0)
    bent = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * highest
    return torch.where(signal > knee, pq_luminance(bent * scale), luminance)


def gamut_matrix(primaries: int) -> list[list[float]]:
    """Return the matrix from linear RGB of these primaries, by their number in H.273, to BT.709; BT.2020 if unknown."""
    to_xyz, of_bt709 = (_xyz_matrix(number) for number in (primaries if primaries in _CHROMATICITIES else 9, 1))
    matrix: list[list[float]] = (torch.linalg.inv(of_bt709) @ to_xyz).tolist()
    return matrix


def _xyz_matrix(primaries: int) -> torch.Tensor:
    """Return the matrix from linear RGB to CIE XYZ, by SMPTE RP 177."""

    def xyz(x: float, y: float) -> list[float]:
        return [x / y, 1.0, (1 - x - y) / y]

    columns = torch.tensor([xyz(*place) for place in _CHROMATICITIES[primaries]], dtype=torch.float64).T
    white = torch.tensor(xyz(*_D65), dtype=torch.float64)
    matrix: torch.Tensor = columns * torch.linalg.solve(columns, white)
    return matrix
