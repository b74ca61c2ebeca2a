"""Test YUV and RGB conversions against formulas in float64 and against swscale."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
import torch
from av.filter import Graph
from numpy.typing import NDArray

from bmfgraph.plan.types import Chroma, ColorSpec, Matrix
from bmfgraph.stages.color import ToRgb, ToYuv, to_rgb
from bmfgraph.stages.pixel_formats import supported
from tests.tools import Pixels

Numbers = NDArray[np.float64]

CPU = torch.device("cpu")
# Weights of red, green and blue in luma: ITU-R BT.601, BT.709, BT.2020.
SHARES: dict[Matrix, tuple[float, float, float]] = {
    "bt601": (0.299, 0.587, 0.114),
    "bt709": (0.2126, 0.7152, 0.0722),
    "bt2020": (0.2627, 0.678, 0.0593),
}
MATRICES: tuple[Matrix, ...] = ("bt601", "bt709", "bt2020")
SITINGS: tuple[Chroma, ...] = ("left", "center", "")
SIZES = [(64, 48), (33, 25), (2, 2), (1, 1), (3, 2), (5, 8)]
# Bits, luma samples per chroma sample (horizontally, vertically), unused low bits.
PLANAR = {
    "yuv420p": (8, 2, 2),
    "yuv422p": (8, 2, 1),
    "yuv440p": (8, 1, 2),
    "yuv444p": (8, 1, 1),
    "yuv420p10le": (10, 2, 2),
    "yuv422p10le": (10, 2, 1),
    "yuv444p10le": (10, 1, 1),
    "yuv420p12le": (12, 2, 2),
    "yuv444p16le": (16, 1, 1),
}
JOINED = {"nv12": "yuv420p", "nv21": "yuv420p", "nv16": "yuv422p", "nv24": "yuv444p", "nv42": "yuv444p"}
HIGH = {"p010le": "yuv420p10le", "p210le": "yuv422p10le", "p410le": "yuv444p10le", "p012le": "yuv420p12le"}


# -------------------------------------------------------------------------------------------------- the reference


def cubic(x: Numbers) -> Numbers:
    """Evaluate Keys' cubic kernel with a = -0.6, swscale's bicubic."""
    a, x = -0.6, np.abs(x)
    inner = (a + 2) * x**3 - (a + 3) * x**2 + 1
    outer = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, inner, np.where(x < 2, outer, 0.0))


def enlarged(samples: Numbers, count: int, factor: int, first: float, axis: int) -> Numbers:
    """Interpolate at the luma samples 0 .. count - 1; chroma sample ``i`` lies at ``factor * i + first``."""
    if factor == 1:
        return samples
    actual = []
    for position in (np.arange(count) - first) / factor:
        near = np.floor(position) + np.arange(-2, 4)
        weights = cubic(position - near)
        inside = near.clip(0, samples.shape[axis] - 1).astype(int)
        actual.append(np.tensordot(np.take(samples, inside, axis), weights, (axis, 0)))
    return np.stack(actual, axis)


def reduced(samples: Numbers, factor: int, on_sample: bool, axis: int) -> Numbers:
    """Average around the positions of the chroma samples."""
    if factor == 1:
        return samples
    around = ((-1, 0.25), (0, 0.5), (1, 0.25)) if on_sample else ((0, 0.5), (1, 0.5))
    last = samples.shape[axis] - 1
    places = np.arange(0, last + 1, 2)
    actual = np.zeros(())
    for offset, weight in around:
        actual = actual + np.take(samples, (places + offset).clip(0, last), axis) * weight
    return actual


def ranges(bits: int, full: bool) -> tuple[float, float, float, float]:
    """Return the code of black, the span of luma, the code of grey, and the span of chroma."""
    unit = 2.0 ** (bits - 8)
    if full:
        return 0, 2.0**bits - 1, 2.0 ** (bits - 1), 2.0**bits - 1
    return 16 * unit, 219 * unit, 128 * unit, 224 * unit


def rgb_of(planes: Sequence[NDArray[Any]], pixel_format: str, color: ColorSpec, chroma: Chroma) -> Numbers:
    """Return exact levels [height, width, 3], not rounded."""
    bits, across, down = PLANAR[pixel_format]
    black, white, grey, span = ranges(bits, color.full_range)
    height, width = planes[0].shape
    y = (planes[0].astype(float) - black) / white
    u, v = (
        (
            enlarged(
                enlarged(plane.astype(float), height, down, 0.5, 0), width, across, 0 if chroma == "left" else 0.5, 1
            )
            - grey
        )
        / span
        for plane in planes[1:]
    )
    red, green, blue = SHARES[color.matrix]
    r = y + 2 * (1 - red) * v
    b = y + 2 * (1 - blue) * u
    return 255 * np.stack([r, (y - red * r - blue * b) / green, b], -1)


def yuv_of(pixels: Pixels, pixel_format: str, color: ColorSpec, chroma: Chroma) -> list[Numbers]:
    """Return exact codes, not rounded."""
    bits, across, down = PLANAR[pixel_format]
    black, white, grey, span = ranges(bits, color.full_range)
    red, green, blue = SHARES[color.matrix]
    r, g, b = np.moveaxis(pixels.astype(float) / 255, -1, 0)
    y = red * r + green * g + blue * b
    actual = [black + white * y]
    for difference in ((b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))):
        low = reduced(reduced(difference, down, False, 0), across, chroma == "left", 1)
        actual.append((grey + span * low).clip(0, 2**bits - 1))
    return actual


def assert_nearest(actual: torch.Tensor, exact: Numbers, most: int = 255) -> None:
    """Check that values are rounded to the nearest level; at a tie, to either."""
    assert actual.shape == exact.shape
    off = np.abs(actual.numpy().astype(float) - exact.clip(0, most)).max(initial=0)
    assert off <= 0.5 + 2e-3, off


# ---------------------------------------------------------------------------------------------------- the formats


def noise(pixel_format: str, width: int, height: int, full: bool = True, seed: int = 0) -> list[NDArray[Any]]:
    """Return random planes of a planar format; ``full``: all codes, else without the extremes."""
    bits, across, down = PLANAR[pixel_format]
    chance = np.random.default_rng(seed)
    low, high = (0, 2**bits) if full else (2**bits // 4, 3 * 2**bits // 4)
    shapes = [(height, width), *[(-(-height // down), -(-width // across))] * 2]
    return [chance.integers(low, high, shape).astype(np.uint8 if bits == 8 else np.uint16) for shape in shapes]


def tensors(planes: Sequence[NDArray[Any]]) -> list[torch.Tensor]:
    return [torch.from_numpy(plane) for plane in planes]


def joined(planes: Sequence[NDArray[Any]], pixel_format: str) -> list[torch.Tensor]:
    """Interleave the chroma planes, and move 10 or 12 bits to the high bits of 16."""
    y, u, v = planes
    if pixel_format in ("nv21", "nv42"):
        u, v = v, u
    uv = np.stack([u, v], -1).reshape(u.shape[0], -1)
    shift = 0 if pixel_format.startswith("nv") else 16 - int(pixel_format[2:4])
    return tensors([y << shift, uv << shift])


@pytest.mark.sample(60)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("chroma", SITINGS)
@pytest.mark.parametrize("pixel_format", PLANAR)
def test_rgb_is_exact(pixel_format: str, chroma: Chroma, size: tuple[int, int]) -> None:
    for matrix, full in itertools.product(MATRICES, (False, True)):
        color = ColorSpec(matrix, full)
        planes = noise(pixel_format, *size)
        actual = ToRgb(pixel_format, color, chroma, *size, CPU)(tensors(planes))
        assert actual.dtype == torch.uint8
        assert actual.is_contiguous()
        assert_nearest(actual.permute(1, 2, 0), rgb_of(planes, pixel_format, color, chroma))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("pixel_format", "planar"), [*JOINED.items(), *HIGH.items()])
def test_formats_with_both_chromas_in_a_plane(pixel_format: str, planar: str, size: tuple[int, int]) -> None:
    color = ColorSpec("bt709", False)
    planes = noise(planar, *size)
    inputs = joined(planes, pixel_format)
    actual = ToRgb(pixel_format, color, "left", *size, CPU)(inputs)
    assert torch.equal(actual, ToRgb(planar, color, "left", *size, CPU)(tensors(planes)))


def test_planes_come_in_several_shapes() -> None:
    color = ColorSpec("bt601", True)
    convert = ToRgb("nv12", color, "left", 33, 25, CPU)
    y, uv = joined(noise("yuv420p", 33, 25), "nv12")
    expected = convert((y, uv))
    assert torch.equal(convert((y[..., None], uv.unflatten(1, (17, 2)))), expected)
    # As NVDEC returns them: an even width, and all planes in one buffer.
    buffer = torch.zeros(25 + 13, 34, dtype=torch.uint8)
    buffer[:25, :33], buffer[25:] = y, uv
    assert torch.equal(convert((buffer[:25], buffer[25:])), expected)
    # As FFmpeg returns them: rows longer than the image.
    wide = torch.zeros(25, 64, dtype=torch.uint8)
    wide[:, :33] = y
    assert torch.equal(convert((wide[:, :33], uv)), expected)
    assert torch.equal(to_rgb((y, uv), "nv12", color, "left", 33, 25), expected)
    deep = tensors(noise("yuv420p10le", 33, 25))
    convert = ToRgb("yuv420p10le", color, "left", 33, 25, CPU)
    assert torch.equal(convert([plane.view(torch.int16) for plane in deep]), convert(deep))


def test_high_bits_may_come_as_signed_numbers() -> None:
    inputs = joined(noise("yuv420p10le", 8, 6), "p010le")
    convert = ToRgb("p010le", ColorSpec("bt709", False), "left", 8, 6, CPU)
    assert torch.equal(convert([plane.view(torch.int16) for plane in inputs]), convert(inputs))


def test_a_plane_that_is_too_small_is_refused() -> None:
    convert = ToRgb("yuv420p", ColorSpec("bt709", False), "left", 8, 6, CPU)
    with pytest.raises(ValueError, match=r"expected a plane of 3x4 .*, not \[2, 4\]"):
        convert([torch.zeros(6, 8, dtype=torch.uint8), *[torch.zeros(2, 4, dtype=torch.uint8)] * 2])


@pytest.mark.parametrize(("pixel_format", "bits"), [("gray", 8), ("gray10le", 10), ("gray16le", 16)])
@pytest.mark.parametrize("full", [False, True])
def test_gray(pixel_format: str, bits: int, full: bool) -> None:
    plane = np.arange(2**bits).astype(np.uint8 if bits == 8 else np.uint16).reshape(16, -1)
    actual = ToRgb(pixel_format, ColorSpec("bt709", full), "", plane.shape[1], 16, CPU)(tensors([plane]))
    black, white, _, _ = ranges(bits, full)
    levels = (plane.astype(float) - black) / white * 255
    assert_nearest(actual, np.stack([levels] * 3))


def test_yuvj_is_full_range_whatever_else_is_said() -> None:
    planes = tensors(noise("yuv422p", 16, 8))
    actual = ToRgb("yuvj422p", ColorSpec("bt601", False), "center", 16, 8, CPU)(planes)
    assert torch.equal(actual, ToRgb("yuv422p", ColorSpec("bt601", True), "center", 16, 8, CPU)(planes))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_constant_colours_are_exact_and_extremes_are_clamped(matrix: Matrix, full: bool) -> None:
    color = ColorSpec(matrix, full)
    convert = ToRgb("yuv420p", color, "left", 6, 4, CPU)
    for codes in itertools.product((0, 16, 60, 128, 200, 235, 255), (0, 16, 128, 240, 255), (0, 16, 128, 240, 255)):
        planes = [np.full(shape, code, np.uint8) for shape, code in zip([(4, 6), (2, 3), (2, 3)], codes, strict=True)]
        actual = convert(tensors(planes))
        assert len(actual.flatten(1).unique(dim=1)[0]) == 1, "no ripples"
        assert_nearest(actual.permute(1, 2, 0), rgb_of(planes, "yuv420p", color, "left"))
    black, white = (0, 255) if full else (16, 235)
    for code, level in ((black, 0), (white, 255)):
        planes = [np.full((4, 6), code, np.uint8), *[np.full((2, 3), 128, np.uint8)] * 2]
        assert convert(tensors(planes)).unique().tolist() == [level]


def test_what_is_supported() -> None:
    for name in (*PLANAR, *JOINED, *HIGH, "gray", "yuvj420p", "yuv420p14le"):
        assert supported(name), name
    for name in ("rgb24", "gbrp", "yuv411p", "yuva420p", "yuv420p10be", "pal8", "monow", "xyz12le", ""):
        assert not supported(name), name
        with pytest.raises(ValueError, match="cannot be converted"):
            ToRgb(name, ColorSpec("bt709", False), "", 8, 8, CPU)
    with pytest.raises(ValueError, match="is not a YUV matrix"):
        ToRgb("yuv444p", ColorSpec("rgb", True), "", 8, 8, CPU)
    with pytest.raises(ValueError, match="only planar"):
        ToYuv("nv12", ColorSpec("bt709", False), "left", 8, 8, CPU)


# ------------------------------------------------------------------------------------------------------- back to YUV


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("chroma", SITINGS)
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p10le"])
def test_yuv_is_exact(pixel_format: str, chroma: Chroma, size: tuple[int, int]) -> None:
    width, height = size
    pixels = np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)
    bits = PLANAR[pixel_format][0]
    for matrix, full in itertools.product(MATRICES, (False, True)):
        color = ColorSpec(matrix, full)
        convert = ToYuv(pixel_format, color, chroma, width, height, CPU)
        actual = convert(torch.from_numpy(pixels))
        for plane, exact in zip(actual, yuv_of(pixels, pixel_format, color, chroma), strict=True):
            assert plane.dtype == (torch.uint8 if bits == 8 else torch.int16)
            assert plane.is_contiguous()
            assert_nearest(plane, exact, 2**bits - 1)
        planar = torch.from_numpy(np.moveaxis(pixels, -1, 0).copy())
        for inputs in (planar, planar.permute(1, 2, 0)):
            assert all(torch.equal(one, other) for one, other in zip(convert(inputs), actual, strict=True))
        assert (
            actual[2].data_ptr() - actual[0].data_ptr()
            == (actual[0].numel() + actual[1].numel()) * actual[0].element_size()
        )


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_the_purest_colours_do_not_wrap_around(pixel_format: str, full: bool, matrix: Matrix) -> None:
    color = ColorSpec(matrix, full)
    for corner in itertools.product((0, 255), repeat=3):
        pixels = np.full((4, 6, 3), corner, np.uint8)
        actual = ToYuv(pixel_format, color, "left", 6, 4, CPU)(torch.from_numpy(pixels))
        back = ToRgb(pixel_format, color, "left", 6, 4, CPU)(actual).permute(1, 2, 0).numpy()
        assert np.abs(back.astype(int) - pixels).max() <= 1


def test_a_wrong_picture_is_refused() -> None:
    convert = ToYuv("yuv420p", ColorSpec("bt709", False), "left", 8, 6, CPU)
    with pytest.raises(ValueError, match=r"expected an image of 3x6x8, not \[8, 6, 3\]"):
        convert(torch.zeros(8, 6, 3, dtype=torch.uint8))


def smooth(width: int, height: int) -> Pixels:
    """Draw colours without edges, which half-resolution chroma preserves."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    waves = [np.sin(7 * x + 2 * y), np.cos(6 * y - 3 * x), np.sin(5 * (x + y))]
    return np.stack([128 + 110 * wave for wave in waves], -1).round().astype(np.uint8)


