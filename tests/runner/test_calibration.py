"""Test the inputs of int8 calibration: the pipeline's own stages run on frames of another clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bmfgraph.compile import compile_pipeline
from bmfgraph.config.pipeline import parse_pipeline
from bmfgraph.errors import EngineError
from bmfgraph.runner.calibration import calibration_inputs
from bmfgraph.system.machine import Machine
from tests.compile.machines import ADA_RTX, HOPPER_TRT
from tests.compile.pipelines import MIX, UPSCALE, engine
from tests.runner.command import clip as noise
from tests.tools import Pixels, double_model, make_clip, middle_model, mix_model, negate_model

ONE = UPSCALE.replace("double.onnx", "negate.onnx").replace("input: {}", "input: {mean: 100, std: 2}")
SEVEN = UPSCALE.replace("double.onnx", "middle.onnx").replace(
    "inputs: {input: {}}, outputs: {output: {}}",
    "inputs: {'input:0': {layout: NHWC}}, outputs: {'output:0': {layout: NHWC}}, "
    "window: {frames: 7, outputs: [2, 3, 4], step: 3}",
)


def grey(index: int, width: int, height: int) -> Pixels:
    """Draw a uniform image of the level 10 + 8 index."""
    return np.full((height, width, 3), 10 + 8 * index, np.uint8)


def inputs(folder: Path, text: str, clip: Path, count: int = 32, machine: Machine = HOPPER_TRT) -> list[dict[str, Any]]:
    """Return the calibration inputs of the pipeline's model."""
    make_clip(folder / "clip.mp4", frames=3)
    for make in (double_model, negate_model, middle_model, mix_model):
        make(folder / f"{make.__name__.removesuffix('_model')}.onnx")
    text = engine(text, f"{{precision: int8, calibration: {clip}, calibration_frames: {count}}}")
    data = {"name": "x", "nodes": yaml.safe_load(text.replace("@", f"{folder}/"))}
    plan = compile_pipeline(parse_pipeline(data), machine)
    return list(calibration_inputs(plan, plan.node("net")))


def levels(samples: list[dict[str, Any]], name: str) -> list[float]:
    return [float(one[name].mean()) for one in samples]


@pytest.mark.parametrize(
    ("count", "frames"),
    [(1, [0]), (2, [0, 20]), (3, [0, 10, 20]), (5, [0, 5, 10, 15, 20]), (21, list(range(21))), (99, list(range(21)))],
)
def test_frames_come_from_all_over_the_clip(tmp_path: Path, count: int, frames: list[int]) -> None:
    clip = make_clip(tmp_path / "grey.mp4", frames=21, draw=grey)
    samples = inputs(tmp_path, ONE, clip, count)
    assert all(one.keys() == {"input"} for one in samples)
    assert all(one["input"].shape == (1, 3, 48, 64) and one["input"].dtype == np.float32 for one in samples)
    # Normalised for the model: (level - 100) / 2.
    assert levels(samples, "input") == pytest.approx([(8 * index - 90) / 2 for index in frames], abs=1)


def test_a_window_gets_frames_that_follow_each_other(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "grey.mp4", frames=24, draw=grey)
    samples = inputs(tmp_path, SEVEN, clip, 2)
    assert [(one["input:0"].shape, one["input:0"].dtype) for one in samples] == [((1, 48, 64, 21), np.uint8)] * 2
    for one, first in zip(samples, (0, 17), strict=True):
        # The first window of a passage: two images of padding, then its frames 0 to 4.
        wanted = [10 + 8 * (first + offset) for offset in (0, 0, 0, 1, 2, 3, 4)]
        assert one["input:0"].mean(axis=(0, 1, 2)).reshape(7, 3).mean(axis=1) == pytest.approx(wanted, abs=2)


def test_each_input_gets_its_own_preparation(tmp_path: Path) -> None:
    red = make_clip(tmp_path / "red.mp4", frames=2, draw=lambda index, w, h: np.full((h, w, 3), (200, 90, 10), "u1"))
    (first, _) = inputs(tmp_path, MIX, red, 2, ADA_RTX)
    assert first["a"].mean(axis=(0, 2, 3)) == pytest.approx([200, 90, 10], abs=4)
    assert first["b"].mean(axis=(0, 2, 3)) == pytest.approx([10, 90, 200], abs=4)


def test_a_clip_of_another_size_is_scaled(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "wide.mp4", size=(160, 90), frames=4, draw=grey)
    samples = inputs(tmp_path, ONE, clip, 4)
    assert [one["input"].shape for one in samples] == [(1, 3, 48, 64)] * 4
    assert levels(samples, "input") == pytest.approx([-45, -41, -37, -33], abs=1)


def test_a_clip_that_cannot_be_read(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video\n" * 100)
    sound = noise(tmp_path / "sound.mp4", sound_only=True)
    for clip, message in ((text, "cannot be read as video ("), (sound, "has no video stream")):
        with pytest.raises(EngineError) as caught:
            inputs(tmp_path, ONE, clip)
        assert str(caught.value).startswith(f"pipeline.nodes.net: engine.calibration: {str(clip)!r} {message}")
        assert caught.value.hint == "name another clip"


def test_a_clip_shorter_than_the_window(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "short.mp4", frames=4, draw=grey)
    assert [one["input:0"].shape for one in inputs(tmp_path, SEVEN, clip)] == [(1, 48, 64, 21)]
