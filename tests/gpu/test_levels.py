"""Test that the kernel for levels computes what torch's operations do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from bmfgraph.plan.types import TensorMeaning
from bmfgraph.stages.frames import levels
from bmfgraph.stages.levels_kernel import Levels, levels_kernel
from tests.stages.test_frames import work

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("deep", [False, True], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("size", [(1, 1), (45, 1023), (4, 1025), (720, 1280)], ids=str)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "part"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_kernel_gives_the_levels_of_torch(
    deep: bool, size: tuple[int, int], layout: str, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(1)
    values = (torch.rand(3, *size, 3, generator=generator) * 1.4 - 0.2).to(dtype)
    if layout == "NCHW":
        values = values.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    elif layout == "part":
        values = torch.cat([values, values], dim=3)[..., 2:5]
    params = work(meaning=TensorMeaning(mean=(3, 2, 1), std=(250, 251, 255)), deep=deep)
    expected = levels(values, params)
    result = levels(values.cuda(), params)
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    difference = (result.cpu().int() - expected.int()).abs()
    # A product and a sum are rounded once on the GPU, and twice on the CPU.
    assert difference.max() <= 1
    assert difference.float().mean() < (0.01 if deep else 1e-4)


def test_the_kernel_can_be_compiled() -> None:
    assert levels_kernel(Levels((2.0,), (0.5,), 255, False)) is not None


def test_a_kernel_can_be_compiled_as_the_first_work_of_a_thread() -> None:
    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(levels_kernel, Levels((3.0,), (0.25,), 255, False)).result() is not None