def psnr(one: Pixels, other: Pixels) -> float:
    error = float(np.mean((one.astype(float) - other.astype(float)) ** 2))
    return float(10 * np.log10(255**2 / error))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("chroma", ["left", "center"])
@pytest.mark.parametrize(
    ("pixel_format", "least"), [("yuv444p", 51.0), ("yuv422p", 50.0), ("yuv420p", 49.0), ("yuv420p10le", 52.0)]
)
def test_there_and_back(pixel_format: str, least: float, chroma: Chroma, full: bool) -> None:
    pixels = smooth(128, 96)
    color = ColorSpec("bt709", full)
    yuv = ToYuv(pixel_format, color, chroma, 128, 96, CPU)(torch.from_numpy(pixels))
    back = ToRgb(pixel_format, color, chroma, 128, 96, CPU)(yuv).permute(1, 2, 0).numpy()
    assert psnr(pixels, back) > least
    if pixel_format != "yuv444p":
        # Chroma at a wrong position lowers the PSNR.
        other: Chroma = "center" if chroma == "left" else "left"
        shifted = ToRgb(pixel_format, color, other, 128, 96, CPU)(yuv).permute(1, 2, 0).numpy()
        assert psnr(pixels, shifted) < psnr(pixels, back) - 1


# ------------------------------------------------------------------------------------------------- against swscale


