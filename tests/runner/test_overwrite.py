"""Test that no file is replaced without ``overwrite``."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bmfgraph as bg
from bmfgraph.runner.outputs import existing_files, temporary_outputs
from bmfgraph.runner.run import run_plan
from bmfgraph.system.temporary import publish, reserved
from tests.runner.media_tools import compiled, decoder, encoder, frames_of, write


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(Path("clip.mp4"), [np.full((48, 64, 3), 90, np.uint8)] * 3)


def job(path: str = "out.mp4", **keys: Any) -> bg.Job:
    nodes = {"source": decoder(Path("clip.mp4")), "sink": encoder(Path(path), "source.video", preset=None)}
    return bg.Job({"name": "copy", "nodes": nodes}, **keys)


def problems(action: Callable[[], object]) -> list[tuple[str, str, str, str]]:
    with pytest.raises(bg.BmfgraphError) as caught:
        action()
    return [(problem.code, problem.place, problem.message, problem.hint) for problem in caught.value.problems]


def test_an_output_that_exists_is_an_error_of_check_and_run(clip: Path) -> None:
    Path("out.mp4").write_text("mine")
    hint = "set overwrite=true to replace it, or pipeline.nodes.sink.path to another name"
    assert [(problem.code, problem.path, problem.hint) for problem in job().check().problems] == [
        ("E220", "pipeline.nodes.sink", hint)
    ]
    assert problems(job().run) == [("E220", "node 'sink' (encoder)", "output 'out.mp4' exists", hint)]
    assert Path("out.mp4").read_text() == "mine"
    assert job(overwrite=True).check().ok
    assert job().check(overwrite=True).ok
    assert not job(overwrite=True).check(overwrite=False).ok


def test_overwrite_replaces_the_output_and_the_report(clip: Path) -> None:
    Path("out.mp4").write_text("mine")
    Path("run_clip.json").write_text("mine")
    found = problems(job(report="run_{stem}.json").run)
    assert [(code, message) for code, _, message, _ in found] == [
        ("E220", "output 'out.mp4' exists"),
        ("E220", "'run_clip.json' exists"),
    ]
    result = job(report="run_{stem}.json", overwrite=True).run()
    assert len(frames_of(Path("out.mp4"))) == 3
    report = json.loads(Path("run_clip.json").read_text())
    assert report["machine"]["ffmpeg"] == result.ffmpeg
    assert set(result.ffmpeg) == {"pyav", "bmf"}
    assert result.ffmpeg["pyav"].partition(" ")[0].split(".")[0] >= "8"
    assert result.ffmpeg["bmf"].startswith("4.")


def test_the_words_of_a_report(clip: Path) -> None:
    assert problems(job(report="{model}.json").run)[0][0] == "E221"


def test_a_link_to_nothing_is_not_in_the_way_of_its_target(clip: Path) -> None:
    Path("out.mp4").symlink_to("real.mp4")
    job().run()
    assert Path("out.mp4").is_symlink()
    assert problems(job().run)[0][0] == "E220"


def test_a_file_that_appears_during_the_run_is_kept(clip: Path) -> None:
    plan = compiled(
        {
            "source": decoder(clip),
            "one": encoder(Path("one.mp4"), "source.video"),
            "two": encoder(Path("two.mp4"), "source.video"),
        }
    )
    with temporary_outputs(plan) as (working, publish_all):
        for node in working:
            if node.written:
                Path(node.written).write_text("new")
        Path("two.mp4").write_text("theirs")
        found = problems(publish_all)
    assert [(code, message) for code, _, message, _ in found] == [("E220", "output 'two.mp4' exists")]
    # The file that was published before is taken back.
    assert sorted(path.name for path in Path().iterdir()) == ["clip.mp4", "two.mp4"]
    assert Path("two.mp4").read_text() == "theirs"


@pytest.mark.parametrize("links", [True, False])
def test_publishing_without_replacing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:

        def refused(*_: object) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", refused)
    target = tmp_path / "x.mp4"
    with reserved(target) as part:
        part.write_text("first")
        publish(part, target, overwrite=False)
    with reserved(target) as part:
        part.write_text("second")
        with pytest.raises(FileExistsError):
            publish(part, target, overwrite=False)
    assert target.read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["x.mp4"]


def test_pictures_of_the_pattern_that_exist(clip: Path) -> None:
    Path("shots").mkdir()
    for name in ("f_00009.png", "f_000010.png", "f_1.png", "f_00009.jpg", "g_00009.png"):
        (Path("shots") / name).touch()
    plan = compiled({"source": decoder(clip), "sink": encoder(Path("shots/f_%05d.png"), "source.video", preset=None)})
    assert [path.name for path in existing_files(plan.node("sink"))] == ["f_000010.png", "f_00009.png"]
    assert problems(lambda: run_plan(plan))[0][2] == "output 'shots/f_000010.png' exists"
    run_plan(plan, overwrite=True)
    assert (Path("shots") / "f_00001.png").stat().st_size > 0


def test_an_isolated_run_replaces_only_when_asked(clip: Path) -> None:
    Path("out.mp4").write_text("mine")
    assert job().run(isolated=True, overwrite=True).frames == 3
    assert problems(lambda: job().run(isolated=True))[0][0] == "E220"
