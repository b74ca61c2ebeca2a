"""Test temporal windows against their definition, for clips of every length."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bmfgraph.nodes.window import WindowParams
from bmfgraph.plan.types import Window
from bmfgraph.stages.items import Frame, Sample
from bmfgraph.stages.window import Gather

WINDOWS = [
    Window(7, (2, 3, 4), 3),
    Window(7, (0, 1, 2), 3),
    Window(5, (2,), 1),
    Window(3, (0, 1, 2), 3),
    Window(4, (3,), 1),
    Window(9, (8,), 1),
    Window(2, (0,), 1),
    Window(1, (0,), 1),
]
LENGTHS = [1, 2, 3, 6, 7, 8, 20]


def by_definition(length: int, window: Window) -> list[tuple[list[int], list[int]]]:
    """Return for each window the frames in it, and the frames that it stands for."""
    windows = []
    for start in range(0, length, window.step):
        sees = [min(max(start - window.outputs[0] + place, 0), length - 1) for place in range(window.frames)]
        windows.append((sees, [index for index in range(start, start + window.step) if index < length]))
    return windows


def sample(index: int, axis: int = 1) -> Sample:
    shape = [1, 2, 2, 2]
    shape[axis] = 3
    return Sample({"x": torch.full(shape, index)}, (Frame(index),))


def gathered(length: int, window: Window, axis: int = 1) -> list[Sample]:
    stage = Gather("window", WindowParams(window, axis))
    stage.open()
    out: list[Any] = []
    for index in range(length):
        out += stage.process(sample(index, axis))
        # The stage keeps only samples that a later window needs.
        assert len(stage._samples) <= window.frames + window.step
    out += stage.finish()
    stage.close()
    return out


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_windows_are_as_defined(length: int, window: Window) -> None:
    windows = gathered(length, window)
    seen = [(one.tensors["x"][0, ::3, 0, 0].tolist(), [frame.index for frame in one.frames]) for one in windows]
    assert seen == by_definition(length, window)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_every_frame_comes_out_once_at_its_own_place(length: int, window: Window) -> None:
    windows = gathered(length, window)
    assert [frame.index for one in windows for frame in one.frames] == list(range(length))
    for one in windows:
        positions = one.tensors["x"][0, ::3, 0, 0].tolist()
        for frame, place in zip(one.frames, window.outputs, strict=False):
            assert positions[place] == frame.index


@pytest.mark.parametrize("axis", [1, 3])
def test_pictures_lie_side_by_side_along_the_axis(axis: int) -> None:
    (first, *_) = gathered(8, Window(7, (2, 3, 4), 3), axis)
    assert first.tensors["x"].shape[axis] == 21


def test_a_clip_without_frames_gives_nothing() -> None:
    assert gathered(0, Window(7, (2, 3, 4), 3)) == []


def test_windows_come_as_soon_as_they_can() -> None:
    stage = Gather("window", WindowParams(Window(7, (2, 3, 4), 3), 1))
    stage.open()
    counts = [len(list(stage.process(sample(index)))) for index in range(12)]
    # Frame 4 fills the window whose first two positions lie before the clip.
    assert counts == [0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0]


def test_a_stage_can_be_used_again() -> None:
    stage = Gather("window", WindowParams(Window(3, (1,), 1), 1))
    for _ in range(2):
        stage.open()
        out = [one for index in range(4) for one in stage.process(sample(index))]
        out += stage.finish()
        assert [one.index for one in out] == [0, 1, 2, 3]
