"""Prepare tests that need an NVIDIA GPU with TensorRT and PyNvVideoCodec; elsewhere they are skipped with a reason.

They read models, engines and clips from the folder ``$BMFGRAPH_GPU_KIT``: bigbuckbunny.mp4, carphone_pristine.mp4,
ultraface_rfb_640.onnx, ultraface_rfb_320.onnx and realesr_animevideov3_x2.onnx, with the engines
ultraface_rfb_640.fp16.sm90.plan and animevideov3_x2.fp16.sm90.plan that TensorRT 8.6 built from them.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.api import Job
from bmfgraph.compile import compile_pipeline
from bmfgraph.config.pipeline import PipelineSpec, parse_pipeline
from bmfgraph.plan.plan import Plan
from bmfgraph.runner.engines import prepare_engines
from bmfgraph.runner.result import RunResult
from bmfgraph.runner.run import run_plan
from bmfgraph.system.machine import find_gpu, find_machine
from tests.runner.media_tools import SEEN, RecordSpec, Seen

Run = Callable[..., RunResult]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    gpu, why = find_gpu()
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.gpu)
        if gpu is None:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def kit() -> Path:
    """Return the folder of models, engines and clips."""
    folder = os.environ.get("BMFGRAPH_GPU_KIT")
    if not folder:
        pytest.skip("$BMFGRAPH_GPU_KIT names no folder of models, engines and clips")
    return Path(folder)


@contextlib.contextmanager
def no_waits() -> Iterator[None]:
    """Let a wait for the GPU raise an error."""
    import torch

    with warnings.catch_warnings():
        # It says that the check is a prototype.
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.fixture
def compiled(compose: Callable[..., dict[str, Any]]) -> Callable[..., Plan]:
    """Return a function that compiles overrides into a plan."""
    return lambda *words: Job.from_config(compose(*words)).plan()


@pytest.fixture
def run(compiled: Callable[..., Plan]) -> Run:
    """Return a function that compiles and runs overrides."""

    def run(*words: str) -> RunResult:
        plan = compiled(*words)
        prepare_engines(plan)
        return run_plan(plan)

    return run


@pytest.fixture(scope="session")
def upscaled(compose: Callable[..., dict[str, Any]]) -> Callable[..., list[Seen]]:
    """Return a function that runs super resolution with overrides, and returns the frames instead of a file."""

    def upscaled(*words: str) -> list[Seen]:
        data = compose(*words)
        nodes = dict(parse_pipeline(data["pipeline"]).nodes)
        del nodes["sink"]
        spec = PipelineSpec(name="seen", nodes={**nodes, "seen": RecordSpec(inputs=("restore",))})
        plan = compile_pipeline(spec, find_machine(), data["device"])
        prepare_engines(plan)
        run_plan(plan)
        return SEEN.pop("seen")

    return upscaled


@pytest.fixture
def faces(kit: Path) -> list[str]:
    """Return overrides for face detection with the engine of the kit."""
    return [
        "pipeline=face_detection",
        "model=ultraface_rfb_640",
        f"model.file={kit}/ultraface_rfb_640.onnx",
        f"engine.path={kit}/ultraface_rfb_640.fp16.sm90.plan",
        "engine.allow_host_code=true",
    ]


@pytest.fixture
def upscaling(kit: Path) -> list[str]:
    """Return overrides for super resolution with the engine of the kit."""
    meaning = "{layout: NCHW, channels: RGB, std: 255}"
    return [
        "pipeline=super_resolution",
        "model.name=animevideov3",
        f"model.file={kit}/realesr_animevideov3_x2.onnx",
        f"model.inputs={{input: {meaning}}}",
        f"model.outputs={{output: {meaning}}}",
        f"engine.path={kit}/animevideov3_x2.fp16.sm90.plan",
        "engine.allow_host_code=true",
    ]
