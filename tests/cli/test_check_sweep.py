"""Test ``check -m`` and ``plan -m``: all runs of a sweep, as text and as one JSON document."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bmfgraph.api import Job
from bmfgraph.config.compose import composed
from tests.codes.command import run_cli
from tests.compile.machines import BARE
from tests.tools import double_model, make_clip

UP = "-m pipeline=super_resolution model.file=double.onnx input=clip.mp4 output=out.mp4 sweep.dir=sweep "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip and a model."""
    folder = tmp_path_factory.mktemp("checked")
    make_clip(folder / "clip.mp4", frames=4)
    (folder / "bare.json").write_text(json.dumps({"machine": asdict(BARE)}))
    double_model(folder / "double.onnx")
    return folder


def test_one_document_for_all_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run_cli(f"check {UP}encoder.crf=20,60 engine.batch=1,2", folder)
    assert (outcome.code, outcome.err) == (2, "")
    data = json.loads(outcome.out)
    assert list(data) == ["schema", "ok", "errors", "warnings", "problems", "runs"]
    assert (data["schema"], data["ok"], data["errors"], data["warnings"]) == (1, False, 2, 0)
    runs = data["runs"]
    assert [run["run"] for run in runs] == [
        {"encoder.crf": crf, "engine.batch": batch} for crf in ("20", "60") for batch in ("1", "2")
    ]
    assert [run["ok"] for run in runs] == [True, True, False, False]
    assert [problem["code"] for problem in runs[2]["problems"]] == ["E343"]
    monkeypatch.chdir(folder)
    plan = Job.from_config(composed([*UP.split()[1:], "encoder.crf=20", "engine.batch=2"])).plan()
    assert runs[1]["plan"] == {"name": "super_resolution", "hash": plan.hash()}
    assert runs[2]["plan"] is None


def test_what_people_read_of_each(folder: Path) -> None:
    outcome = run_cli(f"check {UP}encoder.crf=20,60", folder, as_json=False)
    assert outcome.code == 2
    assert outcome.err == "bmfgraph: encoder.crf=20\nbmfgraph: encoder.crf=60\n"
    assert outcome.out.startswith("super_resolution: nothing is wrong\nerror   E343  pipeline.nodes.sink: crf 60 ")
    assert run_cli(f"check {UP}encoder.crf=20,21", folder, as_json=False).code == 0


def test_cells_write_into_the_sweeps_folder(folder: Path) -> None:
    nowhere = UP.replace("output=out.mp4", "output=double.onnx/out.mp4")
    assert run_cli(f"check {nowhere.removeprefix('-m ')}", folder).problems[0]["code"] == "E411"
    assert run_cli(f"check {nowhere}encoder.crf=20,21", folder).problems == ()
    (problem,) = run_cli(f"check {UP.replace('sweep.dir=sweep', 'sweep.dir=double.onnx/sweep')}", folder).problems
    assert (problem["code"], problem["where"]) == ("E411", "pipeline.nodes.sink")
    assert "'double.onnx/sweep/cells/" in problem["message"]


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("words", "code", "where"),
    [
        ("+sweep.repeat=2", "E203", "sweep.repeat"),
        ("sweep.objective=speed", "E115", "sweep.objective"),
        ("sweep.repeats=1,2", "E209", "sweep.repeats"),
        ("sweep.strategy=halving", "E115", "sweep.objective"),
        (
            "sweep.strategy=halving sweep.objective=fps "
            "hydra.launcher._target_=hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
            "E117",
            "hydra/launcher",
        ),
        ("sweep.reference=none.mp4", "E112", "sweep.reference"),
    ],
)
def test_the_sweep_itself_is_checked_too(folder: Path, words: str, code: str, where: str) -> None:
    outcome = run_cli(f"check {UP}encoder.crf=60,61 {words}", folder)
    data = json.loads(outcome.out)
    assert [(problem["code"], problem["where"]) for problem in data["problems"]] == [(code, where)]
    assert data["errors"] == 1 + len(data["runs"])
    read = run_cli(f"check {UP}encoder.crf=20,21 {words}", folder, as_json=False)
    assert read.code == 2
    assert read.err.startswith("bmfgraph: the sweep\n")
    assert read.out.startswith(f"error   {code}  {where}: ")
    # As the sweep says it.
    ran = run_cli(f"run {UP}encoder.crf=20,21 {words}", folder)
    assert (ran.code, [problem["code"] for problem in ran.problems]) == (2, [code])


def test_a_run_that_does_not_compose_is_one_of_them(folder: Path) -> None:
    outcome = run_cli(f"check {UP}engine=fp32,nosuch,fp16 target=bare.json", folder)
    assert (outcome.code, outcome.err) == (2, "")
    runs = json.loads(outcome.out)["runs"]
    assert [[problem["code"] for problem in run["problems"]] for run in runs] == [[], ["E103"], ["W103"]]
    read = run_cli(f"check {UP}engine=fp32,nosuch,fp16 target=bare.json", folder, as_json=False)
    assert read.err == "bmfgraph: the sweep\nbmfgraph: engine=fp32\nbmfgraph: engine=nosuch\nbmfgraph: engine=fp16\n"
    assert "engine=fp16: no difference here: does the same on this machine as engine=fp32" in read.out
    assert [line.split()[0] for line in read.out.splitlines()] == [
        *("warning", "→", "1"),
        "super_resolution:",
        "error",
        "→",
        "1",
        "warning",
        "→",
        "super_resolution:",
    ]


def test_the_run_whose_plan_fails_is_named(folder: Path) -> None:
    outcome = run_cli(f"plan {UP}encoder.crf=20,60", folder)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("bmfgraph: encoder.crf=60\nbmfgraph: error[E343]: ")


def test_plans_of_all_runs(folder: Path, tmp_path: Path) -> None:
    outcome = run_cli(f"plan {UP}engine.batch=1,2", folder)
    assert (outcome.code, outcome.err) == (0, "")
    plans = json.loads(outcome.out)
    assert [one["run"] for one in plans] == [{"engine.batch": "1"}, {"engine.batch": "2"}]
    for one in plans:
        single = run_cli(f"plan {UP.removeprefix('-m ')}engine.batch={one['run']['engine.batch']}", folder)
        assert one["plan"] == json.loads(single.out)
    into = tmp_path / "plans.json"
    assert run_cli(f"plan {UP}engine.batch=1,2 --output {into}", folder).code == 0
    assert into.read_text() == outcome.out
    refused = run_cli(f"plan {UP}engine.batch=1,2 --svg --output {into}", folder)
    assert refused.problems[0]["message"].startswith("--output: 2 runs cannot all be written to")
    drawn = run_cli(f"plan {UP}engine.batch=1,2 --mermaid", folder)
    assert drawn.out.count("flowchart LR") == 2
    assert drawn.err == "bmfgraph: engine.batch=1\nbmfgraph: engine.batch=2\n"
