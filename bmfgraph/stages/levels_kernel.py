"""Convert a model's values to RGB levels by one CUDA kernel, which passes over them once instead of four times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch

from bmfgraph.stages.cuda_kernels import compiled, number, table

__all__ = ["SOURCE", "Levels", "levels_kernel"]

_BLOCK = 256
"""Threads of a block; each converts one value in so many columns."""
_COLUMNS = 4
"""Columns of a thread: several loads on their way at once hide the latency of the memory."""
SOURCE = """
extern "C" __global__ void levels(const float* __restrict__ values, OUT* __restrict__ result, int width,
                                  int from_frame, int from_row, int from_column, int from_channel,
                                  int to_frame, int to_row, int to_column, int to_channel)
{
    const float scales[CHANNELS] = SCALES, offsets[CHANNELS] = OFFSETS;
    int channel = blockIdx.z % CHANNELS;
    long long frame = blockIdx.z / CHANNELS, row = blockIdx.y;
    float scale = scales[channel], offset = offsets[channel];
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


@dataclass(frozen=True)
class Levels:
    """The numbers of a conversion: scale * value + offset, cut to 0..most.

    Attributes:
        scale: For each channel.
        offset: Likewise; with the half that rounds to the nearest.
        most: Largest level.
        deep: Whether the result has 16 bits.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    most: int
    deep: bool

    @property
    def values(self) -> dict[str, object]:
        """The text for each name that the kernel's source leaves open."""
        return {
            "OUT": "unsigned short" if self.deep else "unsigned char",
            "CHANNELS": len(self.scale),
            "SCALES": table(self.scale),
            "OFFSETS": table(self.offset),
            "MOST": number(self.most),
            "BLOCK": _BLOCK,
            "COLUMNS": _COLUMNS,
        }


@lru_cache(maxsize=16)
def levels_kernel(numbers: Levels) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Compile the kernel of a conversion.

    Returns:
        A function of float32 [count, height, width, channels] on the GPU, with any strides, that returns the levels
        in the same shape and, where it has no gaps, the same layout in memory; None where torch cannot compile kernels.
    """
    kernel = compiled(SOURCE, "levels", numbers.values)
    if kernel is None:
        return None

    def convert(values: torch.Tensor) -> torch.Tensor:
        count, height, width, channels = values.shape
        result = torch.empty_like(values, dtype=torch.uint16 if numbers.deep else torch.uint8)
        kernel(
            grid=(-(-width // (_BLOCK * _COLUMNS)), height, count * channels),
            block=(_BLOCK, 1, 1),
            args=[values, result, width, *values.stride(), *result.stride()],
        )
        return result

    return convert
