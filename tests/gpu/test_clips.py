"""Test that clips run side by side on the GPU, each on a CUDA stream of its own, as they would alone."""

from __future__ import annotations

from pathlib import Path

import pytest

import bmfgraph as bg

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("graph", [False, True])
def test_the_same_objects_are_found_side_by_side(kit: Path, faces: list[str], tmp_path: Path, graph: bool) -> None:
    clips = []
    for number in range(4):
        # Links, because each clip needs a name of its own.
        clip = tmp_path / f"{number}.mp4"
        clip.symlink_to(kit / "carphone_pristine.mp4")
        clips.append(str(clip))
    nodes = ["decoder=nvdec", "device=cuda", "~pipeline.nodes.draw", "~pipeline.nodes.sink"]
    options = [*faces[1:], *nodes, f"engine.cuda_graph={str(graph).lower()}", f"records={tmp_path}/{{stem}}.jsonl"]
    job = bg.compose("face_detection", *options, input=clips, overwrite=True)
    for parallel in (4, 2, 4):
        frames = [ended.result.frames for ended in job.run_each(parallel=parallel) if ended.result]
        assert frames == [120] * 4
        found = {(tmp_path / f"{number}.jsonl").read_text() for number in range(4)}
        assert len(found) == 1
    job.clips()[0].run()
    assert (tmp_path / "0.jsonl").read_text() in found
