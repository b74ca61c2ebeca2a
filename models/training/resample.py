"""Shrinking pictures as MATLAB's ``imresize`` and as area averaging do, and the Y-PSNR of the literature.

Everything here is numpy only and exact where it can be: the bicubic taps for a factor of two are multiples of
1/256, so that sums over 8-bit pixels have no rounding error in float32 and do not depend on their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float32]
Picture = NDArray[np.uint8]

TAPS_BY_TWO = 8
"""Taps of a bicubic kernel that is widened by two for antialiasing."""
MARGIN_BY_TWO = 3
"""Pixels that the widened kernel needs on either side of the picture."""


def cubic_kernel(distance: ArrayLike, a: float = -0.5) -> NDArray[np.float64]:
    """Keys' cubic convolution kernel, the one behind "bicubic" in MATLAB and Pillow.

    Source: R. G. Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 29(6),
        1981.

    Args:
        distance: distances from the sample, in pixels, of any shape.
        a: slope at distance 1; -0.5 gives Keys' third-order kernel.

    Returns:
        The weights as float64, of the shape of ``distance``; zero from distance 2 on.
    """
    x = np.abs(np.asarray(distance, dtype=np.float64))
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    weights: NDArray[np.float64] = np.where(x <= 1, near, np.where(x < 2, far, 0.0))
    return weights


def bicubic_taps_by_two() -> FloatArray:
    """The eight weights of MATLAB's ``imresize(x, 0.5)``, float32, summing to one.

    Output pixel i lies at 2i + 0.5 in the input; MATLAB widens the kernel by the factor to avoid aliasing.
    """
    taps = cubic_kernel((np.arange(TAPS_BY_TWO) - 3.5) / 2) / 2
    normalised: FloatArray = (taps / taps.sum()).astype(np.float32)
    return normalised


def area_taps_by_two() -> FloatArray:
    """The mean of two neighbours, float32, written as eight taps so that it can replace the bicubic ones."""
    taps = np.zeros(TAPS_BY_TWO, np.float32)
    taps[3:5] = 0.5
    return taps


def halving_matrix(n_out: int, taps: FloatArray | None = None) -> FloatArray:
    """The matrix that halves one axis.

    Args:
        n_out: length of the halved axis, pixels.
        taps: eight weights; the bicubic ones when left out.

    Returns:
        float32 of shape (n_out, 2 * n_out + 6): the input carries a margin of three pixels on either side.
    """
    weights = bicubic_taps_by_two() if taps is None else taps
    matrix = np.zeros((n_out, 2 * n_out + 2 * MARGIN_BY_TWO), np.float32)
    for i in range(n_out):
        matrix[i, 2 * i : 2 * i + TAPS_BY_TWO] = weights
    return matrix


def matlab_half(picture: Picture) -> Picture:
    """Halves a picture as MATLAB's ``imresize(x, 0.5)`` does, rounding to 8 bits after each direction.

    Args:
        picture: uint8 of shape (H, W, C), at least 6 pixels a side; an odd last row or column is cut off.

    Returns:
        uint8 of shape (H // 2, W // 2, C).
    """
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    margin = (MARGIN_BY_TWO, MARGIN_BY_TWO)
    padded = np.pad(picture[: 2 * height, : 2 * width].astype(np.float32), (margin, margin, (0, 0)), mode="symmetric")
    rows = to_uint8(np.tensordot(halving_matrix(height), padded, axes=(1, 0)))
    return to_uint8(np.matmul(halving_matrix(width), rows.astype(np.float32)))


def area_shrink(picture: Picture, width: int, height: int) -> Picture:
    """Shrinks a picture by the mean over the area that each output pixel covers, by any factor.

    The cumulative sum is read at the (fractional) pixel borders, so the cost does not grow with the factor.

    Args:
        picture: uint8 of shape (H, W, C).
        width: output width, pixels, at most W.
        height: output height, pixels, at most H.

    Returns:
        uint8 of shape (height, width, C), halves rounded up.

    Raises:
        ValueError: the output would be empty or larger than the input.
    """
    if not (0 < height <= picture.shape[0] and 0 < width <= picture.shape[1]):
        raise ValueError(f"cannot area-shrink {picture.shape[1]}x{picture.shape[0]} to {width}x{height}")
    rows = _area_mean_rows(picture.astype(np.float64), height)
    both = _area_mean_rows(rows.swapaxes(0, 1), width).swapaxes(0, 1)
    return np.clip(np.floor(both + 0.5), 0, 255).astype(np.uint8)


def _area_mean_rows(values: NDArray[np.float64], n_out: int) -> NDArray[np.float64]:
    """Means of ``n_out`` equal stretches along the first axis."""
    n_in = values.shape[0]
    integral = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    borders = np.arange(n_out + 1) * (n_in / n_out)
    whole = np.minimum(borders.astype(int), n_in - 1)
    fraction = (borders - whole)[:, None, None]
    means: NDArray[np.float64] = np.diff(integral[whole] + fraction * values[whole], axis=0) * (n_out / n_in)
    return means


def to_uint8(values: NDArray[Any]) -> Picture:
    """Rounds to the nearest integer (halves to even) and clips to 0..255."""
    rounded: Picture = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def luma(picture: NDArray[Any]) -> NDArray[np.float64]:
    """BT.601 studio-range luma of an RGB picture (..., 3) on the scale 0..255, as MATLAB's ``rgb2ycbcr``."""
    rgb = picture.astype(np.float64)
    return 16 + (65.481 * rgb[..., 0] + 128.553 * rgb[..., 1] + 24.966 * rgb[..., 2]) / 255


def y_psnr(picture: NDArray[Any], reference: NDArray[Any], border: int = 2) -> float:
    """Peak signal-to-noise ratio of the luma, in dB.

    Args:
        picture: RGB of shape (H, W, 3) on the scale 0..255.
        reference: the same shape and scale.
        border: pixels left out on every side, at least 1; the literature leaves out as many as the scale
            factor.

    Returns:
        dB; infinity for equal luma.

    Raises:
        ValueError: the shapes differ.
    """
    if picture.shape != reference.shape:
        raise ValueError(f"pictures of shapes {picture.shape} and {reference.shape} cannot be compared")
    inside = slice(border, -border)
    difference = (luma(picture) - luma(reference))[inside, inside]
    mean_square = float(np.mean(difference**2))
    return float("inf") if mean_square == 0 else 10 * float(np.log10(255**2 / mean_square))
