"""Test that frames which shrink while they become RGB are those that become RGB first."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bmfgraph.nodes.convert import ConvertParams, ConvertSpec
from bmfgraph.plan.description import Shrinking
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import Chroma, ColorSpec, FrameSpec, Matrix
from bmfgraph.stages.color import ToRgb, ToYuv
from bmfgraph.stages.convert import Convert
from bmfgraph.stages.items import Frame
from tests.stages.test_color import smooth
from tests.tools import Pixels, opened

CPU = torch.device("cpu")
SIDES = (160, 96)


def both_ways(
    pixels: Pixels, pixel_format: str, color: ColorSpec, chroma: Chroma, shrinking: Shrinking
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the levels in one step, and those of the formulas, without rounding in between."""
    width, height = SIDES
    planes = ToYuv(pixel_format, color, chroma, width, height, CPU)(torch.from_numpy(pixels))
    picture = av.VideoFrame(width, height, pixel_format)
    for plane, values in zip(picture.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[: values.shape[0], : values.shape[1]] = values.numpy()
        plane.update(rows.tobytes())
    picture.pts, picture.time_base = 0, Fraction(1, 25)
    kind = FrameSpec(width, height, pixel_format, color, Fraction(25), Fraction(1, 25), chroma=chroma)
    spec = ConvertSpec(pixel_format="rgb24", shrunk=shrinking)
    params = spec.infer(PlanNode("c", spec), (kind,), None).params
    assert isinstance(params, ConvertParams)
    (frame,) = opened(Convert("c", params)).process(Frame(0, picture=picture))
    exact = ToRgb(pixel_format, color, chroma, width, height, CPU, deep=True)(planes).float()[None] / 257
    exact = F.interpolate(exact, (shrinking.height, shrinking.width), mode=shrinking.mode, antialias=True)
    return frame.pixels().float(), exact[0].permute(1, 2, 0).clamp(0, 255)


def inner(off: torch.Tensor) -> torch.Tensor:
    """Return the differences inside: at the border, swscale repeats the last pixels, and torch weighs fewer of them."""
    return off[2:-2, 2:-2].abs()


@pytest.mark.sample(16)
@pytest.mark.parametrize("size", [(80, 48), (53, 31), (159, 95), (40, 96), (20, 12)], ids=str)
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("pixel_format", "chroma", "matrix", "full"),
    [
        ("yuv420p", "left", "bt601", False),
        ("yuv420p", "center", "bt709", False),
        ("yuv420p", "left", "bt2020", True),
        ("yuv422p", "left", "bt709", False),
        ("yuv444p", "", "bt709", True),
    ],
)
def test_colours_are_those_of_the_formulas(
    pixel_format: str, chroma: Chroma, matrix: Matrix, full: bool, mode: str, size: tuple[int, int]
) -> None:
    shrinking = Shrinking(*size, "bilinear" if mode == "bilinear" else "bicubic")
    actual, exact = both_ways(smooth(*SIDES), pixel_format, ColorSpec(matrix, full), chroma, shrinking)
    assert actual.shape == exact.shape
    off = inner(actual - exact)
    assert off.mean() < 0.4, off.mean()
    assert off.max() < 3.2, off.max()


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_noise_in_luma_is_averaged_as_torch_does(mode: str) -> None:
    grey = np.random.default_rng(3).integers(16, 236, (SIDES[1], SIDES[0], 1)).repeat(3, 2).astype(np.uint8)
    shrinking = Shrinking(71, 40, "bilinear" if mode == "bilinear" else "bicubic")
    actual, exact = both_ways(grey, "yuv420p", ColorSpec("bt709", False), "left", shrinking)
    assert inner(actual - exact).max() < 1.6
