"""Convert a model's values to RGB levels by one CUDA kernel, which passes over them once instead of four times."""

from __future__ import annotations

from functools import lru_cache

import torch

from bmfgraph.stages.cuda_kernels import compiled

__all__ = ["LevelsKernel", "levels_kernel"]

_BLOCK = 256
"""Threads of a block; each converts one value in so many columns."""
_COLUMNS = 4
"""Columns of a thread: several loads on their way at once hide the latency of the memory."""
_SOURCE = """
extern "C" __global__ void levels(const float* __restrict__ values, OUT* __restrict__ result, int width, int channels,
                                  int from_frame, int from_row, int from_column, int from_channel,
                                  int to_frame, int to_row, int to_column, int to_channel,
                                  float scale_0, float scale_1, float scale_2,
                                  float offset_0, float offset_1, float offset_2)
{
    int channel = blockIdx.z % channels;
    long long frame = blockIdx.z / channels, row = blockIdx.y;
    float scale = channel == 0 ? scale_0 : channel == 1 ? scale_1 : scale_2;
    float offset = channel == 0 ? offset_0 : channel == 1 ? offset_1 : offset_2;
    values += frame * from_frame + row * from_row + channel * from_channel;
    result += frame * to_frame + row * to_row + channel * to_channel;
    int first = blockIdx.x * BLOCK * COLUMNS + threadIdx.x;
    #pragma unroll
    for (int i = 0; i < COLUMNS; i++) {
        int column = first + i * BLOCK;
        if (column < width)
            result[(long long)column * to_column] =
                (OUT)fminf(fmaxf(values[(long long)column * from_column] * scale + offset, 0.0f), MOST);
    }
}
"""


class LevelsKernel:
    """Compute scale * value + offset, cut to 0..most, as integers.

    Args:
        dtype: uint8 or uint16.
        most: Largest level.
    """

    def __init__(self, dtype: torch.dtype, most: int) -> None:
        self._dtype = dtype
        text = "unsigned char" if dtype == torch.uint8 else "unsigned short"
        self._launch = compiled(
            _SOURCE, "levels", {"OUT": text, "MOST": f"{most}.0f", "BLOCK": _BLOCK, "COLUMNS": _COLUMNS}
        )

    def __call__(
        self, values: torch.Tensor, scale: tuple[float, ...], offset: tuple[float, ...]
    ) -> torch.Tensor | None:
        """Convert pictures on the GPU.

        Args:
            values: float32 [count, height, width, channels], 1 or 3 channels, with any strides.
            scale: For each channel, or for all.
            offset: Likewise; with the half that rounds to the nearest.

        Returns:
            Levels of the same shape and, where it has no gaps, the same layout in memory; None where the kernel
            cannot run.
        """
        count, height, width, channels = values.shape
        if self._launch is None or channels not in (1, 3) or count * channels > 65535 or height > 65535:
            return None
        result = torch.empty_like(values, dtype=self._dtype)
        grid = (-(-width // (_BLOCK * _COLUMNS)), height, count * channels)
        numbers = [part for numbers in (scale, offset) for part in (numbers * 3)[:3]]
        self._launch(
            grid=grid,
            block=(_BLOCK, 1, 1),
            args=[values, result, width, channels, *values.stride(), *result.stride(), *numbers],
        )
        return result


@lru_cache(maxsize=2)
def levels_kernel(dtype: torch.dtype, most: int) -> LevelsKernel:
    """Return the kernel of a depth, compiled once."""
    return LevelsKernel(dtype, most)
