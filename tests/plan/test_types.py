"""The types of edges: equality, texts, small sums."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest

from bmfgraph.plan.types import (
    NO_WINDOW,
    AudioSpec,
    BundleSpec,
    ColorSpec,
    DetectionsSpec,
    Dim,
    TensorMeaning,
    TensorSpec,
    TrackSpec,
    Window,
    nearest_format,
    sampling_of,
)
from tests.tools import frames, tensor


def test_equal_values_are_equal_and_cannot_change() -> None:
    assert frames() == frames()
    assert frames() != frames(width=66)
    with pytest.raises(dataclasses.FrozenInstanceError):
        frames().width = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (ColorSpec("bt709", False), "bt709/limited"),
        (ColorSpec("bt601", True, tagged=False), "bt601/full?"),
        (frames(rate=Fraction(30000, 1001)), "frames 64x48 yuv420p bt601/limited 29.97 fps on cpu"),
        (tensor(), "uint8[1x3x48x64] NCHW RGB"),
        (TensorSpec("x", (Dim("batch", 1), Dim("points", None)), "float32"), "float32[1xpoints]"),
        (BundleSpec((tensor(name="a"), tensor(name="b"))), "tensors a {0}, b {0}".format("uint8[1x3x48x64] NCHW RGB")),
        (AudioSpec((TrackSpec(1, "audio", "aac", "eng", 48000, 2),)), "audio aac 48000 Hz 2 ch (eng)"),
        (
            AudioSpec((TrackSpec(1, "audio", "opus", "", 48000, 2), TrackSpec(2, "subtitle", "subrip"))),
            "audio opus 48000 Hz 2 ch, subtitle subrip",
        ),
        (DetectionsSpec(frames(), ("face", "hand")), "detections of face/hand in 64x48"),
        (Window(7, (2, 3, 4), 3), "window of 7, outputs [2, 3, 4], step 3, pad edge"),
        (TensorMeaning("NHWC", "BGR", (127,), (128,)), "NHWC BGR (x-127)/128"),
        (TensorMeaning(mean=(123.675, 116.28, 103.53), std=(58.395,)), "NCHW RGB (x-123.675/116.28/103.53)/58.395"),
    ],
    ids=str,
)
def test_each_type_prints_as_one_phrase(value: object, text: str) -> None:
    assert str(value) == text


def test_a_value_for_each_channel_equals_the_same_value_for_all() -> None:
    assert TensorMeaning(mean=(127, 127, 127), std=(128.0,)) == TensorMeaning(mean=(127.0,), std=(128, 128, 128))
    assert TensorMeaning(mean=(1, 2, 3)) != TensorMeaning(mean=(1,))


@pytest.mark.parametrize(
    ("meaning", "normalised"),
    [
        (TensorMeaning(), False),
        (TensorMeaning(mean=(0, 0, 0), std=(1, 1, 1)), False),
        (TensorMeaning(mean=(1,)), True),
        (TensorMeaning(std=(255,)), True),
        (TensorMeaning(std=(1, 1, 2)), True),
    ],
)
def test_normalised(meaning: TensorMeaning, normalised: bool) -> None:
    assert meaning.normalised is normalised


def test_channels_are_counted() -> None:
    assert (TensorMeaning().count, TensorMeaning(channels="BGR").count, TensorMeaning(channels="GRAY").count) == (
        3,
        3,
        1,
    )


def test_a_tensor_knows_its_sizes() -> None:
    spec = TensorSpec("x", (Dim("batch", 1), Dim("height", 4), Dim("width", None)), "float32")
    assert spec.shape == (1, 4, None)
    assert (spec.size_of("height"), spec.size_of("width"), spec.size_of("depth")) == (4, None, None)


def test_no_window_is_one_frame_in_the_same_frame_out() -> None:
    assert Window(1, (0,), 1, "edge") == NO_WINDOW


EVERY = [f"yuv{sampling}p{bits}" for bits in ("", "10le", "12le") for sampling in ("420", "422", "444")]


@pytest.mark.parametrize(
    ("pixel_format", "origin", "choices", "expected"),
    [
        *((name, "", EVERY, name) for name in EVERY),
        ("rgb48le", "yuv422p10le", EVERY, "yuv422p10le"),
        # An 8-bit node between has taken the depth.
        ("rgb24", "yuv422p10le", EVERY, "yuv422p"),
        ("rgb24", "", EVERY, "yuv420p"),
        ("gbrp12le", "", EVERY, "yuv420p12le"),
        ("gray10le", "", EVERY, "yuv420p10le"),
        ("pal8", "", EVERY, "yuv420p"),
        ("p010le", "", EVERY, "yuv420p10le"),
        ("nv16", "", EVERY, "yuv422p"),
        ("yuvj444p", "", EVERY, "yuv444p"),
        ("yuv411p", "", EVERY, "yuv422p"),
        ("yuv440p", "", EVERY, "yuv444p"),
        ("yuv420p9le", "", EVERY, "yuv420p10le"),
        ("yuv444p16le", "", EVERY, "yuv444p12le"),
        ("yuv420p", "", ["yuv422p10le", "yuv444p10le"], "yuv422p10le"),
        ("yuv444p10le", "", ["yuv420p", "yuv420p10le"], "yuv420p10le"),
        ("yuv422p10le", "", ["yuv420p", "yuv444p", "p010le"], "p010le"),
        ("rgb48le", "yuv420p10le", ["yuv420p"], "yuv420p"),
    ],
)
def test_the_nearest_format(pixel_format: str, origin: str, choices: list[str], expected: str) -> None:
    assert nearest_format(frames(pixel_format=pixel_format, origin=origin), choices) == expected


def test_rgb_frames_know_what_they_were_made_of() -> None:
    deep = frames(pixel_format="yuv422p10le").as_rgb(deep=True)
    assert (deep.pixel_format, deep.origin, deep.bits, deep.depth) == ("rgb48le", "yuv422p10le", 16, 10)
    shallow = deep.as_rgb()
    assert (shallow.pixel_format, shallow.origin, shallow.depth) == ("rgb24", "yuv422p10le", 8)
    assert frames(pixel_format="rgb48le").depth == 16
    assert deep.in_format("yuv420p10le", deep.color).origin == ""


@pytest.mark.parametrize(
    ("pixel_format", "sampling"),
    [
        *(("yuv420p", (2, 2)), ("yuvj422p", (2, 1)), ("yuva444p10le", (1, 1)), ("yuv411p", (4, 1)), ("nv12", (2, 2))),
        *(("nv20le", (2, 1)), ("p010le", (2, 2)), ("p216le", (2, 1)), ("p412le", (1, 1)), ("y210le", (2, 1))),
        *(("uyvy422", (2, 1)), ("gray", None), ("rgb24", None), ("gbrp10le", None), ("pal8", None), ("", None)),
    ],
)
def test_sampling(pixel_format: str, sampling: tuple[int, int] | None) -> None:
    assert sampling_of(pixel_format) == sampling