def swscale(frame: av.VideoFrame, target: str, **options: Any) -> av.VideoFrame:
    """Convert by a scale filter with the flags that the pipelines use."""
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=Fraction(1),
        name="in",
    )
    flags = {"flags": "bicubic+accurate_rnd+full_chroma_int"}
    terms = ":".join(f"{key}={value}" for key, value in (options | flags).items())
    graph.link_nodes(
        source, graph.add("scale", terms), graph.add("format", target), graph.add("buffersink")
    ).configure()
    graph.push(frame)
    return graph.pull()  # type: ignore[return-value]


def positions(side: str, pixel_format: str, chroma: Chroma) -> dict[str, int]:
    _, across, down = PLANAR[pixel_format]
    values = {}
    if across == 2:
        values[f"{side}_h_chr_pos"] = 0 if chroma == "left" else 128
    if down == 2:
        values[f"{side}_v_chr_pos"] = 128
    return values


def as_frame(planes: Sequence[NDArray[Any]], pixel_format: str) -> av.VideoFrame:
    frame = av.VideoFrame(planes[0].shape[1], planes[0].shape[0], pixel_format)
    for plane, inputs in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        data = inputs.view(np.uint8).reshape(inputs.shape[0], -1)
        rows[:, : data.shape[1]] = data
        plane.update(rows.tobytes())
    return frame


