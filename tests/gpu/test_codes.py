"""Test the error code that only a machine with a GPU can report."""

from __future__ import annotations

from pathlib import Path

from tests.codes.command import Situation, run_cli
from tests.tools import make_clip


def test_a_gpu_without_nvidias_decoder(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", frames=2)
    words = "check pipeline=super_resolution decoder=nvdec engine.runtime=onnxruntime input=clip.mp4 output=out.mp4"
    outcome = run_cli(words, tmp_path, Situation(without=("PyNvVideoCodec",)))
    assert [
        text for problem, text in zip(outcome.problems, outcome.texts, strict=True) if problem["code"] == "E706"
    ] == ["pipeline.nodes.source: PyNvVideoCodec is not installed\n  → pip install PyNvVideoCodec"]
