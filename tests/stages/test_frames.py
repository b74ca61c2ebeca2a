"""Test the conversion of tensors to frames."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from bmfgraph.nodes.frames import FramesParams
from bmfgraph.nodes.palette import color_of
from bmfgraph.plan.plan import Inferred
from bmfgraph.plan.types import FrameSpec, SegmentsSpec, TensorMeaning
from bmfgraph.stages.frames import ToFrames, levels
from bmfgraph.stages.items import Sample
from bmfgraph.stages.preprocess import Preprocess
from bmfgraph.stages.results import Segments
from tests.conftest import FrameMaker
from tests.tools import frames, node, opened, picture


def work(**options: Any) -> FramesParams:
    settings: dict[str, Any] = {
        "tensor": "x",
        "meaning": TensorMeaning(),
        "pictures": 1,
        "crop": None,
        "deep": False,
    }
    return FramesParams(**(settings | options))


@pytest.mark.parametrize(
    ("values", "meaning", "expected"),
    [
        ([-5.0, 0.4, 0.6, 254.6, 300.0], TensorMeaning(), [0, 0, 1, 255, 255]),
        ([0.0, 0.5, 1.0, 2.0, -1.0], TensorMeaning(std=(255,)), [0, 128, 255, 255, 0]),
        ([-1.0, 0.0, 1.0, 0.5, -0.5], TensorMeaning(mean=(127,), std=(128,)), [0, 127, 255, 191, 63]),
    ],
)
def test_values_become_levels(values: list[float], meaning: TensorMeaning, expected: list[int]) -> None:
    picture = torch.tensor(values)[:, None, None].expand(-1, 1, 3)
    result = levels(picture, work(meaning=meaning))
    assert result.dtype == torch.uint8
    assert result[:, 0, 0].tolist() == expected


def test_each_channel_has_its_own_mean_and_std() -> None:
    meaning = TensorMeaning(mean=(1, 2, 3), std=(10, 20, 30))
    result = levels(torch.ones(1, 1, 3, dtype=torch.float16), work(meaning=meaning))
    assert result.flatten().tolist() == [11, 22, 33]
    swapped = levels(torch.ones(1, 1, 3), work(meaning=TensorMeaning("NCHW", "BGR", (1, 2, 3), (10, 20, 30))))
    assert swapped.flatten().tolist() == [33, 22, 11]


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("options", [{}, {"multiple": 32}, {"size": [64, 64], "pad_value": 200}], ids=str)
def test_preprocess_and_back_is_the_picture(
    video_frame: FrameMaker, layout: str, channels: str, dtype: str, options: dict[str, Any]
) -> None:
    pre = node("preprocess", "a", layout=layout, channels=channels, dtype=dtype, **options)
    first: Inferred = pre.spec.infer(pre, (frames(64, 48, "rgb24"),), None)
    post = node("frames", "b")
    second: Inferred = post.spec.infer(post, (first.outputs[0].type,), None)
    frame = video_frame(3)
    (sample,) = opened(Preprocess("a", first.params)).process(frame)
    (result,) = opened(ToFrames("b", second.params)).process(sample)
    assert np.array_equal(result.pixels().numpy(), picture(3, 64, 48))
    assert (result.index, result.time) == (3, frame.time)


def test_grey_becomes_three_equal_channels(video_frame: FrameMaker) -> None:
    pre = node("preprocess", "a", channels="GRAY", mean=10, std=2)
    first: Inferred = pre.spec.infer(pre, (frames(64, 48, "rgb24"),), None)
    post = node("frames", "b")
    second: Inferred = post.spec.infer(post, (first.outputs[0].type,), None)
    (sample,) = opened(Preprocess("a", first.params)).process(video_frame(3))
    (result,) = opened(ToFrames("b", second.params)).process(sample)
    luma = picture(3, 64, 48) @ np.array([0.299, 0.587, 0.114])
    assert abs(result.pixels().numpy() - luma[..., None]).max() <= 0.501
    assert result.pixels().shape == (48, 64, 3)


def label_frames(video_frame: FrameMaker, classes: list[list[int]], **options: Any) -> Any:
    """Return the pixels of the frames that a label map of a 4x2 frame becomes."""
    made = node("frames", "a", **options)
    spec = SegmentsSpec(frames(4, 2), ("sky", "road", "car"), 2, 2, background=1)
    inferred: Inferred = made.spec.infer(made, (spec,), None)
    out = inferred.outputs[0].type
    assert isinstance(out, FrameSpec)
    assert (out.width, out.height, out.pixel_format) == (4, 2, "rgb24")
    frame = video_frame(3, np.zeros((2, 4, 3), np.uint8))
    segments = Segments(frame, torch.tensor(classes, dtype=torch.uint8), spec.labels)
    (result,) = opened(ToFrames("b", inferred.params)).process(segments)
    assert (result.index, result.time) == (3, frame.time)
    return result.pixels().numpy()


def test_a_label_map_has_the_colours_of_its_classes(video_frame: FrameMaker) -> None:
    image = label_frames(video_frame, [[0, 2], [1, 255]])
    sky, car, black = color_of(0), color_of(2), (0, 0, 0)
    assert np.array_equal(image, [[sky, sky, car, car], [black] * 4])


def test_a_label_map_has_its_numbers_as_grey_levels(video_frame: FrameMaker) -> None:
    image = label_frames(video_frame, [[0, 2], [1, 255]], colors="numbers")
    assert np.array_equal(image, [[(number,) * 3 for number in row] for row in [(0, 0, 2, 2), (1, 1, 255, 255)]])


def test_a_windows_pictures_become_frames_in_order(video_frame: FrameMaker) -> None:
    pictures = [picture(index, 64, 48) for index in (4, 5, 6)]
    tensor = torch.from_numpy(np.concatenate(pictures, axis=2)[None])
    sources = tuple(video_frame(index, pts=index * 7) for index in (4, 5, 6))
    stage = opened(ToFrames("n", work(meaning=TensorMeaning("NHWC"), pictures=3)))
    result = list(stage.process(Sample({"x": tensor, "other": tensor}, sources)))
    assert [(frame.index, frame.pts) for frame in result] == [(4, 28), (5, 35), (6, 42)]
    for frame, expected in zip(result, pictures, strict=True):
        assert np.array_equal(frame.pixels().numpy(), expected)
    # The last window of a clip stands for fewer frames than it has images.
    assert [frame.index for frame in stage.process(Sample({"x": tensor}, sources[:2]))] == [4, 5]


def test_a_new_frame_keeps_time_and_takes_the_new_size(video_frame: FrameMaker) -> None:
    source = video_frame(9)
    tensor = torch.zeros(1, 3, 96, 128, dtype=torch.uint8)
    (result,) = opened(ToFrames("n", work())).process(Sample({"x": tensor}, (source,)))
    assert (result.size, result.pts, result.time_base) == ((128, 96), 9, Fraction(1, 25))
    assert (result.pixels() == 0).all()


def test_padding_is_cut_off(video_frame: FrameMaker) -> None:
    tensor = torch.zeros(1, 3, 60, 70, dtype=torch.uint8)
    tensor[0, 1, 5:53, 2:66] = 9
    stage = opened(ToFrames("n", work(crop=(2, 5, 64, 48))))
    (result,) = stage.process(Sample({"x": tensor}, (video_frame(0),)))
    assert result.pixels().shape == (48, 64, 3)
    assert (result.pixels()[..., 1] == 9).all()
