"""Compare frames of more than 8 bits on the GPU with those on the CPU."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from bmfgraph.nodes.convert import ConvertParams
from bmfgraph.nodes.frames import FramesParams
from bmfgraph.nodes.tonemap import TonemapParams
from bmfgraph.nodes.transfer import DownloadParams, UploadParams
from bmfgraph.plan.types import ColorSpec, FrameSpec, TensorMeaning
from bmfgraph.stages.base import Stage
from bmfgraph.stages.color import ToRgb, ToYuv
from bmfgraph.stages.convert import Convert
from bmfgraph.stages.frames import levels
from bmfgraph.stages.items import Frame
from bmfgraph.stages.pictures import frame_of_planes, planes_of
from bmfgraph.stages.preprocess import apply
from bmfgraph.stages.resizing import resized
from bmfgraph.stages.tonemap import ToneMap, Tonemap
from bmfgraph.stages.transfer import Download, Upload
from tests.stages.test_color import noise, tensors
from tests.stages.test_depth import transform

CPU, WIDTH, HEIGHT = torch.device("cpu"), 64, 48
COLOR = ColorSpec("bt2020", False, primaries=9, transfer=16)


def deep() -> torch.Tensor:
    codes = np.random.default_rng(2).integers(0, 65536, (HEIGHT, WIDTH, 3))
    return torch.from_numpy(codes.astype(np.uint16))


def off(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one.cpu().double() - other.cpu().double()).abs().max())


def on_gpu(stage: Stage) -> Stage:
    stage.device = "cuda"
    stage.open()
    return stage


@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "yuv422p10le", "yuv444p12le", "p010le"])
def test_upload_and_download(pixel_format: str) -> None:
    name = pixel_format.replace("p010le", "yuv420p10le").replace("12", "10")
    planes = [plane * (4 if "12" in pixel_format else 1) for plane in noise(name, WIDTH, HEIGHT)]
    if pixel_format == "p010le":
        planes = [planes[0] << 6, np.stack([planes[1] << 6, planes[2] << 6], -1).reshape(HEIGHT // 2, WIDTH)]
    spec = FrameSpec(WIDTH, HEIGHT, pixel_format, COLOR, Fraction(25), Fraction(1, 25), chroma="left")
    source = frame_of_planes(Frame(0), tensors(planes), pixel_format)
    (frame,) = on_gpu(Upload("up", UploadParams(spec))).process(source)
    exact = ToRgb(pixel_format, COLOR, "left", WIDTH, HEIGHT, CPU, deep=True)(tensors(planes)).permute(1, 2, 0)
    assert frame.pixels().dtype == torch.uint16
    assert off(frame.pixels(), exact) <= 1
    for wanted in ("rgb48le", "rgb24", "yuv420p10le", "yuv420p"):
        stage = on_gpu(Download("down", DownloadParams(wanted, COLOR, "left", WIDTH, HEIGHT)))
        (result,) = [*stage.process(frame), *stage.finish()]
        if wanted.startswith("rgb"):
            unit = 257 if wanted == "rgb24" else 1
            assert off(result.pixels(), exact.double() / unit) <= (0.51 if unit > 1 else 1)
            continue
        expected = ToYuv(wanted, COLOR, "left", WIDTH, HEIGHT, CPU)(exact)
        assert all(off(a, b) <= 1 for a, b in zip(planes_of(result.picture), expected, strict=True))


def test_conversion_to_8_bits() -> None:
    params = ConvertParams(COLOR, "rgb24", COLOR, None, None)
    (frame,) = on_gpu(Convert("convert", params)).process(Frame(0, image=deep().cuda()))
    assert frame.pixels().dtype == torch.uint8
    assert off(frame.pixels(), deep().double() / 257) <= 0.51


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area"])
def test_tensors_and_frames(mode: str) -> None:
    meaning = TensorMeaning(mean=(100, 110, 120), std=(50, 60, 70), channels="BGR")
    work = transform(resize=(32, 24), mode=mode, pad=(2, 2, 2, 2), meaning=meaning)
    assert off(apply(deep()[None].cuda(), work), apply(deep()[None], work)) < 1e-4
    whole = transform(dtype="uint8")
    assert torch.equal(apply(deep()[None].cuda(), whole).cpu(), apply(deep()[None], whole))
    small: dict[str, Any] = {"mode": mode, "antialias": True, "integer": True}
    x = deep().permute(2, 0, 1)[None]
    assert off(resized(x.cuda(), 32, 24, **small), resized(x, 32, 24, **small)) <= 1
    image = torch.randn(24, 32, 3, generator=torch.Generator().manual_seed(1))
    frames = FramesParams("x", meaning, 1, None, deep=True)
    assert off(levels(image.cuda(), frames), levels(image, frames)) <= 1


@pytest.mark.parametrize("hlg", [False, True], ids=["pq", "hlg"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16], ids=str)
def test_tone_mapping(hlg: bool, dtype: torch.dtype) -> None:
    params = TonemapParams(hlg, 9, 1000.0, 203.0)
    image: Any = deep() if dtype == torch.uint16 else (deep().int() >> 8).to(torch.uint8)
    stage = on_gpu(Tonemap("map", params))
    for _ in range(2):
        (frame,) = stage.process(Frame(3, image=image.cuda()))
        assert (frame.index, off(frame.pixels(), ToneMap(params, CPU)(image)) <= 1) == (3, True)
