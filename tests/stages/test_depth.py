"""Test that stages keep frames of more than 8 bits as deep as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bmfgraph.nodes.frames import FramesParams
from bmfgraph.nodes.preprocess import Transform
from bmfgraph.plan.types import ColorSpec, TensorMeaning
from bmfgraph.stages.color import ToRgb, ToYuv
from bmfgraph.stages.frames import levels
from bmfgraph.stages.pictures import to_8_bits
from bmfgraph.stages.preprocess import apply
from bmfgraph.stages.resizing import resized
from tests.stages.test_color import noise, rgb_of, smooth, tensors

CPU = torch.device("cpu")


def transform(**options: Any) -> Transform:
    settings: dict[str, Any] = {
        "crop": None,
        "resize": None,
        "mode": "bilinear",
        "antialias": True,
        "pad": (0, 0, 0, 0),
    }
    settings |= {"pad_value": 0, "meaning": TensorMeaning(), "dtype": "float32", "name": "x"}
    return Transform(**(settings | options))


def deep(*codes: int) -> torch.Tensor:
    """Return one row of grey pixels, uint16 [1, count, 3]."""
    return torch.tensor(codes, dtype=torch.int32).to(torch.uint16)[None, :, None].expand(1, -1, 3)


# ------------------------------------------------------------------------------------------------------ tensors


def test_float_models_get_fractions_of_a_level() -> None:
    pixels = deep(0, 1, 257, 385, 65535)
    values = apply(pixels, transform())[0, 0, 0]
    assert values.tolist() == pytest.approx([0, 1 / 257, 1, 385 / 257, 255], abs=1e-5)
    meaning = TensorMeaning(mean=(127.5,), std=(127.5,))
    assert apply(pixels, transform(meaning=meaning))[0, 0, 0, -1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_integer_models_get_the_nearest_level(dtype: str) -> None:
    values = apply(deep(0, 128, 129, 385, 386, 65535), transform(dtype=dtype))
    assert values.dtype == getattr(torch, dtype)
    assert values[0, 0, 0].tolist() == [0, 0, 1, 1, 2, 255]


@pytest.mark.parametrize("meaning", [TensorMeaning(), TensorMeaning(channels="BGR", layout="NHWC")], ids=str)
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area"])
def test_steps_in_16_bits_agree_with_those_in_8(mode: str, meaning: TensorMeaning) -> None:
    small = torch.from_numpy(smooth(16, 12))
    work = transform(crop=(1, 2, 12, 8), resize=(6, 4), mode=mode, pad=(1, 2, 3, 4), pad_value=9, meaning=meaning)
    wide = (small.int() * 257).to(torch.uint16)
    assert (apply(wide, work) - apply(small, work)).abs().max() <= (0.5 if mode == "area" else 1e-3)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area"])
def test_frames_are_resized_in_16_bits(mode: str) -> None:
    codes = np.random.default_rng(1).integers(0, 65536, (1, 3, 8, 12))
    result = resized(torch.from_numpy(codes).to(torch.uint16), 6, 4, mode=mode, antialias=True, integer=True)
    exact = resized(torch.from_numpy(codes / 257).float(), 6, 4, mode=mode, antialias=True, integer=False)
    assert result.dtype == torch.uint16
    assert np.abs(result.numpy() - exact.numpy() * 257).max() <= 0.6


# ------------------------------------------------------------------------------------------------------- frames


def test_values_become_codes_of_16_bits() -> None:
    work = FramesParams("x", TensorMeaning(mean=(10,), std=(100,)), 1, None, deep=True)
    values = torch.tensor([-1.0, -0.1, 0.0, 0.005, 2.45, 3.0])[None, :, None].expand(1, -1, 3)
    result = levels(values, work)
    assert result.dtype == torch.uint16
    # 257 times value * 100 + 10, rounded and clamped
    assert result[0, :, 0].tolist() == [0, 0, 2570, 2699, 65535, 65535]


@pytest.mark.parametrize("std", [(255.0,), (255.0, 255.0, 255.0)], ids=len)
def test_tensors_and_back_keep_every_code(std: tuple[float, ...]) -> None:
    pixels = deep(*range(65536))
    meaning = TensorMeaning(std=std)
    tensor = apply(pixels, transform(meaning=meaning))
    result = levels(tensor[0].permute(1, 2, 0), FramesParams("x", meaning, 1, None, deep=True))
    assert torch.equal(result.int(), pixels.int())


def test_8_bits_of_16() -> None:
    assert to_8_bits(deep(0, 128, 129, 65406, 65407, 65535))[0, :, 0].tolist() == [0, 0, 1, 254, 255, 255]
    bytes_ = torch.zeros(1, 2, 3, dtype=torch.uint8)
    assert to_8_bits(bytes_) is bytes_


# ------------------------------------------------------------------------------------------------------- colour


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "yuv422p10le", "yuv444p16le", "yuv420p"])
def test_yuv_becomes_rgb_of_16_bits(pixel_format: str, full: bool) -> None:
    color, planes = ColorSpec("bt2020", full), noise(pixel_format, 24, 16)
    actual = ToRgb(pixel_format, color, "left", 24, 16, CPU, deep=True)(tensors(planes))
    assert actual.dtype == torch.uint16
    exact = rgb_of(planes, pixel_format, color, "left").clip(0, 255) * 257
    assert np.abs(actual.permute(1, 2, 0).numpy() - exact).max() <= 0.6


@pytest.mark.parametrize("pixel_format", ["yuv444p10le", "yuv422p10le", "yuv420p10le"])
def test_a_ramp_of_10_bits_comes_back_exactly(pixel_format: str) -> None:
    color = ColorSpec("bt2020", False)
    luma = np.tile(np.arange(64, 941, dtype=np.uint16), (2, 1))[:, :876]
    shape = {"yuv444p10le": (2, 876), "yuv422p10le": (2, 438), "yuv420p10le": (1, 438)}[pixel_format]
    planes = [luma, *[np.full(shape, 512, np.uint16)] * 2]
    rgb = ToRgb(pixel_format, color, "left", 876, 2, CPU, deep=True)(tensors(planes))
    back = ToYuv(pixel_format, color, "left", 876, 2, CPU)(rgb)
    for plane, expected in zip(back, planes, strict=True):
        assert np.array_equal(plane.numpy(), expected.astype(np.int16))
