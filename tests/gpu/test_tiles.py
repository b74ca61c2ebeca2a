"""Test that pictures are cut and stitched, and objects in tiles found, on the GPU as on the CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bmfgraph.stages.detections import Detect
from bmfgraph.stages.items import Frame, Sample
from tests.stages.test_tiled_detections import detector
from tests.stages.tiling import cut_and_stitched

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16])
@pytest.mark.parametrize("size", [(61, 45), (20, 100)])
def test_tiles_come_back_as_the_picture(size: tuple[int, int], dtype: torch.dtype) -> None:
    picture = torch.randint(0, 256, (1, 3, *size)).to(dtype)
    result = cut_and_stitched(picture, (24, 24), 8, device="cuda")
    assert result.is_cuda
    assert (result.cpu().float() - picture.float()).abs().max() <= (0 if dtype == torch.uint8 else 0.125)


def test_boxes_that_a_tile_has_cut_lose_in_the_recorded_graph() -> None:
    stage = Detect("objects", detector())
    stage.device = "cuda"
    stage.open()
    results: list[Any] = []
    for index in range(5):
        table = torch.zeros(6, 3, 6, device="cuda")
        # The object is cut by tile 0, whose score for it is better.
        table[0, 0, :5] = torch.tensor([92.0, 10, 100, 30, 0.99])
        table[1, 0, :5] = torch.tensor([32.0, 10, 52, 30 + index, 0.9])
        results += stage.process(Sample({"output0": table}, (Frame(index),)))
    results += stage.finish()
    assert [result.corners.tolist() for result in results] == [[[184, 20, 224, 60 + 2 * index]] for index in range(5)]
