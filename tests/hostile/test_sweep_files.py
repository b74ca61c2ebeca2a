"""Sweeps whose folder holds damaged files, links, pipes, or files of others."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.errors import BmfgraphError, ConfigError
from bmfgraph.sweep import files
from bmfgraph.sweep.references import quality
from tests.codes.command import run_cli
from tests.tools import make_clip

_SWEEP = (
    "-m pipeline=super_resolution input=clip.mp4 device=cpu encoder.preset=ultrafast encoder.crf=18,35 "
    "sweep.dir=sweep sweep.warmup=false sweep.reference=null "
)
_PART = {"median": 1.0, "min": 1.0, "max": 1.0, "runs": [1.0]}
_RESULT = {
    "schema": 1,
    "id": "0a",
    "sweep": "s1",
    "varied": {"engine": "fp32"},
    "command": "python -m bmfgraph",
    "status": "ok",
    "errors": [],
    "metrics": {"fps": _PART},
    "nodes": [],
    "outputs": {"sink": "sink.mp4"},
    "fingerprint": {},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_clip(tmp_path / "clip.mp4", frames=4)
    (tmp_path / "precious.txt").write_text("precious")
    return tmp_path


def test_a_right_result_is_read(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(_RESULT))
    assert files.read_json(tmp_path / "result.json") == _RESULT


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": {"fps": "fast"}},
        {"metrics": {"fps": _PART | {"median": "1"}}},
        {"metrics": {"fps": _PART | {"median": True}}},
        {"metrics": {"fps": _PART | {"runs": [[]]}}},
        {"metrics": {"fps": _PART | {"max": float("nan")}}},
        {"metrics": {"fps": _PART | {"max": 10**400}}},
        {"metrics": []},
        {"outputs": {"sink": 7}},
        {"outputs": ["sink.mp4"]},
        {"varied": [["engine", "fp32"]]},
        {"status": "great"},
        {"status": ["ok"]},
        {"status": "same"},
        {"status": "same", "same_as": "../../other"},
        {"errors": [{}]},
        {"errors": ["E801"]},
        {"nodes": [{"name": 1}]},
        {"fingerprint": None},
        {"reference": 5},
        {"command": None},
        {"schema": 2},
    ],
    ids=lambda change: json.dumps(change)[:60],
)
def test_a_result_with_wrong_types_counts_as_missing(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "result.json").write_text(json.dumps(_RESULT | change))
    assert files.read_json(tmp_path / "result.json") is None


def _deep(path: Path) -> None:
    path.write_text('{"schema": 1, "a": ' + "[" * 100_000 + "]" * 100_000 + "}")


def _rather_deep(path: Path) -> None:
    text = json.dumps(_RESULT)
    path.write_text(text[:-1] + ', "a": ' + "[" * 500 + "]" * 500 + "}")


def _huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


def _link(path: Path) -> None:
    target = path.parent / "target"
    target.write_text(json.dumps(_RESULT))
    path.symlink_to(target)


@pytest.mark.parametrize("make", [_deep, _rather_deep, _huge, _link, os.mkfifo, os.mkdir])
def test_what_no_sweep_wrote_is_not_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "result.json")
    assert files.read_json(tmp_path / "result.json") is None


@pytest.mark.wide
def test_damaged_cells_run_again_and_nothing_is_written_through_links(folder: Path) -> None:
    assert run_cli(_SWEEP, folder).code == 0
    first, second = sorted((folder / "sweep" / "cells").iterdir())
    precious = folder / "precious.txt"
    for name in ("result.json", "measured.json"):
        (first / name).unlink()
        os.mkfifo(first / name)
    for name in ("log.txt", "run-0.json", "sink.mp4", "cell.json"):
        (first / name).unlink()
        (first / name).symlink_to(precious)
    result = json.loads((second / "result.json").read_text())
    (second / "result.json").write_text(json.dumps(result | {"metrics": {"steady_fps": {"median": "fast"}}}))
    for name in ("report.json", "report.csv", "multirun.yaml"):
        (folder / "sweep" / name).unlink()
        (folder / "sweep" / name).symlink_to(precious)
    (folder / "sweep" / "report.html").unlink()
    os.mkfifo(folder / "sweep" / "report.html")

    again = run_cli(_SWEEP, folder)
    assert again.code == 0, again.err
    assert "E899" not in again.err
    assert "kept" not in again.err
    assert again.err.count("frames/s") == 2
    assert precious.read_text() == "precious"
    content = json.loads((folder / "sweep" / "report.json").read_text())
    assert [cell["status"] for cell in content["cells"]] == ["ok", "ok"]
    assert not [path for path in (folder / "sweep").rglob("*") if path.is_symlink() or path.is_fifo()]

    # The output of a cell is looked at, not only its name.
    (second / "sink.mp4").unlink()
    (second / "sink.mp4").symlink_to(folder / "clip.mp4")
    kept = run_cli(_SWEEP, folder)
    assert (kept.code, kept.err.count("measured before, kept")) == (0, 1)
    assert "measured again because: its outputs are missing" in kept.err

    # The verb report reads the same files.
    (first / "result.json").write_text("{")
    (folder / "sweep" / "report.json").write_text(json.dumps(content | {"repeats": "many", "objective": ["fps"]}))
    reported = run_cli("report sweep", folder)
    assert reported.code == 0, reported.err
    assert "1 failed, 1 ok" in reported.out or "1 ok, 1 failed" in reported.out
    reported = run_cli("report sweep --output .", folder)
    assert reported.code == 0, reported.err


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "name", ["report.html", "inputs/a", "report.csv", "multirun.yaml", "cells/0123456789ab/log.txt"]
)
def test_files_of_others_stay(folder: Path, name: str) -> None:
    path = folder / "sweep" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("of someone else")
    before = sorted((folder / "sweep").rglob("*"))
    for verb in ("", "check "):
        (problem,) = run_cli(verb + _SWEEP, folder).problems
        assert problem["code"] == "E125", problem
    assert sorted((folder / "sweep").rglob("*")) == before
    assert path.read_text() == "of someone else"


def test_a_folder_with_other_names_can_hold_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    files.claim(tmp_path)
    files.claim(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".bmfgraph-sweep", "clip.mp4"]


def test_folders_of_a_sweep_are_not_links(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    files.claim(tmp_path / "sweep")
    (tmp_path / "sweep" / "cells").symlink_to(tmp_path / "home")
    with pytest.raises(ConfigError, match="it is a link") as caught:
        files.claim(tmp_path / "sweep")
    assert caught.value.problems[0].code == "E125"
    (tmp_path / "sweep" / "cells").unlink()
    (tmp_path / "sweep" / "cells").mkdir()
    (tmp_path / "sweep" / "cells" / "0a").symlink_to(tmp_path / "home")
    with pytest.raises(BmfgraphError, match="it is a link"):
        files.write_json(tmp_path / "sweep" / "cells" / "0a" / "result.json", {})
    assert not list((tmp_path / "home").iterdir())


def test_report_does_not_overwrite_files_of_others(folder: Path) -> None:
    cell = folder / "sweep" / "cells" / "0a"
    files.write_json(cell / "result.json", _RESULT)
    (folder / "report.csv").write_text("of someone else")
    (problem,) = run_cli("report sweep --output .", folder).problems
    assert problem["code"] == "E125"
    assert (folder / "report.csv").read_text() == "of someone else"


def test_outputs_that_are_pipes_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "sink.mp4")
    clip = make_clip(tmp_path / "clip.mp4", frames=2)
    outputs = {"sink": str(tmp_path / "sink.mp4")}
    metrics, reason = quality(tmp_path, {"outputs": outputs}, clip)
    assert (metrics, "is missing, or not a file" in reason) == ({}, True)
    metrics, reason = quality(tmp_path, {"outputs": {"sink": str(clip)}}, Path(outputs["sink"]))
    assert (metrics, "is missing, or not a file" in reason) == ({}, True)


def test_stored_quality_may_lie(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "sink.mp4", frames=2)
    outputs = {"sink": str(clip)}
    metrics, _ = quality(tmp_path, {"outputs": outputs}, outputs)
    stored = json.loads((tmp_path / "quality.json").read_text())
    (tmp_path / "quality.json").write_text(json.dumps(stored | {"quality": {"psnr_y": "best", "ssim": [1]}}))
    assert quality(tmp_path, {"outputs": outputs}, outputs) == ({}, "")
    (tmp_path / "quality.json").unlink()
    os.mkfifo(tmp_path / "quality.json")
    assert quality(tmp_path, {"outputs": outputs}, outputs) == (metrics, "")
    assert (tmp_path / "quality.json").is_file()


def test_names_that_are_not_utf8_are_written_and_read(tmp_path: Path) -> None:
    name = os.fsdecode(b"sink-\xff.mp4")
    files.write_json(tmp_path / "result.json", _RESULT | {"outputs": {"sink": name}})
    content = files.read_json(tmp_path / "result.json")
    assert content
    assert content["outputs"] == {"sink": name}
