"""Test that the CUDA kernels compute what torch's operations do; the CPU runs them in place of a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bmfgraph.nodes.overlay import OverlayParams
from bmfgraph.plan.types import ColorSpec, TensorMeaning
from bmfgraph.stages import box_kernel, color, color_kernel, levels_kernel
from bmfgraph.stages.box_kernel import BoxPainter
from bmfgraph.stages.canvas import Canvas
from bmfgraph.stages.color import ToRgb
from bmfgraph.stages.frames import levels
from bmfgraph.stages.levels_kernel import Levels
from bmfgraph.stages.overlay import draw_results
from bmfgraph.stages.results import Box, Detections
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


@pytest.mark.sample(6)
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


@pytest.mark.parametrize(("label", "color", "size"), [(True, None, 12), (False, None, 12), (True, (3, 200, 90), 9)])
def test_boxes_and_labels(
    emulator: Emulator, label: bool, color: tuple[int, int, int] | None, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box_kernel, "compiled", emulator.compiled)
    monkeypatch.setattr(box_kernel, "_kernels", box_kernel._kernels.__wrapped__)
    random, (width, height) = np.random.default_rng(7), (333, 210)
    params = OverlayParams(color, 3, label, size, 0.5, 0.3, ((), ()), (-1, -1))
    painter = BoxPainter(params, torch.device("cpu"))

    def found(count: int, ids: bool) -> Detections:
        corners = random.uniform(-60, 380, (count, 4)).astype(np.float32)
        corners[:, 2:] = corners[:, :2] + random.uniform(-2, 160, (count, 2))
        corners[::7, 1] = np.nan
        corners[1::9, 3] = np.inf
        scores = random.choice([0.125, 0.375, 0.999, 1.0, 0.0, -0.001, 1.5, *random.uniform(0, 1, 40)], count)
        names = ("a", "class two", "日本", "x" * 90)
        own = np.arange(count) * 1000 if ids else None
        return Detections(None, corners, scores.astype(np.float32), np.arange(count) % 4, names, ids=own)  # type: ignore[arg-type]

    # Three batches: the texts of the second are new, and the third has no objects.
    for counts in ((0, 40, 3), (25, 0, 60), (0, 0, 0)):
        results = [[found(count, False), found(count // 2, True)] for count in counts]
        images = [random.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in counts]
        drawn = painter.drawn([torch.from_numpy(image) for image in images], results)
        assert drawn is not None
        for image, own, actual in zip(images, results, drawn.numpy(), strict=True):
            expected = image.copy()
            draw_results(Canvas(expected), own, params)
            assert np.array_equal(actual, expected)
            assert np.array_equal(expected, image) == (not any(len(result.scores) for result in own))


def test_other_results_are_drawn_elsewhere(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box_kernel, "compiled", emulator.compiled)
    monkeypatch.setattr(box_kernel, "_kernels", box_kernel._kernels.__wrapped__)
    painter = BoxPainter(OverlayParams(None, 1, True, 12, 0.5, 0.3, ((),), (-1,)), torch.device("cpu"))
    turned = Detections.of(None, Box("a", 0.5, 1, 2, 30, 40, angle=0.2))  # type: ignore[arg-type]
    assert painter.drawn([torch.zeros((50, 50, 3), dtype=torch.uint8)], [[turned]]) is None
