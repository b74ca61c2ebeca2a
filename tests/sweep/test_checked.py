"""`check -m` and `plan -m`: all runs of a sweep, for people and as one document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bmfgraph.config import composed
from bmfgraph.survey import compile_job
from tests.codes.command import run_words
from tests.tools import double_model, make_clip

UP = "-m pipeline=super_resolution model.file=double.onnx input=clip.mp4 output=out.mp4 sweep.dir=sweep "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip and a model."""
    folder = tmp_path_factory.mktemp("checked")
    make_clip(folder / "clip.mp4", frames=4)
    double_model(folder / "double.onnx")
    return folder


def test_one_document_for_all_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = run_words(f"check {UP}encoder.crf=20,60 engine.batch=1,2", folder)
    assert (told.code, told.err) == (2, "")
    data = json.loads(told.out)
    assert list(data) == ["schema", "ok", "errors", "warnings", "runs"]
    assert (data["schema"], data["ok"], data["errors"], data["warnings"]) == (1, False, 2, 0)
    runs = data["runs"]
    assert [run["run"] for run in runs] == [
        {"encoder.crf": crf, "engine.batch": batch} for crf in ("20", "60") for batch in ("1", "2")
    ]
    assert [run["ok"] for run in runs] == [True, True, False, False]
    assert [problem["code"] for problem in runs[2]["problems"]] == ["E343"]
    monkeypatch.chdir(folder)
    plan = compile_job(composed([*UP.split()[1:], "encoder.crf=20", "engine.batch=2"]))
    assert runs[1]["plan"] == {"name": "super_resolution", "hash": plan.hash()}
    assert runs[2]["plan"] is None


def test_what_people_read_of_each(folder: Path) -> None:
    told = run_words(f"check {UP}encoder.crf=20,60", folder, as_json=False)
    assert told.code == 2
    assert told.err == "bmfgraph: encoder.crf=20\nbmfgraph: encoder.crf=60\n"
    assert told.out.startswith("super_resolution: nothing is wrong\nerror   E343  pipeline.nodes.sink: crf 60 ")
    assert run_words(f"check {UP}encoder.crf=20,21", folder, as_json=False).code == 0


def test_cells_write_into_the_sweeps_folder(folder: Path) -> None:
    nowhere = UP.replace("output=out.mp4", "output=double.onnx/out.mp4")
    assert run_words(f"check {nowhere.removeprefix('-m ')}", folder).problems[0]["code"] == "E411"
    assert run_words(f"check {nowhere}encoder.crf=20,21", folder).problems == ()
    (problem,) = run_words(f"check {UP.replace('sweep.dir=sweep', 'sweep.dir=double.onnx/sweep')}", folder).problems
    assert (problem["code"], problem["where"]) == ("E411", "pipeline.nodes.sink")
    assert "'double.onnx/sweep/cells/" in problem["message"]


def test_the_sweeps_own_options_are_checked_too(folder: Path) -> None:
    told = run_words(f"check {UP}encoder.crf=60,61 +sweep.repeat=2", folder)
    assert [problem["code"] for problem in told.problems] == ["E203", "E343"] * 2
    assert told.problems[0]["where"] == "sweep.repeat"


def test_plans_of_all_runs(folder: Path, tmp_path: Path) -> None:
    told = run_words(f"plan {UP}engine.batch=1,2", folder)
    assert (told.code, told.err) == (0, "")
    plans = json.loads(told.out)
    assert [one["run"] for one in plans] == [{"engine.batch": "1"}, {"engine.batch": "2"}]
    for one in plans:
        single = run_words(f"plan {UP.removeprefix('-m ')}engine.batch={one['run']['engine.batch']}", folder)
        assert one["plan"] == json.loads(single.out)
    into = tmp_path / "plans.json"
    assert run_words(f"plan {UP}engine.batch=1,2 --output {into}", folder).code == 0
    assert into.read_text() == told.out
    refused = run_words(f"plan {UP}engine.batch=1,2 --svg --output {into}", folder)
    assert refused.problems[0]["message"].startswith("--output: 2 runs cannot all be written to")
    drawn = run_words(f"plan {UP}engine.batch=1,2 --mermaid", folder)
    assert drawn.out.count("flowchart LR") == 2
    assert drawn.err == "bmfgraph: engine.batch=1\nbmfgraph: engine.batch=2\n"
