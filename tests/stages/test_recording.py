"""Test that a recording gives what its stages give one frame after the other, with a stand-in for CUDA's graphs.

The graphs of a GPU are tested in ``tests/gpu/test_recording.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from bmfgraph.errors import Problem
from bmfgraph.nodes.frames import FramesParams
from bmfgraph.plan.types import TensorMeaning
from bmfgraph.stages import recording
from bmfgraph.stages.frames import ToFrames
from bmfgraph.stages.items import Frame
from bmfgraph.stages.preprocess import Preprocess
from bmfgraph.stages.recording import Recording, for_each
from tests.stages.test_preprocess import transform
from tests.tools import opened


class Graph:
    """Computes again, into the same outputs."""

    replays = 0

    def __init__(self, function: Callable[[], dict[str, torch.Tensor]]) -> None:
        self.function = function
        self.outputs = function()

    def replay(self) -> None:
        Graph.replays += 1
        for name, tensor in self.function().items():
            self.outputs[name].copy_(tensor)


@pytest.fixture(autouse=True)
def graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    def captured(function: Callable[[], Any]) -> tuple[Graph, Any]:
        graph = Graph(function)
        return graph, graph.outputs

    Graph.replays = 0
    monkeypatch.setattr(recording, "captured", captured)


def image(index: int, *, planar: bool) -> torch.Tensor:
    pixels = torch.randint(0, 256, (3, 16, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(index))
    return pixels.permute(1, 2, 0) if planar else pixels.permute(1, 2, 0).contiguous()


def upscaling(batch: int = 4) -> Recording:
    """Return the stages around a model that doubles nothing: image to tensor, tensor to image."""
    before = Preprocess("before", transform(name="x", resize=(12, 8), dtype="float32"))
    after = ToFrames("after", FramesParams("x", TensorMeaning(), 1, None, deep=False))
    stages = [opened(before), opened(after)]
    for stage in stages:
        stage.batch = batch
    return Recording(stages)


@pytest.mark.parametrize("planar", [False, True], ids=["packed", "planar"])
@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_each_frame_is_what_it_is_alone(count: int, planar: bool) -> None:
    steps = upscaling()
    rows = [(Frame(index, image=image(index, planar=planar)),) for index in range(count)]
    whole = [frame for start in range(0, count, 4) for frame in steps.process_batch(rows[start : start + 4])]
    assert [frame.index for frame in whole] == list(range(count))
    for (source,), frame in zip(rows, whole, strict=True):
        (sample,) = steps.stages[0].process(source)
        (alone,) = steps.stages[1].process(sample)
        assert torch.equal(frame.pixels(), alone.pixels())
    assert Graph.replays == count // 4
    assert list(steps.finish()) == []


def test_results_stay_when_the_next_batch_is_replayed() -> None:
    steps = upscaling()
    rows = [[(Frame(index, image=image(index, planar=True)),) for index in range(start, start + 4)] for start in (0, 4)]
    first = steps.process_batch(rows[0])
    kept = [frame.pixels().clone() for frame in first]
    steps.process_batch(rows[1])
    assert all(torch.equal(frame.pixels(), pixels) for frame, pixels in zip(first, kept, strict=True))


def test_what_cannot_be_recorded_runs_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def captured(function: Callable[[], Any]) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(recording, "captured", captured)
    steps = upscaling()
    warnings: list[Problem] = []
    steps.stages[-1].receive_warning = warnings.append
    rows = [(Frame(index, image=image(index, planar=True)),) for index in range(4)]
    for _ in range(2):
        assert [frame.index for frame in steps.process_batch(rows)] == [0, 1, 2, 3]
    (warning,) = warnings
    assert warning.code == "W133"
    assert warning.path == "pipeline.nodes.after"
    assert "before, after" in warning.message
    assert "not permitted" in warning.message


def test_marks_divide_the_time_of_a_batch() -> None:
    steps = upscaling()
    steps.process_batch([(Frame(0, image=image(0, planar=True)),)])
    assert list(steps.marks) == sorted(steps.marks)
    assert steps.marks[0] > 0


@pytest.mark.parametrize("count", [1, 5])
def test_a_function_of_each_entry(count: int) -> None:
    values = torch.rand(count, 7, 3)
    result = for_each(lambda table: table.topk(2, dim=0).values, values)
    assert torch.equal(result, torch.stack([table.topk(2, dim=0).values for table in values]))
