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
