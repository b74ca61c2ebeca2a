"""What the cells of a sweep read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bmfgraph.api import Job
from bmfgraph.config.compose import composed
from bmfgraph.errors import ConfigError
from bmfgraph.sweep.inputs import reduced, shortened
from tests.tools import make_clip


def data(*words: str, pipeline: str = "super_resolution") -> dict[str, Any]:
    return composed([f"pipeline={pipeline}", *words])


def test_a_wrong_configuration_is_left_to_those_who_check_it(tmp_path: Path) -> None:
    wrong = data(f"input={tmp_path}/nope.mp4")
    assert reduced(wrong, tmp_path / "inputs") == (wrong, None)
    assert not (tmp_path / "inputs").exists()


def test_the_clip_to_compare_with_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(Path("clip.mp4"), frames=2)
    read, reference = reduced(data("input=clip.mp4"), Path("inputs"))
    assert reference == tmp_path / "clip.mp4"
    assert read["pipeline"]["nodes"]["source"]["path"].startswith("inputs/")
    same_size = data("input=clip.mp4", "pipeline.nodes.sink.inputs=[source.video]", "~pipeline.nodes.restore")
    same_size["pipeline"]["nodes"] = {name: same_size["pipeline"]["nodes"][name] for name in ("source", "sink")}
    with pytest.raises(ConfigError, match="takes 64x48, and makes 64x48"):
        reduced(same_size, Path("inputs"))


@pytest.mark.parametrize("part", [1e-9, 1 / 27, 1 / 3])
def test_a_part_of_a_clip_has_a_frame_at_least(tmp_path: Path, part: float) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=3)
    whole = data(f"input={clip}")
    cut = Job.from_config(shortened(whole, Job.from_config(whole).plan(), part)).plan()
    assert not cut.errors
    assert 1 <= cut.node("source").params.frame_count <= 2
