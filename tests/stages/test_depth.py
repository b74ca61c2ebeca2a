"""Test that stages keep frames of more than 8 bits as deep as they are."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
import torch

from bmfgraph.nodes.convert import ConvertSpec
from bmfgraph.nodes.frames import FramesParams
from bmfgraph.nodes.preprocess import Transform
from bmfgraph.nodes.redact import RedactParams
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import ColorSpec, FrameSpec, TensorMeaning, bits_of
from bmfgraph.stages.base import Stage
from bmfgraph.stages.color import ToRgb, ToYuv
from bmfgraph.stages.convert import Convert
from bmfgraph.stages.frames import levels
from bmfgraph.stages.items import Frame
from bmfgraph.stages.overlay import Draw
from bmfgraph.stages.pictures import planes_of, to_8_bits
from bmfgraph.stages.preprocess import apply
from bmfgraph.stages.redact import Redact
from bmfgraph.stages.resizing import resized
from bmfgraph.stages.results import Detections
from tests.stages.test_color import noise, rgb_of, smooth, tensors
from tests.stages.test_overlay import box, style

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


def opened(stage: Stage) -> Stage:
    stage.open()
    return stage


def deep(*codes: int) -> torch.Tensor:
    """Return one row of grey pixels, uint16 [1, count, 3]."""
    return torch.tensor(codes, dtype=torch.int32).to(torch.uint16)[None, :, None].expand(1, -1, 3)


# ------------------------------------------------------------------------------------------------------ tensors


def test_float_models_get_fractions_of_a_level() -> None:
    pixels = deep(0, 1, 257, 385, 65535)
    values = apply(pixels[None], transform())[0, 0, 0]
    assert values.tolist() == pytest.approx([0, 1 / 257, 1, 385 / 257, 255], abs=1e-5)
    meaning = TensorMeaning(mean=(127.5,), std=(127.5,))
    assert apply(pixels[None], transform(meaning=meaning))[0, 0, 0, -1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_integer_models_get_the_nearest_level(dtype: str) -> None:
    values = apply(deep(0, 128, 129, 385, 386, 65535)[None], transform(dtype=dtype))
    assert values.dtype == getattr(torch, dtype)
    assert values[0, 0, 0].tolist() == [0, 0, 1, 1, 2, 255]


@pytest.mark.parametrize("meaning", [TensorMeaning(), TensorMeaning(channels="BGR", layout="NHWC")], ids=str)
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area"])
def test_steps_in_16_bits_agree_with_those_in_8(mode: str, meaning: TensorMeaning) -> None:
    small = torch.from_numpy(smooth(16, 12))
    work = transform(crop=(1, 2, 12, 8), resize=(6, 4), mode=mode, pad=(1, 2, 3, 4), pad_value=9, meaning=meaning)
    wide = (small.int() * 257).to(torch.uint16)
    assert (apply(wide[None], work) - apply(small[None], work)).abs().max() <= (0.5 if mode == "area" else 1e-3)


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
    for meaning in (TensorMeaning(std=std), TensorMeaning(std=std, channels="BGR")):
        tensor = apply(pixels[None], transform(meaning=meaning))
        result = levels(tensor[0].permute(1, 2, 0), FramesParams("x", meaning, 1, None, deep=True))
        assert torch.equal(result.int(), pixels.int())


def test_bgr_is_turned() -> None:
    pixels = torch.tensor([[[1, 500, 65535]]], dtype=torch.int32).to(torch.uint16)
    meaning = TensorMeaning(channels="BGR")
    tensor = apply(pixels[None], transform(meaning=meaning))
    assert tensor[0, :, 0, 0].tolist() == pytest.approx([255, 500 / 257, 1 / 257])
    result = levels(tensor[0].permute(1, 2, 0), FramesParams("x", meaning, 1, None, deep=True))
    assert result.tolist() == [[[1, 500, 65535]]]


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


# ------------------------------------------------------------------------------------------------------ drawing


def noisy() -> torch.Tensor:
    codes = np.random.default_rng(7).integers(0, 65536, (48, 64, 3))
    return torch.from_numpy(codes.astype(np.uint16))


def test_what_is_not_drawn_keeps_its_bits() -> None:
    image = noisy()
    frame = Frame(3, 3, Fraction(1, 25), image)
    (result,) = opened(Draw("draw", style(color=(0, 255, 1)))).process(frame, Detections.of(frame, box(10, 12, 40, 30)))
    pixels = result.pixels()
    line = (pixels.int() == torch.tensor([0, 65535, 257])).all(-1)
    assert line[12, 10:40].all()
    assert not line[14:28, 12:38].any()
    assert torch.equal(pixels.int()[~line], image.int()[~line])


@pytest.mark.parametrize("style_name", ["fill", "blur", "pixelate"])
@pytest.mark.parametrize("shape", ["box", "ellipse"])
def test_redacted_frames_keep_the_bits_of_all_other_pixels(style_name: Any, shape: Any) -> None:
    image = noisy()
    frame = Frame(0, image=image)
    params = RedactParams(style_name, shape, 0.0, 8, (1, 2, 255), None, 0.0, 0)
    (result,) = opened(Redact("hide", params)).process(frame, Detections.of(frame, box(10, 12, 40, 30)))
    pixels = result.pixels().int()
    same = (pixels == image.int()).all(-1)
    assert not same[16:26, 20:30].any()
    outside = torch.ones(48, 64, dtype=torch.bool)
    outside[12:30, 10:40] = False
    assert same[outside].all()
    if style_name == "fill":
        assert pixels[20, 25].tolist() == [257, 514, 65535]


# --------------------------------------------------------------------------------------------- swscale on the CPU


def filled(pixel_format: str, *codes: int) -> Frame:
    """Return a frame of 16x8 pixels of one colour."""
    picture = av.VideoFrame(16, 8, pixel_format)
    for plane, code in zip(picture.planes, codes, strict=True):
        dtype = np.uint16 if bits_of(pixel_format) > 8 else np.uint8
        plane.update(np.full(plane.buffer_size // np.dtype(dtype).itemsize, code, dtype).tobytes())
    picture.pts, picture.time_base = 0, Fraction(1, 25)
    return Frame(0, picture=picture)


def converted(source: Frame, before: str, after: str, full: bool) -> Any:
    color = ColorSpec("bt2020", full)
    spec = ConvertSpec(pixel_format=after)
    kind = FrameSpec(16, 8, before, color, Fraction(25), Fraction(1, 25), chroma="left")
    (result,) = opened(Convert("convert", spec.infer(PlanNode("c", spec), (kind,), None).params)).process(source)
    return result


@pytest.mark.parametrize(
    ("pixel_format", "bits"),
    [("yuv420p10le", 10), ("yuv422p12le", 12), ("yuv444p16le", 16), ("gray10le", 10), ("gray16le", 16)],
)
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("level", [0.0, 0.25, 0.5, 1.0])
def test_a_level_is_the_same_part_of_all_codes(pixel_format: str, bits: int, full: bool, level: float) -> None:
    """White is 65535, and not 255 times 256 as in swscale."""
    unit = 1 << (bits - 8)
    luma = round(level * ((1 << bits) - 1) if full else unit * (16 + 219 * level))
    exact = luma / ((1 << bits) - 1) if full else (luma - 16 * unit) / (219 * unit)
    grey = () if pixel_format.startswith("gray") else (1 << (bits - 1),) * 2
    pixels = converted(filled(pixel_format, luma, *grey), pixel_format, "rgb48le", full).pixels().int()
    assert (pixels - exact * 65535).abs().max() <= 8
    back = converted(Frame(0, image=pixels.to(torch.uint16)), "rgb48le", pixel_format, False)
    written = planes_of(back.picture)[0][:8, :16].view(torch.uint16).int()
    assert (written - unit * (16 + 219 * exact)).abs().max() <= max(1, unit / 4)


def test_deep_rgb_is_rounded_to_8_bits() -> None:
    pixels = torch.tensor([0, 128, 129, 32640, 65406, 65407, 65535, 257], dtype=torch.int32).to(torch.uint16)
    image = pixels[:, None, None].expand(8, 16, 3).contiguous()
    result = converted(Frame(0, image=image), "rgb48le", "rgb24", True)
    assert result.pixels()[:, 0, 0].tolist() == [0, 0, 1, 127, 254, 255, 255, 1]
