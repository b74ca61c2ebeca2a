"""Test that label maps and maps on the GPU, in a recorded graph, are those of the CPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bmfgraph.nodes.frames import LabelFramesParams
from bmfgraph.nodes.transfer import DownloadParams, UploadParams
from bmfgraph.plan.types import Device
from bmfgraph.stages.frames import ToFrames
from bmfgraph.stages.items import Frame, Sample
from bmfgraph.stages.map import Map
from bmfgraph.stages.results import Segments
from bmfgraph.stages.segment import Segment
from bmfgraph.stages.transfer import Download, Upload
from tests.gpu.conftest import no_waits
from tests.stages.dense import PLACES, map_params, segment_params
from tests.tools import StageKind, model_output

pytestmark = pytest.mark.gpu
LABELS = ["red", "green", "blue", "black"]


DEVICES: tuple[Device, Device] = ("cpu", "cuda")


def on(device: Device, stage: StageKind) -> StageKind:
    """Return the stage, opened on a device."""
    stage.device = device
    stage.open()
    return stage


def label_maps(place: str, device: Device, numbers: bool, **options: Any) -> list[Segments]:
    """Return the label maps of several frames."""
    where, random = PLACES[place], np.random.default_rng(len(place))
    shape = (1, where.height // 4, where.width // 4) if numbers else (4, where.height // 4, where.width // 4)
    decode = {"task": "segment", "labels": LABELS, **({} if numbers else {"threshold": 0.6})}
    dtype, meaning = ("int64", {}) if numbers else ("float32", {"activation": "softmax"})
    params, _ = segment_params(model_output((1, *shape), where, decode, dtype=dtype, **meaning), **options)
    stage = on(device, Segment("n", params))
    results: list[Segments] = []
    for index in range(3):
        values = random.integers(0, 6, shape) if numbers else random.normal(size=shape).astype(np.float32) * 3
        sample = Sample({"out": torch.from_numpy(values[None]).to(device)}, (Frame(index),))
        results += stage.process(sample)
    return results


@pytest.mark.parametrize("numbers", [False, True])
@pytest.mark.parametrize("size", ["model", "source"])
@pytest.mark.parametrize("place", PLACES)
def test_label_maps_are_those_of_the_cpu(place: str, size: str, numbers: bool) -> None:
    both = (label_maps(place, device, numbers, size=size) for device in DEVICES)
    for expected, actual in zip(*both, strict=True):
        assert actual.classes.is_cuda
        assert actual.index == expected.index
        assert torch.equal(actual.classes.cpu(), expected.classes)


def test_label_maps_travel_and_become_frames() -> None:
    (first, *_) = label_maps("whole", "cuda", False)
    download = on("cuda", Download("n", DownloadParams(None, None, "", 0, 0)))
    (copy,) = (*download.process(first), *download.finish())
    assert isinstance(copy, Segments)
    assert not copy.classes.is_cuda
    (back,) = on("cuda", Upload("n", UploadParams(None))).process(copy)
    assert isinstance(back, Segments)
    assert back.classes.is_cuda
    assert torch.equal(back.classes, first.classes)
    params = LabelFramesParams(((1, 2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12)), 32, 16)
    (frame,) = on("cuda", ToFrames("n", params)).process(back)
    assert frame.image is not None
    colors = torch.tensor([*params.colors, *[(0, 0, 0)] * 252])
    enlarged = copy.classes.long().repeat_interleave(4, 0).repeat_interleave(4, 1)
    assert torch.equal(frame.image.cpu().long(), colors[enlarged])


@pytest.mark.parametrize(
    "options",
    [
        {"smooth": 0.5},
        {"colors": "turbo", "framed": True},
        {"background": [9, 8, 7], "framed": True, "range": [1, 4]},
        {"background": "blur", "framed": True, "range": [1, 4]},
    ],
    ids=str,
)
@pytest.mark.parametrize("place", PLACES)
def test_maps_are_those_of_the_cpu(place: str, options: dict[str, Any]) -> None:
    where, random = PLACES[place], np.random.default_rng(len(place))
    shape = (where.height // 4, where.width // 4)
    decode = {"task": "map", "value": "depth"}
    params = map_params(model_output((1, *shape), where, decode), **options)
    stages = [on(device, Map("n", params)) for device in DEVICES]
    for _ in range(3):
        values = torch.from_numpy(random.random(shape).astype(np.float32) * 5)
        pixels = torch.from_numpy(random.integers(0, 256, (where.source_height, where.source_width, 3), np.uint8))
        images = []
        for device, stage in zip(DEVICES, stages, strict=True):
            extra = [pixels.to(device)] if options.get("framed") else []
            image, stage._range = stage._draw(values.to(device), stage._range, *extra)
            images.append(image.cpu().int())
        # Neighbouring colours of a table differ by at most 8 levels.
        assert (images[0] - images[1]).abs().max() <= (8 if "colors" in options else 1)


def test_a_frame_is_drawn_without_a_wait() -> None:
    where = PLACES["letterboxed"]
    shape = (where.height, where.width)
    stage = on("cuda", Map("n", map_params(model_output((1, *shape), where, {"task": "map", "value": "depth"}))))
    sample = Sample({"out": torch.rand((1, *shape), device="cuda")}, (Frame(0),))
    list(stage.process(sample))
    torch.cuda.synchronize()
    with no_waits():
        (frame,) = stage.process(replace(sample, frames=(Frame(1),)))
    assert frame.image is not None
    assert frame.image.is_cuda
