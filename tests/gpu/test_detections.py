"""Test that every preset decodes on the GPU, in a recorded graph, as it does on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bmfgraph.errors import Problem
from bmfgraph.plan.types import Device, Placement
from bmfgraph.stages.detections import Detect
from bmfgraph.stages.items import Frame, Sample
from tests.stages.detectors import Array, bundle, params
from tests.stages.object_detectors import FAMILIES

pytestmark = pytest.mark.gpu
PLACE = Placement(1280, 720, 320, 256, 0.25, 0.25, 0.0, 38.0)


def detected(name: str, frames: list[dict[str, Array]], device: Device) -> list[Any]:
    """Return the detections of several frames."""
    shapes = {key: value.shape for key, value in frames[0].items()}
    stage = Detect("objects", params(bundle(name, shapes, PLACE, labels=FAMILIES[name].labels)))
    stage.device = device
    stage.open()
    results: list[Any] = []
    for index, outputs in enumerate(frames):
        tensors = {key: torch.from_numpy(value).to(device) for key, value in outputs.items()}
        results += stage.process(Sample(tensors, (Frame(index),)))
    return [*results, *stage.finish()]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_gpu_finds_what_the_cpu_finds(name: str) -> None:
    frames = [FAMILIES[name].outputs(np.random.default_rng(seed), 320, 256) for seed in range(6)]
    for expected, actual in zip(detected(name, frames, "cpu"), detected(name, frames, "cuda"), strict=True):
        assert len(expected.scores) > 3
        assert (actual.index, actual.labels) == (expected.index, expected.labels)
        assert np.allclose(actual.scores, expected.scores, atol=1e-5)
        assert np.allclose(actual.corners, expected.corners, atol=1e-2)
        for name in ("angles", "keypoints"):
            assert (getattr(actual, name) is None) == (getattr(expected, name) is None)
            if getattr(expected, name) is not None:
                assert np.allclose(getattr(actual, name), getattr(expected, name), atol=1e-2)
        assert (actual.masks is None) == (expected.masks is None)
        if expected.masks is not None:
            assert np.allclose(actual.masks.values, expected.masks.values, atol=1e-3)
            if expected.masks.weights is not None:
                assert np.allclose(actual.masks.weights, expected.masks.weights, atol=1e-3)


@pytest.mark.parametrize(
    ("decode", "expected"),
    [({}, []), ({"unit": "picture"}, ["W111"]), ({"threshold": 1.0}, ["W116"])],
)
def test_the_first_frames_on_the_gpu_give_the_warnings_of_the_cpu(decode: dict[str, Any], expected: list[str]) -> None:
    devices: tuple[Device, ...] = ("cpu", "cuda")
    for device in devices:
        warnings: list[Problem] = []
        outputs = [FAMILIES["yolov8"].outputs(np.random.default_rng(seed), 320, 256) for seed in range(6)]
        shapes = {key: value.shape for key, value in outputs[0].items()}
        stage = Detect("objects", params(bundle("yolov8", shapes, PLACE, labels=["a", "b", "c"], **decode)))
        stage.device = device
        stage.receive_warning = warnings.append
        stage.open()
        for index, tensors in enumerate(outputs):
            placed = {key: torch.from_numpy(value).to(device) for key, value in tensors.items()}
            list(stage.process(Sample(placed, (Frame(index),))))
        list(stage.finish())
        assert [warning.code for warning in warnings] == expected
        assert all(warning.path == "pipeline.nodes.objects" for warning in warnings)
