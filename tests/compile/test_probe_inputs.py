"""Probed files and read models."""

from __future__ import annotations

from bmfgraph.compile.probe_inputs import probe_inputs
from bmfgraph.media.probe import Media
from tests.compile.pipelines import UPSCALE, MakePlan


def test_probing_looks_at_files_and_models(plan: MakePlan) -> None:
    made = plan(UPSCALE, probe_inputs)
    assert isinstance(made.node("source").metadata, Media)
    assert [tensor.name for tensor in made.node("net").metadata.onnx.inputs] == ["input"]
    assert made.node("prepare").metadata is None
