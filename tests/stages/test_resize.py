"""Test the resizing of frames."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bmfgraph as bg
from bmfgraph.nodes.resize import ResizeParams
from bmfgraph.stages.resize import Resize
from tests.conftest import FrameMaker


def resized(
    video_frame: FrameMaker, pixels: np.ndarray, width: int, height: int, mode: Any, antialias: bool = True
) -> Any:
    source = video_frame(3, pixels)
    (result,) = Resize("small", ResizeParams(width, height, mode, antialias, False)).process(source)
    assert (result.index, result.time, result.size) == (3, source.time, (width, height))
    return result.pixels().numpy()


def test_area_averages_the_replaced_pixels(video_frame: FrameMaker) -> None:
    pixels = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)
    expected = pixels.reshape(4, 2, 4, 3, 3).mean(axis=(1, 3))
    assert np.abs(resized(video_frame, pixels, 4, 4, "area") - expected).max() <= 0.5


def test_nearest_takes_the_pixel_under_the_centre(video_frame: FrameMaker) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    expected = pixels[[0, 2, 4]][:, [1, 3, 5]]
    assert np.array_equal(resized(video_frame, pixels, 3, 3, "nearest"), expected)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area"])
@pytest.mark.parametrize("size", [(16, 12), (3, 2), (40, 50)], ids=str)
def test_a_flat_frame_stays_flat(video_frame: FrameMaker, mode: str, size: tuple[int, int]) -> None:
    pixels = np.full((12, 16, 3), (255, 0, 77), np.uint8)
    assert (resized(video_frame, pixels, *size, mode) == (255, 0, 77)).all()


def test_shrinking_without_a_low_pass_skips_pixels(video_frame: FrameMaker) -> None:
    stripes = np.zeros((8, 64, 3), np.uint8)
    stripes[:, ::4] = 240
    assert np.abs(resized(video_frame, stripes, 16, 8, "bilinear")[:, 1:-1].astype(int) - 60).max() <= 15
    assert (resized(video_frame, stripes, 16, 8, "bilinear", antialias=False) == 0).all()


def test_a_pipeline_shrinks_frames_and_keeps_their_times(clip: Callable[..., Path]) -> None:
    pipeline = bg.Pipeline("shrink")
    source = pipeline.add("source", "decoder", path=str(clip(size=(64, 48), frames=4)))
    small = pipeline.add("small", "resize", source.video, size=[24, 0], mode="area")
    pipeline.add("sink", "encoder", small, container="null")
    job = bg.Job(pipeline)
    with contextlib.closing(job.stream("source", "small")) as stream:
        pairs = [(before, after, before.numpy(), after.numpy()) for before, after in stream]
    assert len(pairs) == 4
    for before, after, large, little in pairs:
        assert before.pts == after.pts
        expected = large.reshape(24, 2, 32, 2, 3).mean(axis=(1, 3))
        assert np.abs(little - expected).max() <= 0.5
