"""Shrinking pictures by the usual filters, MATLAB's ``imresize`` among them, and the Y-PSNR of the literature.

Everything here is numpy only and exact where it can be: the bicubic taps for a factor of two are multiples of
1/256, so that sums over 8-bit pixels have no rounding error in float32 and do not depend on their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float32]
Picture = NDArray[np.uint8]

LUMA_WEIGHTS = (65.481, 128.553, 24.966)
"""Of R, G and B on the scale 0..1 in BT.601's luma of limited range, 16..235."""


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


def _lanczos3(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0.0)
    return weights


def _triangle(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = np.maximum(1 - np.abs(distance), 0.0)
    return weights


_KERNELS: Mapping[str, tuple[float, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "bicubic": (2, cubic_kernel),
    "area": (0.5, np.ones_like),
    "lanczos": (3, _lanczos3),
    "bilinear": (1, _triangle),
}
"""Radius, in output pixels, and weights of each shrinking filter, by its distance in output pixels."""
SCALERS = tuple(_KERNELS)
"""Names of the shrinking filters."""


def scaler_taps(name: str = "bicubic", factor: int = 2) -> FloatArray:
    """The weights of a filter that shrinks by a whole even factor, widened by it against aliasing.

    Output pixel i lies at ``factor * i + (factor - 1) / 2`` in the input, in the middle of the taps.  The
    bicubic one is that of MATLAB's ``imresize``.

    Args:
        name: one of ``SCALERS``.
        factor: 2 or 4.

    Returns:
        float32 (2 * radius * factor,), summing to one.
    """
    radius, kernel = _KERNELS[name]
    count = int(2 * radius * factor)
    taps = kernel((np.arange(count) - (count - 1) / 2) / factor)
    normalised: FloatArray = (taps / taps.sum()).astype(np.float32)
    return normalised


def shrink_matrix(n_out: int, taps: FloatArray | None = None, factor: int = 2) -> FloatArray:
    """The matrix that shrinks one axis.

    Args:
        n_out: length of the shrunk axis, pixels.
        taps: weights, an even number of them; the bicubic ones when left out.
        factor: by which the axis shrinks.

    Returns:
        float32 (n_out, factor * n_out + taps - factor): the input carries half the excess on either side.
    """
    weights = scaler_taps(factor=factor) if taps is None else taps
    matrix = np.zeros((n_out, factor * n_out + len(weights) - factor), np.float32)
    for i in range(n_out):
        matrix[i, factor * i : factor * i + len(weights)] = weights
    return matrix


def matlab_shrink(picture: Picture, factor: int = 2) -> Picture:
    """Shrinks a picture as MATLAB's ``imresize(x, 1 / factor)`` does, rounding to 8 bits after each direction.

    Args:
        picture: uint8 (H, W, C); last rows and columns that do not fill an output pixel are cut off.
        factor: 2 or 4.

    Returns:
        uint8 (H // factor, W // factor, C).
    """
    height, width = picture.shape[0] // factor, picture.shape[1] // factor
    margin = (3 * factor // 2, 3 * factor // 2)
    cut = picture[: factor * height, : factor * width].astype(np.float32)
    padded = np.pad(cut, (margin, margin, (0, 0)), mode="symmetric")
    rows = to_uint8(np.tensordot(shrink_matrix(height, factor=factor), padded, axes=(1, 0)))
    return to_uint8(np.matmul(shrink_matrix(width, factor=factor), rows.astype(np.float32)))


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
    if picture.shape[:2] == (2 * height, 2 * width):
        fours = picture.astype(np.uint16).reshape(height, 2, width, 2, -1)
        return ((fours[:, 0, :, 0] + fours[:, 0, :, 1] + fours[:, 1, :, 0] + fours[:, 1, :, 1] + 2) // 4).astype(
            np.uint8
        )
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
    weighted: NDArray[np.float64] = 16 + rgb @ np.array(LUMA_WEIGHTS) / 255
    return weighted


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
