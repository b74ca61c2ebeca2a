"""Engine requests."""

from __future__ import annotations

from pathlib import Path

from bmfgraph.compile.bind import bind_engines
from bmfgraph.compile.infer import infer_types
from tests.compile.pipelines import UPSCALE, MakePlan


def test_engines_are_bound_to_file_and_shape(plan: MakePlan, tmp_path: Path) -> None:
    made = plan(UPSCALE.replace("  model:", "  engine: {batch: 4, threads: 2}\n  model:"), bind_engines)
    request = made.node("net").work.engine
    assert request.path == str(tmp_path / "double.onnx")
    assert request.input_shapes == (("input", (4, 3, 48, 64)),)
    assert (request.batch, request.threads, request.precision, request.free_dims) == (4, 2, "fp32", ())
    assert made.node("prepare").work == plan(UPSCALE, infer_types).node("prepare").work
