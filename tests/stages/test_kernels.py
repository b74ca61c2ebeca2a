"""Test that the CUDA kernels compute what torch's operations do; the CPU runs them in place of a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bmfgraph.plan.types import ColorSpec, TensorMeaning
from bmfgraph.stages import color, color_kernel, levels_kernel
from bmfgraph.stages.color import ToRgb
from bmfgraph.stages.frames import levels
from bmfgraph.stages.levels_kernel import Levels
from tests.stages.cuda_emulator import Emulator
from tests.stages.test_frames import work


@pytest.fixture
def emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    emulator = Emulator(tmp_path)
    for module in (color_kernel, levels_kernel):
        monkeypatch.setattr(module, "compiled", emulator.compiled)
    return emulator


@pytest.mark.parametrize("deep", [False, True], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("channels", [1, 3])
def test_levels(emulator: Emulator, deep: bool, channels: int) -> None:
    unit = 257 if deep else 1
    mean, std = ((3, 2, 1), (250, 251, 255)) if channels == 3 else ((2,), (255,))
    params = work(meaning=TensorMeaning("NCHW", "RGB" if channels == 3 else "GRAY", mean, std), deep=deep)
    numbers = Levels(
        tuple(value * unit for value in std), tuple(value * unit + 0.5 for value in mean), 255 * unit, deep
    )
    kernel = levels_kernel.levels_kernel.__wrapped__(numbers)
    assert kernel is not None
    assert emulator.built == 1
    generator = torch.Generator().manual_seed(1)
    for size in ((1, 1), (5, 1023), (4, 1025), (3, 2049)):
        whole = torch.rand(3, *size, 2 * channels, generator=generator) * 1.4 - 0.2
        part = whole[..., 1 : 1 + channels]
        planar = part.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
        for values in (part.contiguous(), part, planar):
            expected, result = levels(values.clone(), params), kernel(values).expand(-1, -1, -1, 3)
            assert result.dtype == expected.dtype
            difference = (result.int() - expected.int()).abs()
            # Torch rounds after the product and after the sum, or once.
            assert difference.max() <= 1
            assert difference.float().mean() < 1e-3


@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "p010le", "yuv444p10le", "nv16"])
@pytest.mark.parametrize("size", [(64, 48), (37, 21)], ids=str)
@pytest.mark.parametrize("deep", [False, True], ids=["8 bits", "16 bits"])
def test_yuv_to_rgb(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, pixel_format: str, size: tuple[int, int], deep: bool
) -> None:
    (width, height), generator = size, torch.Generator().manual_seed(1)
    numbers: list[color_kernel.YuvToRgb] = []
    monkeypatch.setattr(color, "kernel_of", numbers.append)
    spec = ColorSpec("bt709", False)
    by_torch = ToRgb(pixel_format, spec, "left", width, height, torch.device("cpu"), deep=deep)
    # A converter for a GPU can be prepared without one only as far as its numbers.
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *_: self)
    ToRgb(pixel_format, spec, "left", width, height, torch.device("cuda"), deep=deep)
    monkeypatch.undo()
    monkeypatch.setattr(color_kernel, "compiled", emulator.compiled)
    kernel = color_kernel.kernel_of.__wrapped__(numbers[0])
    assert kernel is not None
    format_ = numbers[0].format
    columns, rows = -(-width // format_.subsample_x), -(-height // format_.subsample_y)
    shapes = [(2, height, width), (2, rows, columns), (2, rows, columns)]
    if format_.layout != "planar":
        shapes = [(2, height, width), (2, rows, 2 * columns)]
    dtype = torch.uint8 if format_.bits == 8 else torch.int16
    shift = 6 if pixel_format.startswith("p0") else 0
    most = (1 << min(format_.bits, 10)) - 1
    planes = [
        (torch.randint(0, most + 1, shape, generator=generator) << shift).to(torch.int32).to(dtype) for shape in shapes
    ]
    expected, result = by_torch.batch(planes), kernel(planes, width, height)
    assert result.dtype == expected.dtype
    assert (result.int() - expected.int()).abs().max() <= 1
