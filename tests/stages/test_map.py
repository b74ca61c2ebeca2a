"""Maps as frames: their range, colours and size, and their use with the frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bmfgraph.plan.types import Placement
from bmfgraph.stages.color_maps import color_table
from bmfgraph.stages.items import Sample
from bmfgraph.stages.map import Map
from tests.conftest import FrameMaker
from tests.stages.dense import PLACES, in_frame, in_source, map_params, sigmoid
from tests.tools import model_output, opened

Grey = list[list[int]]
WHOLE = Placement(4, 2, 4, 2, 1.0, 1.0, 0.0, 0.0)


class Drawing:
    """A map node on frames of black pixels, or of those that are given."""

    def __init__(self, video_frame: FrameMaker, shape: Any, decode: dict[str, Any], **options: Any) -> None:
        self.place: Placement = options.pop("place", WHOLE)
        meaning = options.pop("meaning", {})
        outputs = model_output((1, *shape), self.place, {"task": "map"} | decode, **meaning)
        self.framed = options.get("framed", False)
        self.stage = opened(Map("n", map_params(outputs, **options)))
        self.video_frame = video_frame

    def __call__(self, values: Any, pixels: Any = None) -> Any:
        """Return the pixels that an output becomes, uint8 [height, width, 3]."""
        if pixels is None:
            pixels = np.zeros((self.place.source_height, self.place.source_width, 3), np.uint8)
        frame = self.video_frame(5, np.asarray(pixels, np.uint8))
        sample = Sample({"out": torch.from_numpy(np.asarray(values, np.float32)[None])}, (frame,))
        (result,) = self.stage.process(sample, *([frame] if self.framed else []))
        assert (result.index, result.time) == (5, frame.time)
        return result.pixels().numpy().copy()

    def grey(self, values: Any) -> Grey:
        """Return the levels of an output that becomes grey."""
        image = self(values)
        assert (image == image[..., :1]).all()
        levels: Grey = image[..., 0].tolist()
        return levels


LEVELS = [[0, 10, 20.4, 20.6], [254, 255, 300, -5]]


@pytest.mark.parametrize(
    ("decode", "options", "expected"),
    [
        ({"value": "level"}, {}, [[0, 10, 20, 21], [254, 255, 255, 0]]),
        ({"value": "level"}, {"invert": True}, [[255, 245, 235, 234], [1, 0, 0, 255]]),
        ({"value": "level"}, {"range": [0, 51]}, [[0, 50, 102, 103], [255, 255, 255, 0]]),
        ({"value": "depth"}, {}, [[4, 13, 21, 21], [217, 217, 255, 0]]),
    ],
    ids=str,
)
def test_values_become_levels(
    video_frame: FrameMaker, decode: dict[str, Any], options: dict[str, Any], expected: Grey
) -> None:
    assert Drawing(video_frame, (2, 4), decode, **options).grey(LEVELS) == expected


@pytest.mark.parametrize("shape", [(2, 4), (1, 2, 4), (2, 4, 1)], ids=str)
def test_shares_become_levels_whatever_the_dims(video_frame: FrameMaker, shape: tuple[int, ...]) -> None:
    draw = Drawing(video_frame, shape, {"value": "heat"}, meaning={"activation": "sigmoid"})
    values = np.array([-9, -1, 0, 1, 9, 2, 3, -2], np.float32)
    expected = np.round(255 * sigmoid(values)).reshape(2, 4)
    assert draw.grey(values.reshape(shape)) == expected.tolist()


def test_an_automatic_range_forgets_one_percent_at_each_end(video_frame: FrameMaker) -> None:
    place = Placement(20, 10, 20, 10, 1.0, 1.0, 0.0, 0.0)
    values = np.random.default_rng(1).permutation(200).astype(np.float32).reshape(10, 20)
    values[values == 199], values[values == 0] = 1e6, -1e6
    # The third smallest and the third largest of 200 values are 2 and 197.
    expected = np.round((values - 2).clip(0, 195) / 195 * 255)
    assert Drawing(video_frame, (10, 20), {"value": "depth"}, place=place).grey(values) == expected.tolist()


def test_an_automatic_range_follows_the_earlier_frames(video_frame: FrameMaker) -> None:
    draw = Drawing(video_frame, (2, 4), {"value": "depth"}, smooth=0.75)
    ramp = np.arange(8, dtype=np.float32).reshape(2, 4)
    levels = [0, 36, 73, 109, 146, 182, 219, 255]
    assert draw.grey(ramp) == [levels[:4], levels[4:]]
    # From 0..7 and 80..87 it becomes 20..27.
    assert draw.grey(ramp + 80) == [[255] * 4] * 2
    assert draw.grey(ramp + 20) == [levels[:4], levels[4:]]


def test_a_flat_frame_is_drawn(video_frame: FrameMaker) -> None:
    draw = Drawing(video_frame, (2, 4), {"value": "depth"})
    assert draw.grey(np.full((2, 4), 3.0)) == [[0] * 4] * 2


@pytest.mark.parametrize(
    ("name", "low", "middle", "high"),
    [
        ("gray", "000000", "808080", "ffffff"),
        ("turbo", "30123b", "a4fc3c", "7a0403"),
        ("viridis", "440154", "21918c", "fde725"),
        ("magma", "000004", "b73779", "fcfdbf"),
        ("inferno", "000004", "bc3754", "fcffa4"),
    ],
)
def test_colours_are_the_published_ones(name: Any, low: str, middle: str, high: str) -> None:
    table = color_table(name, torch.device("cpu")).numpy().astype(int)
    for number, text in ((0, low), (128, middle), (255, high)):
        assert abs(table[number] - list(bytes.fromhex(text))).max() <= 2


def test_a_map_has_the_chosen_colours(video_frame: FrameMaker) -> None:
    image = Drawing(video_frame, (2, 4), {"value": "heat"}, colors="viridis")([[0, 0.2, 0.4, 0.6], [0.8, 1, 1, 0]])
    table = color_table("viridis", torch.device("cpu")).numpy()
    assert image.tolist() == table[[[0, 51, 102, 153], [204, 255, 255, 0]]].tolist()


def test_a_map_is_blended_with_the_frames(video_frame: FrameMaker) -> None:
    frame = np.full((2, 4, 3), (100, 0, 50), np.uint8)
    values = [[0, 0.2, 0.4, 0.6], [0.8, 1, 1, 0]]
    image = Drawing(video_frame, (2, 4), {"value": "heat"}, framed=True, blend=0.25)(values, frame)
    levels = np.round(np.array(values) * 255)[..., None]
    assert np.array_equal(image, np.floor(0.75 * frame + 0.25 * levels + 0.5))
    image = Drawing(video_frame, (2, 4), {"value": "heat"}, framed=True)(values, frame)
    assert np.array_equal(image, np.floor(0.5 * frame + 0.5 * levels + 0.5))


def test_a_matte_cuts_the_frames_out(video_frame: FrameMaker) -> None:
    frame = np.full((2, 4, 3), (200, 100, 0), np.uint8)
    draw = Drawing(video_frame, (1, 2, 4), {"value": "matte"}, framed=True, background=[0, 100, 40])
    image = draw([[[0, 0.25, 0.5, 0.75], [1, 2, -1, 1]]], frame)
    back, front = [0, 100, 40], [200, 100, 0]
    assert image.tolist() == [[back, [50, 100, 30], [100, 100, 20], [150, 100, 10]], [front, front, back, front]]


def test_a_matte_puts_the_rest_out_of_focus(video_frame: FrameMaker) -> None:
    place = Placement(60, 30, 60, 30, 1.0, 1.0, 0.0, 0.0)
    # Stripes two pixels wide, which are grey from afar.
    frame = np.zeros((30, 60, 3), np.uint8)
    frame[:, np.arange(60) // 2 % 2 == 0] = (200, 100, 40)
    matte = np.zeros((1, 30, 60), np.float32)
    matte[:, :15] = 1
    image = Drawing(video_frame, matte.shape, {"value": "matte"}, place=place, framed=True, background="blur")(
        matte, frame
    )
    assert np.array_equal(image[:15], frame[:15])
    assert abs(image[15:, 6:-6].astype(int) - [100, 50, 20]).max() <= 34
    whole = np.full((30, 60, 3), (9, 200, 77), np.uint8)
    draw = Drawing(video_frame, matte.shape, {"value": "matte"}, place=place, framed=True, background="blur")
    assert np.array_equal(draw(matte, whole), whole)


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["depth_anything", "midas", "matte"])
def test_a_preset_is_drawn_as_published(video_frame: FrameMaker, name: str, place: str, stride: int) -> None:
    where, random = PLACES[place], np.random.default_rng(len(name) + len(place) + stride)
    size = (where.width // stride, where.height // stride)
    values = random.random((size[1], size[0])).astype(np.float32) * (1 if name == "matte" else 700)
    low, high = 0.0, 1.0
    if name != "matte":
        columns, rows = in_frame(where, size)
        inside = np.sort(values[np.ix_(rows, columns)], axis=None)
        low, high = (float(inside[round(share * (len(inside) - 1))]) for share in (0.01, 0.99))
    expected, seen = in_source(values[None], where, where.source_width, where.source_height)
    shares = ((expected[0] - low) / (high - low)).clip(0, 1)
    draw = Drawing(video_frame, (1, *values.shape) if name == "matte" else values.shape, {"preset": name}, place=where)
    planes = torch.from_numpy(values[None])
    assert np.allclose(draw.stage._resampler.linear(planes)[0].numpy()[seen], expected[0][seen], rtol=1e-6, atol=1e-5)
    levels = np.array(draw.grey(values if name != "matte" else values[None]))
    assert abs(levels - np.where(seen, shares * 255, 0)).max() <= 0.501
