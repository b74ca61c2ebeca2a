"""The last look at a plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmfgraph.compile.fuse_stages import fuse
from bmfgraph.compile.verify import verify
from bmfgraph.errors import PlanError
from tests.compile.pipelines import COPY, UPSCALE, MakePlan


def test_a_good_plan_passes_unchanged(plan: MakePlan) -> None:
    made = plan(UPSCALE, fuse)
    assert verify(made) == made


@pytest.mark.parametrize("path", ["@clip.mp4", "@./clip.mp4", "@x/../clip.mp4", "@link.mp4"])
def test_the_input_is_never_written_over(plan: MakePlan, tmp_path: Path, path: str) -> None:
    (tmp_path / "link.mp4").symlink_to("clip.mp4")
    (tmp_path / "x").mkdir()
    with pytest.raises(PlanError, match="is read by 'source'"):
        plan(COPY.replace("@out.mp4", path))


def test_several_sinks_may_measure_without_a_path(plan: MakePlan) -> None:
    text = """
source: {kind: decoder, path: "@clip.mp4"}
a: {kind: encoder, inputs: source, container: "null"}
b: {kind: encoder, inputs: source, container: "null"}
"""
    assert [node.params.path for node in plan(text) if node.kind == "encoder"] == [None, None]
