"""Test the tone mapping of HDR against known values and an independent computation in NumPy."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bmfgraph.nodes.tonemap import TonemapParams, TonemapSpec
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import ColorSpec, FrameSpec, HdrMetadata
from bmfgraph.stages.items import Frame
from bmfgraph.stages.tonemap import ToneMap, Tonemap, curve, gamut_matrix, hlg_scene, pq_code, pq_luminance

Numbers = NDArray[np.float64]

CPU = torch.device("cpu")
# The matrix of ITU-R BT.2087 from BT.2020 to BT.709, and that from P3 (D65) to BT.709 as published by Apple and others.
FROM_2020 = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
FROM_P3 = [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]]


def params(**options: Any) -> TonemapParams:
    settings: dict[str, Any] = {"hlg": False, "primaries": 9, "peak": 1000.0, "white": 203.0}
    return TonemapParams(**(settings | options))


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


# -------------------------------------------------------------------------------------------------- known values


@pytest.mark.parametrize(
    ("luminance", "signal"),
    # ITU-R BT.2408, table 1, and BT.2390: percent of PQ for luminances
    [(0, 0.0), (0.1, 0.0623), (1, 0.1499), (10, 0.2997), (100, 0.5081), (203, 0.5807), (1000, 0.7518), (4000, 0.9026)],
)
def test_pq(luminance: float, signal: float) -> None:
    assert pq_code(number(luminance)).item() == pytest.approx(signal, abs=1e-4)
    assert pq_luminance(pq_code(number(luminance))).item() == pytest.approx(luminance, rel=1e-6, abs=1e-6)


def test_pq_ends_at_10000() -> None:
    assert pq_luminance(number(1.0)).item() == pytest.approx(10_000)


@pytest.mark.parametrize(("signal", "scene"), [(0, 0), (0.25, 1 / 48), (0.5, 1 / 12), (0.75, 0.26496), (1, 1)])
def test_hlg(signal: float, scene: float) -> None:
    assert hlg_scene(number(signal)).item() == pytest.approx(scene, abs=2e-5)


def test_the_curve_keeps_dark_pixels_and_ends_at_white() -> None:
    light = torch.tensor([0.0, 0.01, 1, 50, 80, 203, 1000], dtype=torch.float64)
    bent = curve(light, 1000.0, 203.0)
    assert bent[:5].tolist() == pytest.approx(light[:5].tolist(), abs=1e-9)
    assert bent[-1].item() == pytest.approx(203)
    assert 140 < bent[5] < 203
    ramp = curve(pq_luminance(torch.linspace(0, 0.7518, 1000, dtype=torch.float64)), 1000.0, 203.0)
    assert (ramp.diff() > 0).all()
    assert torch.equal(curve(light, 203.0, 203.0), light)


@pytest.mark.parametrize(("primaries", "expected"), [(9, FROM_2020), (2, FROM_2020), (12, FROM_P3)])
def test_gamuts(primaries: int, expected: list[list[float]]) -> None:
    assert np.abs(np.array(gamut_matrix(primaries)) - expected).max() < 5e-4


def test_bt709_stays() -> None:
    assert np.abs(np.array(gamut_matrix(1)) - np.eye(3)).max() < 1e-12


# --------------------------------------------------------------------------------------- an independent computation


def expected_image(image: Numbers, hlg: bool, peak: float, white: float, matrix: Any) -> Numbers:
    """Convert codes 0..1 to levels 0..255, one formula after the other."""

    def to_pq(light: Any) -> Any:
        y = (light / 10000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375

    def from_pq(signal: Any) -> Any:
        y = signal ** (1 / 78.84375)
        return 10000 * (np.maximum(y - 0.8359375, 0) / (18.8515625 - 18.6875 * y)) ** (1 / 0.1593017578125)

    if hlg:
        scene = np.where(image <= 0.5, image**2 / 3, (np.exp((image - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        luminance = scene @ [0.2627, 0.678, 0.0593]
        light = peak * scene * np.maximum(luminance, 1e-6)[..., None] ** (0.2 + 0.42 * np.log10(peak / 1000))
    else:
        light = np.minimum(from_pq(image), peak)
    brightest = np.clip(light.max(-1), 1e-6, peak)
    end = to_pq(white) / to_pq(peak)
    e1 = to_pq(brightest) / to_pq(peak)
    knee = 1.5 * end - 0.5
    t = (e1 - knee) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * end
    target = from_pq(np.where(e1 < knee, e1, spline) * to_pq(peak))
    narrow = (light * (target / brightest)[..., None] / white) @ np.array(matrix).T
    levels: Numbers = np.clip(narrow, 0, 1) ** (1 / 2.4) * 255
    return levels


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint8], ids=str)
@pytest.mark.parametrize("peak", [1000.0, 4000.0])
@pytest.mark.parametrize("hlg", [False, True], ids=["pq", "hlg"])
def test_images(hlg: bool, peak: float, dtype: torch.dtype) -> None:
    most = 65535 if dtype == torch.uint16 else 255
    rng = np.random.default_rng(4)
    codes = rng.integers(0, most + 1, (40, 30, 3))
    grey = np.linspace(0, most, 40).round().astype(int)
    codes[:, :2] = grey[:, None, None]
    actual = ToneMap(params(hlg=hlg, peak=peak), CPU)(torch.from_numpy(codes).to(dtype))
    assert (actual.dtype, list(actual.shape)) == (torch.uint8, [40, 30, 3])
    exact = expected_image(codes / most, hlg, peak, 203.0, gamut_matrix(9))
    assert np.abs(actual.numpy() - exact).max() <= 0.52


def test_hlg_white_of_a_reference_display_is_like_that_of_pq() -> None:
    """75 % of HLG and 58 % of PQ are both HDR's reference white, 203 cd/m²."""
    hlg = ToneMap(params(hlg=True), CPU)(torch.full((1, 1, 3), 49151, dtype=torch.int32).to(torch.uint16))
    pq = ToneMap(params(), CPU)(torch.full((1, 1, 3), 38056, dtype=torch.int32).to(torch.uint16))
    assert hlg.flatten().tolist() == pytest.approx(pq.flatten().tolist(), abs=1)
    assert pq[0, 0, 0].item() == pytest.approx(230, abs=1)


