"""Run OpenVINO on the CPU with tiny models, and measure it against ONNX Runtime."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

import bmfgraph as bg
from bmfgraph.engines.onnx.model import read_onnx
from bmfgraph.engines.runtimes import Engine, load_engine
from bmfgraph.engines.spec import EngineSpec
from bmfgraph.engines.speeds import Speeds, measured_speeds
from bmfgraph.engines.trial import TrialRequest, trial_request, try_model
from bmfgraph.errors import BmfgraphError, EngineError
from bmfgraph.system.machine import find_machine
from tests.conftest import Samples
from tests.tools import (
    detector_model,
    double_model,
    engine_request,
    mix_model,
    negate_model,
    save_model,
    tensor_info,
)

pytest.importorskip("openvino", reason="needs the extra openvino")

Clip = Callable[..., Path]
Tensors = dict[str, tuple[str, tuple[int, ...]]]
"""Dtype and shape by name."""
PICTURES: Tensors = {"input": ("float32", (2, 3, 4, 6))}
NEGATED: Tensors = {"output": ("float32", (2, 3, 4, 6))}
MODELS: dict[str, tuple[Any, Tensors, Tensors]] = {
    "double": (double_model, {"input": ("uint8", (2, 3, 4, 6))}, {"output": ("uint8", (2, 3, 8, 12))}),
    "detector": (
        detector_model,
        {"input": ("float32", (1, 3, 48, 64))},
        {"scores": ("float32", (1, 3, 2)), "boxes": ("float32", (1, 3, 4))},
    ),
    "mix": (
        mix_model,
        {"a": ("float32", (3, 3, 4, 6)), "b": ("float32", (3, 3, 4, 6))},
        {"output": ("float32", (3, 3, 4, 6))},
    ),
    "negate": (negate_model, PICTURES, NEGATED),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BMFGRAPH_CACHE", str(tmp_path / "cache"))


def spec_of(path: Path, inputs: Tensors, outputs: Tensors) -> EngineSpec:
    return engine_request(
        path,
        runtime="openvino",
        batch=next(iter(inputs.values()))[1][0],
        input_shapes=tuple((name, shape) for name, (_, shape) in inputs.items()),
        output_shapes=tuple((name, shape) for name, (_, shape) in outputs.items()),
        tensors=tuple((name, dtype) for name, (dtype, _) in {**inputs, **outputs}.items()),
    )


def outputs_of(engine: Engine, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return engine.begin(inputs).outputs()


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", MODELS)
def test_results_are_those_of_onnx_runtime(name: str) -> None:
    make, inputs, outputs = MODELS[name]
    spec = spec_of(make(Path("x.onnx")), inputs, outputs)
    tensors = {key: (torch.rand(*shape) * 255).to(getattr(torch, dtype)) for key, (dtype, shape) in inputs.items()}
    turned = {key: tensor.transpose(2, 3).contiguous().transpose(2, 3) for key, tensor in tensors.items()}
    expected = outputs_of(load_engine("net", replace(spec, runtime="onnxruntime")), tensors)
    engine = load_engine("net", spec)
    for given in (tensors, turned):
        results = outputs_of(engine, given)
        assert list(results) == list(expected)
        for key, result in results.items():
            torch.testing.assert_close(result, expected[key], rtol=1e-5, atol=1e-4)


def test_outputs_are_the_callers() -> None:
    engine = load_engine("net", spec_of(negate_model(Path("x.onnx")), PICTURES, NEGATED))
    frames = torch.rand(2, 3, 4, 6) * 255
    first = outputs_of(engine, {"input": frames})["output"]
    copy = first.clone()
    second = outputs_of(engine, {"input": frames / 2})["output"]
    assert torch.equal(first, copy)
    first += 1
    assert torch.equal(second, 255 - frames / 2)


def test_bf16_is_bf16_and_fp32_is_not() -> None:
    """OpenVINO's own default is bf16 on CPUs that have it."""
    path = save_model(
        Path("x.onnx"),
        [helper.make_node("Conv", ["input", "w"], ["output"], pads=[1, 1, 1, 1])],
        [tensor_info("input", "float32", [1, 3, 32, 32])],
        [tensor_info("output", "float32", [1, 8, 32, 32])],
        {"w": np.random.default_rng(1).random((8, 3, 3, 3), np.float32)},
    )
    spec = spec_of(path, {"input": ("float32", (1, 3, 32, 32))}, {"output": ("float32", (1, 8, 32, 32))})
    frames = {"input": torch.rand(1, 3, 32, 32)}
    exact = outputs_of(load_engine("net", replace(spec, runtime="onnxruntime")), frames)["output"]

    def error(precision: str) -> float:
        results = outputs_of(load_engine("net", replace(spec, precision=precision)), frames)
        return float((results["output"] - exact).abs().max())

    assert error("fp32") < 1e-4
    if find_machine().cpu_bf16:
        assert 1e-4 < error("bf16") < 0.2


