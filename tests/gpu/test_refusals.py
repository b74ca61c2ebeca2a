"""Test that engines that do not fit are refused with a message before a frame is decoded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.engines.manifest import ENGINE, MANIFEST
from bmfgraph.errors import BmfgraphError, EngineError

Run = Callable[..., Any]


def test_host_code_must_be_allowed(run: Run, faces: list[str], kit: Path) -> None:
    words = [word for word in faces if "host_code" not in word]
    with pytest.raises(EngineError, match=r"pipeline.nodes.detect: engine .* is not taken by") as caught:
        run(*words, f"input={kit}/carphone_pristine.mp4", "encoder=measure")
    assert caught.value.hint.endswith("set engine.allow_host_code=true")


def test_another_shape(run: Run, faces: list[str], kit: Path) -> None:
    words = [*faces, "model=ultraface_rfb_320", f"model.file={kit}/ultraface_rfb_320.onnx"]
    with pytest.raises(EngineError, match=r"takes input of \[1, 3, 480, 640\] to \[1, 3, 480, 640\]") as caught:
        run(*words, f"input={kit}/carphone_pristine.mp4", "encoder=measure")
    assert "the frames make [1, 3, 240, 320]" in str(caught.value)


def test_a_batch_above_the_profile(run: Run, upscaling: list[str], kit: Path) -> None:
    with pytest.raises(EngineError, match=r"and the frames make \[8, 3, 144, 176\]"):
        run(*upscaling, "engine.batch=8", f"input={kit}/carphone_pristine.mp4", "encoder=measure")


def test_another_dtype(run: Run, upscaling: list[str], kit: Path) -> None:
    words = [word for word in upscaling if not word.startswith("model.")]
    with pytest.raises(EngineError, match=r"has the input input float32\[.*\], and the model's is uint8"):
        run(*words, "model=vsr_x2_fast", f"input={kit}/carphone_pristine.mp4", "encoder=measure")


def test_a_second_input_that_the_engine_lacks(run: Run, upscaling: list[str], kit: Path, tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    shape: list[str | int | None] = ["n", 3, "h", "w"]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("input", "other", "output")]
    graph = helper.make_graph([helper.make_node("Add", ["input", "other"], ["output"])], "g", tensors[:2], tensors[2:])
    onnx.save(helper.make_model(graph), str(tmp_path / "two.onnx"))
    meaning = "{layout: NCHW, channels: RGB, std: 255}"
    words = [word for word in upscaling if not word.startswith("model.")]
    words += ["model=vsr_x2_fast", f"model.file={tmp_path}/two.onnx", f"model.outputs={{output: {meaning}}}"]
    words += [f"model.inputs={{input: {meaning}, other: {meaning}}}", f"input={kit}/carphone_pristine.mp4"]
    with pytest.raises(BmfgraphError, match=r"has 2 input\(s\) \(input, other\), but 1 edge\(s\) are connected"):
        run(*words)
    with pytest.raises(EngineError, match="has no input other; its inputs: input float32"):
        run(*words, "pipeline.nodes.upscale.inputs=[window, prepare]", "encoder=measure")


def test_damaged_plans_end_in_words(faces: list[str], kit: Path, tmp_path: Path) -> None:
    whole = (kit / "ultraface_rfb_640.fp16.sm90.plan").read_bytes()
    for name, data in {"cut": whole[:100_000], "noise": bytes(range(256)) * 40, "empty": b""}.items():
        (tmp_path / f"{name}.plan").write_bytes(data)
        words = [word for word in faces if not word.startswith("engine.path")]
        words += [f"engine.path={tmp_path}/{name}.plan", f"input={kit}/carphone_pristine.mp4", "encoder=measure"]
        done = subprocess.run([sys.executable, "-m", "bmfgraph", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stderr
        assert f"engine '{tmp_path}/{name}.plan' is not taken by" in done.stderr


def test_the_engine_of_another_gpu(
    compiled: Callable[..., Any], run: Run, faces: list[str], kit: Path, tmp_path: Path
) -> None:
    words = [word for word in faces if not word.startswith("engine.path")]
    words += [f"engine.store={tmp_path}/engines", "engine.runtime=tensorrt", "engine.build=never"]
    words += [f"input={kit}/carphone_pristine.mp4", "encoder=measure"]
    build = compiled(*words).node("detect").params.engine.build
    from bmfgraph.engines.manifest import BuildResult, make_manifest

    key = replace(build.key, gpu="NVIDIA L4", compute_capability="8.9")
    folder = tmp_path / "engines" / "ultraface_rfb_640" / key.digest()[:16]
    folder.mkdir(parents=True)
    shutil.copy(kit / "ultraface_rfb_640.fp16.sm90.plan", folder / ENGINE)
    manifest = make_manifest(build.model, key, BuildResult([], {"library": "TensorRT"}), folder / ENGINE, 1.0)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(EngineError, match="NVIDIA L4"):
        run(*words)
