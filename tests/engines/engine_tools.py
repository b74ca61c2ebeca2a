"""Make keys, build specs and models for the tests of engines."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from bmfgraph.engines.key import EngineKey, Profile
from bmfgraph.engines.spec import BuildSpec
from tests.tools import save_model, tensor_info

REPOSITORY = Path(__file__).parents[2]

CHANGES: dict[str, Any] = {
    "onnx": "b" * 64,
    "dims": (("input", ("batch", 3, "height", "width")),),
    "profiles": (("input", Profile((1, 3, 16, 16), (1, 3, 24, 32), (2, 3, 48, 64))),),
    "precision": "fp32",
    "flags": (("optimization_level", 3), ("workspace", None)),
    "calibration": "c" * 64,
    "runtime": "tensorrt",
    "version": "1.7.2",
    "gpu": "NVIDIA L4",
    "compute_capability": "8.9",
    "schema": 3,
}
"""Another value for each field of ``key()``."""


def key(**changes: Any) -> EngineKey:
    """Return the key of ``picture_model`` for TensorRT-RTX, with some fields changed."""
    shape = (1, 3, 24, 32)
    whole = EngineKey(
        onnx="a" * 64,
        dims=(),
        profiles=(("input", Profile(shape, shape, shape)),),
        precision="fp16",
        flags=(("optimization_level", None), ("workspace", None)),
        calibration=None,
        runtime="tensorrt_rtx",
        version="1.7.1",
        gpu="any",
        compute_capability="any",
    )
    return dataclasses.replace(whole, **changes)


def build(store: Path, **changes: Any) -> BuildSpec:
    """Return the build spec of ``key()``; ``changes`` are fields of BuildSpec or of the key."""
    own = {field.name for field in dataclasses.fields(BuildSpec)}
    settings: dict[str, Any] = {
        "model": "picture",
        "store": str(store),
        "policy": "auto",
        "python": None,
        "command": (),
        "timing_cache": True,
        "calibration": None,
        "calibration_frames": 4,
    }
    settings |= {name: value for name, value in changes.items() if name in own}
    of_key = {name: value for name, value in changes.items() if name not in own}
    return BuildSpec(key=key(**of_key), **settings)


def picture_model(path: Path, *, dtype: str = "uint8") -> Path:
    """Save a model from ``input``, uint8 [N, 3, H, W], by two convolutions to ``output``, a similar image."""
    rng = np.random.default_rng(7)
    wide = rng.normal(0, 0.02, (8, 3, 3, 3)).astype(np.float32)
    narrow = np.zeros((3, 8, 3, 3), np.float32)
    for channel in range(3):
        wide[channel, channel, 1, 1] += 1
        narrow[channel, channel, 1, 1] = 1
    nodes = [
        helper.make_node("Cast", ["input"], ["level"], to=1),
        helper.make_node("Mul", ["level", "scale"], ["share"]),
        helper.make_node("Conv", ["share", "wide", "bias"], ["features"], pads=[1, 1, 1, 1], name="first"),
        helper.make_node("Relu", ["features"], ["positive"]),
        helper.make_node("Conv", ["positive", "narrow"], ["picture"], pads=[1, 1, 1, 1], name="second"),
        helper.make_node("Mul", ["picture", "white"], ["levels"]),
        helper.make_node("Clip", ["levels", "black", "white"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["output"], to=2 if dtype == "uint8" else 1),
    ]
    weights = {
        "scale": np.array(1 / 255, np.float32),
        "wide": wide,
        "bias": np.full(8, 0.01, np.float32),
        "narrow": narrow,
        "white": np.array(255, np.float32),
        "black": np.array(0, np.float32),
    }
    shape: list[int | str | None] = ["N", 3, "H", "W"]
    return save_model(path, nodes, [tensor_info("input", dtype, shape)], [tensor_info("output", dtype, shape)], weights)


def strange_model(path: Path) -> Path:
    """Save a network with a node named ``strange`` whose operator no runtime has."""
    nodes = [
        helper.make_node("Relu", ["input"], ["positive"]),
        helper.make_node("Wobble", ["positive"], ["output"], name="strange", domain="org.example"),
    ]
    tensors = [tensor_info(name, "float32", ["N", 3, "H", "W"]) for name in ("input", "output")]
    graph = helper.make_graph(nodes, "strange", tensors[:1], tensors[1:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("org.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    return path


@pytest.fixture(scope="session")
def rtx() -> str:
    """Return the version of TensorRT-RTX, which builds without a GPU; skip the test where it is missing."""
    module = pytest.importorskip("tensorrt_rtx_bindings", reason="pip install 'bmfgraph[rtx]'")
    return str(module.__version__)


def start(code: str, *arguments: object, before: list[str] | None = None, **options: Any) -> subprocess.Popen[str]:
    """Run Python code in a child process; ``before`` is put before its command line."""
    command = [*(before or []), sys.executable, "-c", code, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )


def ended(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for a process to end with an exit code; return its stdout, or its stderr where it failed."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    return err if code else out


def until(happens: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until a function returns something true, and return that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := happens():
            return value
        time.sleep(0.01)
    raise AssertionError(f"{happens} did not happen in {seconds} s")
