"""Test that pictures in tiles come back as they were, and that a network's result has no seams."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from bmfgraph.nodes.stitch import Side
from bmfgraph.nodes.tiles import TilesParams
from bmfgraph.plan.types import Tiling
from bmfgraph.stages.items import Frame, Sample
from bmfgraph.stages.stitch import weights
from bmfgraph.stages.tiles import CutTiles
from tests.stages.tiling import cut_and_stitched
from tests.tools import opened


def picture(height: int, width: int, dtype: torch.dtype = torch.float32, layout: str = "NCHW") -> torch.Tensor:
    """Return random levels, [1, 3, height, width] or [1, height, width, 3]."""
    values = torch.randint(0, 256, (1, 3, height, width), generator=torch.Generator().manual_seed(height * width))
    values = values.to(dtype)
    return values if layout == "NCHW" else values.permute(0, 2, 3, 1).contiguous()


def enlarged(tiles: torch.Tensor, layout: str, scale: int) -> torch.Tensor:
    """Repeat each pixel."""
    for axis in (2, 3) if layout == "NCHW" else (1, 2):
        tiles = tiles.repeat_interleave(scale, axis)
    return tiles


# Larger and smaller than a tile, divided with and without rest, and one pixel.
SIZES = [(16, 16), (16, 17), (31, 40), (48, 33), (5, 40), (9, 3), (1, 1)]


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float16])
@pytest.mark.parametrize("overlap", [0, 1, 5, 8, 13])
def test_the_identity_gives_the_picture_back(overlap: int, dtype: torch.dtype, layout: str, scale: int) -> None:
    for height, width in SIZES:
        source = picture(height, width, dtype, layout)
        result = cut_and_stitched(
            source, (16, 12), overlap % 12, lambda tiles: enlarged(tiles, layout, scale), layout=layout, scale=scale
        )
        expected = enlarged(source, layout, scale)
        assert result.dtype == dtype
        if dtype == torch.uint8:
            assert torch.equal(result, expected)
        else:
            # The weights add up to 1 within a few units in the last place.
            torch.testing.assert_close(result, expected, rtol=0, atol=1e-4 if dtype == torch.float32 else 0.125)


@pytest.mark.parametrize(("height", "width"), [(40, 64), (61, 45), (24, 100)])
def test_a_network_of_small_reach_gives_the_result_for_the_whole_picture(height: int, width: int) -> None:
    # Two convolutions reach 2 pixels, and an overlap of 8 leaves out 2 pixels at each inner edge of a tile.
    kernels = torch.randn((2, 3, 3, 3, 3), generator=torch.Generator().manual_seed(1))

    def network(tiles: torch.Tensor) -> torch.Tensor:
        for kernel in kernels:
            tiles = F.conv2d(tiles, kernel, padding=1)
        return tiles

    source = picture(height, width) / 255
    whole = network(source)
    torch.testing.assert_close(cut_and_stitched(source, (24, 24), 8, network), whole, rtol=0, atol=1e-4)
    # With less overlap only the pixels near seams differ.
    off = (cut_and_stitched(source, (24, 24), 4, network) - whole).abs().amax(dim=(0, 1))
    assert off.max() > 1e-2
    assert off[:16, :16].max() < 1e-4


def test_tiles_begin_at_multiples_and_the_last_ones_end_with_the_picture() -> None:
    tiling = Tiling(16, 16, (0, 8, 16, 24), (0, 8, 16), 40, 32, 5)
    source = picture(32, 40, torch.uint8)
    params = TilesParams(tiling, 2, 3)
    (sample,) = opened(CutTiles("t", params)).process(Sample({"x": source}, (Frame(0),)))
    tiles = sample.tensors["x"]
    assert tiles.shape == (12, 3, 16, 16)
    assert torch.equal(tiles[0], source[0, :, :16, :16])
    assert torch.equal(tiles[6], source[0, :, 8:24, 16:32])
    assert torch.equal(tiles[11], source[0, :, 16:, 24:])
    assert torch.equal(cut_and_stitched(source, (16, 16), 5, multiple=8), source)


def test_a_small_picture_is_continued_by_its_reflection() -> None:
    def continued(width: int) -> list[float]:
        params = TilesParams(Tiling(8, 1, (0,), (0,), width, 1, 0), 2, 3)
        row = torch.arange(width, dtype=torch.uint8).view(1, 1, 1, width)
        (sample,) = opened(CutTiles("t", params)).process(Sample({"x": row}, (Frame(0),)))
        values: list[float] = sample.tensors["x"].flatten().tolist()
        return values

    assert continued(5) == [0, 1, 2, 3, 4, 3, 2, 1]
    assert continued(3) == [0, 1, 2, 1, 0, 1, 2, 1]
    assert continued(1) == [0] * 8


def test_a_map_of_three_dims_is_stitched_too() -> None:
    # As a model's output of depth [batch, height, width], at half the size of its input.
    from bmfgraph.nodes.stitch import StitchParams
    from bmfgraph.stages.stitch import Stitch

    params = StitchParams("depth", Side(1, (0, 4), 8, 12, 4.0), Side(2, (0,), 6, 6, 4.0))
    depth = torch.arange(72, dtype=torch.float32).view(12, 6)
    tiles = torch.stack([depth[:8], depth[4:]])
    (whole,) = opened(Stitch("s", params)).process(Sample({"depth": tiles}, (Frame(0),)))
    torch.testing.assert_close(whole.tensors["depth"], depth[None])


def test_weights_rise_linearly_over_the_middle_of_the_overlap() -> None:
    first, last = weights(Side(2, (0, 8), 16, 24, 8.0))
    ramp = [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1]
    assert last.tolist() == [*ramp, *[1.0] * 8]
    assert first.tolist() == [*[1.0] * 8, *ramp[::-1]]
    # The last tile was moved inwards, and three tiles overlap.
    total = torch.zeros(26, dtype=torch.float64)
    for start, share in zip((0, 8, 10), weights(Side(2, (0, 8, 10), 16, 26, 8.0)), strict=True):
        total[start : start + 16] += share
        assert share.min() >= 0
    torch.testing.assert_close(total, torch.ones(26, dtype=torch.float64))
