"""Build engines with another interpreter's TensorRT or with a program, and compare their results with the CPU's.

``$BMFGRAPH_GPU_BUILDER`` names a Python with TensorRT 8.6 or later; ``$BMFGRAPH_GPU_STORE`` a folder for the engines
(default: a temporary one). A build takes a minute or more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.api import Job
from bmfgraph.media.accuracy import compare
from bmfgraph.runner.engines import prepare_engines
from bmfgraph.runner.run import run_plan
from tests.gpu.test_models import assert_same_faces, cpu_faces, cpu_pictures, records
from tests.runner.media_tools import Seen, psnr

__all__ = ["cpu_faces", "cpu_pictures"]

Compose = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def builder() -> str:
    found = os.environ.get("BMFGRAPH_GPU_BUILDER")
    if not found:
        pytest.skip("$BMFGRAPH_GPU_BUILDER names no Python that has TensorRT")
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(os.environ.get("BMFGRAPH_GPU_STORE") or tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def by_python(builder: str, store: Path) -> list[str]:
    """Return overrides that build engines with that Python."""
    return [
        f"engine.store={store}",
        "engine.runtime=tensorrt",
        f"engine.python={builder}",
        "engine.version_compatible=true",
        "engine.allow_host_code=true",
        "engine.tactic_sources=[EDGE_MASK_CONVOLUTIONS,JIT_CONVOLUTIONS]",
    ]


def without_path(words: list[str]) -> list[str]:
    return [word for word in words if not word.startswith("engine.path")]


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_faces(
    compose: Compose,
    faces: list[str],
    by_python: list[str],
    kit: Path,
    tmp_path: Path,
    cpu_faces: list[Any],
    precision: str,
) -> None:
    words = [
        *without_path(faces),
        f"engine={precision}",
        *by_python,
        f"input={kit}/carphone_pristine.mp4",
        "encoder=measure",
    ]
    plan = Job.from_config(compose(*words, f"records={tmp_path}/gpu.jsonl")).plan()
    built = prepare_engines(plan)
    if precision == "fp16":
        # The line counts the tails of both outputs; TensorRT may fuse some layers later.
        assert "layers behind the last heavy ones stay in float32" in (built["detect"].parent / "build.log").read_text()
    run_plan(plan)
    assert_same_faces(records(tmp_path / "gpu.jsonl"), cpu_faces)


def test_a_detector_in_int8_is_measured_against_fp32(
    compose: Compose, faces: list[str], by_python: list[str], kit: Path, tmp_path: Path
) -> None:
    words = [*without_path(faces), f"input={kit}/carphone_pristine.mp4", "encoder=measure"]
    # What AP needs: the weak detections as well.
    words += ["model.decode.threshold=0.05"]
    int8 = ["engine=int8", *by_python, f"engine.calibration={kit}/carphone_pristine.mp4"]
    for name, engine in (("fp32", ["device=cpu"]), ("int8", int8)):
        plan = Job.from_config(compose(*words, *engine, f"records={tmp_path}/{name}.jsonl")).plan()
        prepare_engines(plan)
        run_plan(plan)
    # The truth is what fp32 finds with the model's own threshold.
    sure = [
        json.loads(line) | {"detections": [box for box in json.loads(line)["detections"] if box["score"] >= 0.7]}
        for line in (tmp_path / "fp32.jsonl").read_text().splitlines()
    ]
    (tmp_path / "truth.jsonl").write_text("".join(json.dumps(frame) + "\n" for frame in sure))
    found = compare(tmp_path / "int8.jsonl", tmp_path / "truth.jsonl")
    print({key: found[key] for key in ("map", "map50", "recall", "mean_iou")})
    assert found["map50"] >= 0.9


PROFILES = "engine.profiles={input: {min: 1x3x64x64, opt: 1x3x720x1280, max: 1x3x720x1280}}"


@pytest.mark.parametrize(("precision", "least"), [("fp16", 50.0), ("int8", 33.0)])
def test_pictures(
    upscaled: Callable[..., list[Seen]],
    upscaling: list[str],
    by_python: list[str],
    kit: Path,
    cpu_pictures: list[Seen],
    precision: str,
    least: float,
) -> None:
    words = [*without_path(upscaling), f"engine={precision}", *by_python, PROFILES, "decoder.end=1.0"]
    words += [f"engine.calibration={kit}/bigbuckbunny.mp4"] if precision == "int8" else []
    seen = upscaled(*words, f"input={kit}/carphone_pristine.mp4")
    worst = min(psnr(one.pixels, other.pixels) for one, other in zip(seen, cpu_pictures, strict=True))
    print(f"{precision}: least PSNR to the CPU {worst:.2f} dB")
    assert worst >= least


def test_a_window_of_frames(upscaled: Callable[..., list[Seen]], by_python: list[str], kit: Path) -> None:
    """Seven frames in, three out, channels last; min, opt and max are the same shape."""
    words = ["pipeline=super_resolution", "model=vsr_x2_temporal", f"input={kit}/carphone_pristine.mp4"]
    shape = "engine.input_shapes={input\\:0: 1x144x176x21}"
    ours = upscaled(*words, "engine=fp16", *by_python, shape, "decoder.end=0.5")
    theirs = upscaled(*words, "device=cpu", "decoder.end=0.5")
    assert [one.time for one in ours] == [one.time for one in theirs]
    worst = min(psnr(one.pixels, other.pixels) for one, other in zip(ours, theirs, strict=True))
    print(f"temporal, fp16: least PSNR to the CPU {worst:.2f} dB")
    assert worst >= 50


def test_a_built_engine_is_used_again(
    compose: Compose, upscaling: list[str], by_python: list[str], kit: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [*without_path(upscaling), "engine=fp16", *by_python, PROFILES, f"input={kit}/carphone_pristine.mp4"]
    first = prepare_engines(Job.from_config(compose(*words)).plan())
    capfd.readouterr()
    assert prepare_engines(Job.from_config(compose(*words, "engine.build=never")).plan()) == first
    assert "building" not in capfd.readouterr().err
    # Without the builder, what it built is found as well.
    words = [word for word in words if not word.startswith("engine.python")]
    assert prepare_engines(Job.from_config(compose(*words, "engine.build=never")).plan()) == first


def test_a_program_builds(upscaled: Callable[..., list[Seen]], builder: str, store: Path, kit: Path) -> None:
    """Run TensorRT's Python in place of trtexec; input and output of the model are uint8."""
    script = Path(builder).with_name("build86.py")
    command = ",".join([builder, str(script), "'{onnx}'", "'{plan}'", "'{precision_flag}'", "'{shapes}'"])
    words = ["pipeline=super_resolution", "model=vsr_x2_fast", f"input={kit}/carphone_pristine.mp4", "decoder.end=0.3"]
    ours = upscaled(
        *words,
        "engine=fp16",
        f"engine.store={store}",
        "engine.runtime=tensorrt",
        "engine.builder=command",
        f"engine.command=[{command}]",
        "engine.version=8.6.0",
        "engine.allow_host_code=true",
    )
    theirs = upscaled(*words, "device=cpu")
    assert len(ours) == len(theirs) > 5
    worst = min(psnr(one.pixels, other.pixels) for one, other in zip(ours, theirs, strict=True))
    print(f"uint8 model, fp16: least PSNR to the CPU {worst:.2f} dB")
    assert worst >= 50