# -------------------------------------------------------------------------------------------------- node and stage


def hdr_frames(transfer: int = 16, hdr: HdrMetadata | None = None) -> FrameSpec:
    color = ColorSpec("bt2020", True, primaries=9, transfer=transfer)
    return FrameSpec(64, 48, "rgb48le", color, Fraction(25), Fraction(1, 25), hdr=hdr, origin="yuv420p10le")


@pytest.mark.parametrize(
    ("transfer", "hdr", "peak"),
    [
        (16, None, 1000),
        (16, HdrMetadata(brightest=Fraction(4000)), 4000),
        (16, HdrMetadata(brightest=Fraction(4000), max_content=1500), 1500),
        (16, HdrMetadata(max_content=65535), 10_000),
        (16, HdrMetadata(max_content=90), 203),
        (18, HdrMetadata(brightest=Fraction(4000)), 1000),
    ],
)
def test_the_peak_comes_from_the_metadata(transfer: int, hdr: HdrMetadata | None, peak: float) -> None:
    spec = TonemapSpec()
    inferred = spec.infer(PlanNode("map", spec), (hdr_frames(transfer, hdr),), None)
    assert inferred.params == TonemapParams(transfer == 18, 9, peak, 203.0)
    out = inferred.outputs[0].type
    assert isinstance(out, FrameSpec)
    assert (out.pixel_format, out.color, out.hdr) == (
        "rgb24",
        ColorSpec("bt709", False, primaries=1, transfer=1),
        None,
    )


def test_a_stage_keeps_time_and_index() -> None:
    stage = Tonemap("map", params())
    stage.open()
    image = torch.full((2, 3, 3), 65535, dtype=torch.int32).to(torch.uint16)
    (result,) = stage.process(Frame(7, 9, Fraction(1, 25), image, None, Fraction(1, 20)))
    assert (result.index, result.pts, result.time_base, result.duration) == (7, 9, Fraction(1, 25), Fraction(1, 20))
    assert result.pixels().unique().tolist() == [255]
