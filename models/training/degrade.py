"""Damage that training does to its low-resolution pictures: 8-bit rounding and block-transform coding."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

# ITU-T T.81 (JPEG), Annex K, tables K.1 and K.2.
_LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
)
# ITU-T T.871 (JFIF): full-range BT.601 YCbCr.
_RGB_TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))

BLOCK = 8
CODED_SIDE_MULTIPLE = 2 * BLOCK
"""Sides that the codec takes are multiples of this: a chroma block covers 16 pixels of the picture."""


def round_to_8_bits(x: Tensor) -> Tensor:
    """Clips to 0..1 and rounds to multiples of 1/255."""
    return (x.clamp(0, 1) * 255).round() / 255


def dct_matrix() -> Tensor:
    """The orthonormal 8-point DCT-II, float32 (8, 8); row i is frequency i."""
    rows = [
        [
            math.cos((2 * j + 1) * i * math.pi / (2 * BLOCK)) * math.sqrt((1 if i == 0 else 2) / BLOCK)
            for j in range(BLOCK)
        ]
        for i in range(BLOCK)
    ]
    return torch.tensor(rows, dtype=torch.float32)


class BlockCodec:
    """What JPEG does to a picture, without the entropy coding: 4:2:0 chroma, 8x8 DCT, quantisation.

    It stands for JPEG and for lightly coded video; it runs on the training device, with a quality per sample.
    Quality scales the tables as the Independent JPEG Group's encoder does.

    Args:
        device: where the tables lie; pictures must lie there too.
    """

    def __init__(self, device: torch.device) -> None:
        self._dct = dct_matrix().to(device)
        self._luma_table = torch.tensor(_LUMA_TABLE, dtype=torch.float32, device=device)
        self._chroma_table = torch.tensor(_CHROMA_TABLE, dtype=torch.float32, device=device)
        self._to_ycbcr = torch.tensor(_RGB_TO_YCBCR, device=device)
        self._to_rgb = torch.linalg.inv(self._to_ycbcr)

    def __call__(self, x: Tensor, quality: Tensor) -> Tensor:
        """Codes and decodes pictures.

        Args:
            x: float32 (N, 3, H, W), RGB in 0..1, sides multiples of 16.
            quality: float32 (N,), 1 to 100.

        Returns:
            float32 of the shape of ``x``, in 0..1, not rounded to 8 bits.
        """
        n, _, height, width = x.shape
        scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)
        ycbcr = torch.einsum("oc,nchw->nohw", self._to_ycbcr, x * 255)
        luma = self._code_plane(ycbcr[:, 0] - 128, self._luma_table, scale) + 128
        small = F.avg_pool2d(ycbcr[:, 1:], 2).reshape(n * 2, height // 2, width // 2)
        small = self._code_plane(small, self._chroma_table, scale.repeat_interleave(2))
        chroma = F.interpolate(
            small.reshape(n, 2, height // 2, width // 2), scale_factor=2, mode="bilinear", align_corners=False
        )
        rgb = torch.einsum("oc,nchw->nohw", self._to_rgb, torch.cat([luma[:, None], chroma], 1))
        return (rgb / 255).clamp(0, 1)

    def _code_plane(self, plane: Tensor, table: Tensor, scale: Tensor) -> Tensor:
        """Quantises the blocks' DCT coefficients of planes (N, H, W) centred on zero."""
        n, height, width = plane.shape
        blocks = plane.reshape(n, height // BLOCK, BLOCK, width // BLOCK, BLOCK).permute(0, 1, 3, 2, 4)
        steps = (table * scale[:, None, None]).clamp(min=1.0)[:, None, None]
        coefficients = self._dct @ blocks @ self._dct.T
        coefficients = (coefficients / steps).round() * steps
        blocks = self._dct.T @ coefficients @ self._dct
        return blocks.permute(0, 1, 3, 2, 4).reshape(n, height, width)
