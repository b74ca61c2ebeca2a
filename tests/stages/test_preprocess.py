"""Test the conversion of frames to tensors against Pillow and numpy."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bmfgraph.nodes.preprocess import Transform
from bmfgraph.plan.types import TensorMeaning
from bmfgraph.stages.preprocess import Preprocess, apply
from tests.conftest import FrameMaker
from tests.tools import Pixels, frames, node, opened, picture, want


def transform(**options: Any) -> Transform:
    settings: dict[str, Any] = {
        "crop": None,
        "resize": None,
        "mode": "bilinear",
        "antialias": True,
        "pad": (0, 0, 0, 0),
        "pad_value": 0,
        "meaning": TensorMeaning(),
        "dtype": "uint8",
        "name": "x",
    }
    return Transform(**(settings | options))


def run(pixels: Pixels, **options: Any) -> torch.Tensor:
    inputs = torch.from_numpy(pixels.copy())
    kept = inputs.clone()
    actual = apply(inputs[None], transform(**options))
    assert torch.equal(inputs, kept), "a decoder's frame must not be written into"
    assert actual.is_contiguous()
    return actual


def noise(width: int, height: int) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3)).astype(np.uint8)


SIZES = [(32, 24), (17, 31), (128, 96), (200, 20)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("mode", "filter"), [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)]
)
@pytest.mark.parametrize("make", [noise, lambda width, height: picture(0, width, height)], ids=["noise", "smooth"])
def test_smooth_resizing_is_pillows(size: tuple[int, int], mode: str, filter: Any, make: Any) -> None:
    pixels = make(64, 48)
    actual = run(pixels, resize=size, mode=mode)[0].permute(1, 2, 0).numpy().astype(int)
    expected = np.asarray(Image.fromarray(pixels).resize(size, filter)).astype(int)
    assert actual.shape == expected.shape
    # Both round after each direction. Bicubic overshoots, so the order of the directions matters where one side
    # shrinks and the other grows.
    exact = mode == "bilinear" or (size[0] > 64) == (size[1] > 48)
    assert (np.abs(actual - expected) <= 1).mean() >= (1 if exact else 0.95)


@pytest.mark.parametrize("size", SIZES)
def test_nearest_is_pillows(size: tuple[int, int]) -> None:
    pixels = noise(64, 48)
    actual = run(pixels, resize=size, mode="nearest")[0].permute(1, 2, 0).numpy()
    expected = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST))
    # In other ratios, centres on the edge between two pixels may go either way.
    across, down = (
        [old % new == 0 or new % old == 0 or Fraction(2 * at + 1, 2) * old / new % 1 != 0 for at in range(new)]
        for old, new in zip((64, 48), size, strict=True)
    )
    assert np.array_equal(actual[down][:, across], expected[down][:, across])
    assert np.mean(down) > 0.7


@pytest.mark.parametrize("factor", [2, 4])
def test_area_is_the_mean_of_each_block(factor: int) -> None:
    pixels = noise(64, 48)
    actual = run(pixels, resize=(64 // factor, 48 // factor), mode="area")[0].permute(1, 2, 0).numpy()
    blocks = pixels.reshape(48 // factor, factor, 64 // factor, factor, 3).mean(axis=(1, 3))
    assert np.abs(actual - blocks).max() <= 0.5


def test_without_antialias_only_the_four_neighbours_count() -> None:
    pixels = noise(64, 48)
    actual = run(pixels, resize=(16, 12), mode="bilinear", antialias=False)[0].permute(1, 2, 0).numpy()
    # The centres of the small pixels lie between the second and third of each four pixels.
    corners = pixels.astype(float)
    expected = (corners[1::4, 1::4] + corners[1::4, 2::4] + corners[2::4, 1::4] + corners[2::4, 2::4]) / 4
    assert np.abs(actual - expected).max() <= 1
    assert np.abs(actual - run(pixels, resize=(16, 12))[0].permute(1, 2, 0).numpy().astype(int)).max() > 10


def test_crop_then_resize_then_pad() -> None:
    pixels = noise(64, 48)
    actual = run(pixels, crop=(10, 5, 20, 30), resize=(10, 15), pad=(1, 2, 3, 4), pad_value=114)
    assert actual.shape == (1, 3, 2 + 15 + 4, 1 + 10 + 3)
    expected = Image.fromarray(pixels).crop((10, 5, 30, 35)).resize((10, 15), Image.Resampling.BILINEAR)
    inner = actual[0, :, 2:17, 1:11].permute(1, 2, 0).numpy().astype(int)
    assert np.abs(inner - np.asarray(expected).astype(int)).max() <= 1
    actual[0, :, 2:17, 1:11] = 114
    assert (actual == 114).all()


def test_the_pad_is_normalised_like_the_picture() -> None:
    actual = run(
        noise(4, 4), pad=(0, 0, 2, 0), pad_value=127, meaning=TensorMeaning(mean=(127,), std=(128,)), dtype="float32"
    )
    assert (actual[..., 4:] == 0).all()


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", ["RGB", "BGR", "GRAY"])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "int32", "float64"])
def test_channels_layouts_and_dtypes(layout: Any, channels: Any, dtype: str) -> None:
    pixels = noise(6, 4)
    actual = run(pixels, meaning=TensorMeaning(layout, channels), dtype=dtype).numpy()
    expected = pixels.astype(np.float64)
    if channels == "BGR":
        expected = expected[..., ::-1]
    if channels == "GRAY":
        expected = (expected @ np.array([0.299, 0.587, 0.114]))[..., None]
    expected = expected[None] if layout == "NHWC" else expected.transpose(2, 0, 1)[None]
    assert actual.shape == expected.shape
    assert actual.dtype == np.dtype(dtype)
    assert np.abs(actual - expected).max() <= {"uint8": 0.51, "int32": 1.0, "float16": 0.1}.get(dtype, 1e-4)


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_mean_and_std_count_in_the_models_channel_order(channels: Any) -> None:
    pixels = noise(6, 4)
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    actual = (
        run(pixels, meaning=TensorMeaning("NCHW", channels, mean, std), dtype="float32")[0].permute(1, 2, 0).numpy()
    )
    ordered = pixels[..., ::-1] if channels == "BGR" else pixels
    assert np.allclose(actual, (ordered - np.array(mean)) / np.array(std), atol=1e-5)


def test_the_stage_gives_one_sample_a_frame(video_frame: FrameMaker) -> None:
    actual = node("preprocess", "a", name="prepare")
    work = actual.spec.infer(actual, (frames(64, 48, "rgb24"),), want(32, 32)).params
    frame = video_frame(5)
    (sample,) = opened(Preprocess("prepare", work)).process(frame)
    assert sample.frames == (frame,)
    assert sample.index == 5
    assert list(sample.tensors) == ["input"]
    assert sample.tensors["input"].shape == (1, 3, 32, 32)
    inner = sample.tensors["input"][0, :, 4:28].permute(1, 2, 0).numpy().astype(int)
    expected = Image.fromarray(picture(5, 64, 48)).resize((32, 24), Image.Resampling.BILINEAR)
    assert np.abs(inner - np.asarray(expected).astype(int)).max() <= 1