def test_a_file_that_is_no_model() -> None:
    spec = spec_of(negate_model(Path("x.onnx")), PICTURES, NEGATED)
    read_onnx(Path("x.onnx"))
    Path("y.onnx").write_bytes(b"rubbish" * 100)
    with pytest.raises(EngineError, match=r"OpenVINO .* cannot load 'y.onnx'.*\n.*engine.runtime=onnxruntime"):
        load_engine("net", replace(spec, path="y.onnx"))


def test_the_import_reports_nothing() -> None:
    code = """
import socket, sys, time
def refuse(*words):
    print("asked for", words[0])
    raise OSError
socket.getaddrinfo = socket.gethostbyname = refuse
from bmfgraph.engines.runtimes.openvino_model import import_openvino
print(import_openvino().__name__, "openvino_telemetry" in sys.modules)
time.sleep(0.5)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("openvino False\n", "")


def requested(threads: int | None = None) -> TrialRequest:
    model = read_onnx(negate_model(Path("x.onnx")))
    return trial_request(model, {"input": (1, 3, 48, 64)}, {"input": model.inputs[0].dims}, {}, threads)


def test_a_speed_is_measured_once() -> None:
    request = requested()
    assert measured_speeds(request, measure=False) == Speeds()
    speeds = measured_speeds(request, measure=True)
    assert 0 < speeds.onnxruntime < 1000
    assert 0 < speeds.openvino < 1000
    assert measured_speeds(request, measure=False) == measured_speeds(request, measure=True) == speeds
    # Another number of threads is another question.
    assert measured_speeds(requested(threads=7), measure=False) == Speeds()


def test_the_trial_runs_the_model() -> None:
    trial = try_model(replace(requested(), runtime="openvino"))
    assert (trial.problem, trial.outputs) == ("", {"output": (1, 3, 48, 64)})


def job(clip: Path, *overrides: str) -> bg.Job:
    model = {"name": "x", "file": "x.onnx", "inputs": {"input": {}}, "outputs": {"output": {}}}
    return bg.compose("super_resolution", *overrides, input=str(clip), output=f"{clip.stem}_out.mp4", model=model)


@pytest.mark.wide
def test_a_long_clip_is_run_by_the_faster_one(clip: Clip) -> None:
    double_model(Path("x.onnx"))
    assert "measured" not in job(clip("short.mp4", frames=20)).run().engines["upscale"]
    assert "measured: OpenVINO" in job(clip("long.mp4", frames=260)).run().engines["upscale"]
    # The note counts for other clips, too.
    assert "measured: OpenVINO" in job(clip("third.mp4", frames=20)).run().engines["upscale"]


@pytest.mark.wide
def test_a_model_that_only_onnx_runtime_runs(clip: Clip) -> None:
    graph = helper.make_graph(
        [helper.make_node("SampleOp", ["input"], ["output"], domain="com.microsoft")],
        "gelu",
        [tensor_info("input", "float32", [1, 3, "h", "w"])],
        [tensor_info("output", "float32", [1, 3, "h", "w"])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), "x.onnx")
    path = clip("clip.mp4", frames=5)
    assert job(path).run().frames == 5
    with pytest.raises(BmfgraphError, match=r"OpenVINO .* SampleOp") as info:
        job(path, "engine.runtime=openvino", "overwrite=true").run()
    assert info.value.problems[0].code == "E520"


def test_int8_is_quantized_once(samples: Samples) -> None:
    source = str(samples["carphone"])
    quantized = bg.compose(
        "super_resolution",
        "engine=int8",
        "engine.calibration_frames=2",
        f"engine.calibration={source}",
        "decoder.end=0.2",
        "encoder=measure",
        input=source,
    )
    engine = quantized.plan().node("upscale").params.engine
    assert (engine.runtime, engine.precision, engine.device) == ("openvino", "int8", "cpu")
    quantized.build()
    written = Path(engine.path).stat().st_mtime_ns
    assert "in int8" in quantized.run().engines["upscale"]
    assert Path(engine.path).stat().st_mtime_ns == written
