"""Test the inputs of a sweep's cells."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmfgraph import Job, compose
from bmfgraph.errors import ConfigError
from bmfgraph.sweep.inputs import reduced, shortened
from tests.tools import make_clip


def test_a_wrong_job_stays_as_it_is(tmp_path: Path) -> None:
    wrong = compose("super_resolution", input=f"{tmp_path}/nope.mp4")
    assert reduced(wrong, tmp_path / "inputs") == (wrong, None)
    assert not (tmp_path / "inputs").exists()


def test_the_reference_of_a_reduced_clip_has_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(Path("clip.mp4"), frames=2)
    job, reference = reduced(compose("super_resolution", input="clip.mp4"), Path("inputs"))
    assert reference == tmp_path / "clip.mp4"
    assert job.config["pipeline"]["nodes"]["source"]["path"].startswith("inputs/")
    changes = ("pipeline.nodes.sink.inputs=[source.video]", "~pipeline.nodes.restore")
    config = compose("super_resolution", *changes, input="clip.mp4").config
    nodes = {name: config["pipeline"]["nodes"][name] for name in ("source", "sink")}
    same_size = Job.from_config({**config, "pipeline": {**config["pipeline"], "nodes": nodes}})
    with pytest.raises(ConfigError, match="reads 64x48 and writes 64x48"):
        reduced(same_size, Path("inputs"))


@pytest.mark.parametrize("part", [1e-9, 1 / 27, 1 / 3])
def test_a_part_of_a_clip_has_a_frame_at_least(tmp_path: Path, part: float) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=3)
    whole = compose("super_resolution", input=str(clip))
    plan = shortened(whole, whole.plan(), part).plan()
    assert 1 <= plan.node("source").params.frame_count <= 2