def as_planes(frame: av.VideoFrame, bits: int) -> list[NDArray[Any]]:
    size = 1 if bits == 8 else 2
    return [
        np.frombuffer(bytes(plane), np.uint8)
        .reshape(plane.height, plane.line_size)[:, : plane.width * size]
        .copy()
        .view(np.uint8 if bits == 8 else np.uint16)
        for plane in frame.planes
    ]


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("chroma", ["left", "center"])
@pytest.mark.parametrize("pixel_format", [name for name in PLANAR if name not in ("yuv440p", "yuv444p16le")])
def test_rgb_is_swscales(pixel_format: str, chroma: Chroma, matrix: Matrix, full: bool) -> None:
    planes = noise(pixel_format, 64, 48, full=False)
    settings = {"in_color_matrix": matrix, "in_range": "pc" if full else "tv"}
    expected = swscale(as_frame(planes, pixel_format), "rgb24", **settings, **positions("in", pixel_format, chroma))
    actual = ToRgb(pixel_format, ColorSpec(matrix, full), chroma, 64, 48, CPU)(tensors(planes))
    off = np.abs(actual.permute(1, 2, 0).numpy().astype(int) - expected.to_ndarray().astype(int))
    # Near the borders, swscale does not exactly repeat the last sample.
    assert off[4:-4, 4:-4].max() <= 2
    assert off.max() <= 8
    assert off.mean() < 0.5


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("chroma", ["left", "center"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
def test_yuv_is_swscales(pixel_format: str, chroma: Chroma, matrix: Matrix, full: bool) -> None:
    pixels = smooth(128, 96)
    settings = {"out_color_matrix": matrix, "out_range": "pc" if full else "tv"}
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    expected = swscale(frame, pixel_format, **settings, **positions("out", pixel_format, chroma))
    bits = PLANAR[pixel_format][0]
    actual = ToYuv(pixel_format, ColorSpec(matrix, full), chroma, 128, 96, CPU)(torch.from_numpy(pixels))
    for plane, other in zip(actual, as_planes(expected, bits), strict=True):
        off = np.abs(plane.numpy().astype(int) - other.astype(int))[2:-2, 2:-2]
        assert off.max() <= 2 * 2 ** (bits - 8)
        assert off.mean() < 0.75 * 2 ** (bits - 8)
