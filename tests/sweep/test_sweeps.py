"""Test whole sweeps from the command line."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.codes.command import HERE, Outcome, run_cli
from tests.runner.command import FAULTY, Ended, Running, start
from tests.runner.conftest import clips as clips
from tests.tools import make_clip

LIMIT = 240.0
BMFGRAPH = (sys.executable, "-m", "bmfgraph")
Sweep = Callable[..., Ended]
SweepHere = Callable[..., Outcome]
FAST = ("encoder.preset=ultrafast", "sweep.warmup=false", "progress=false", "engine.threads=1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_clip(tmp_path / "clip.mp4", frames=12, size=(64, 48), audio="aac")
    return tmp_path


@pytest.fixture
def sweeping(folder: Path) -> Callable[..., Running]:
    """Start a sweep of super resolution over a tiny clip, or of another pipeline."""

    def begin(*words: str, **options: Any) -> Running:
        return start([*BMFGRAPH, *_whole(words)], folder, **options)

    return begin


@pytest.fixture
def sweep(sweeping: Callable[..., Running]) -> Sweep:
    """Run a sweep to its end."""
    return lambda *words, **options: sweeping(*words, **options).wait(LIMIT)


@pytest.fixture
def sweep_here(folder: Path) -> SweepHere:
    """Run a sweep in this process, which has imported what it needs; its cells have their own all the same."""
    return lambda *words, situation=HERE: run_cli(shlex.join(_whole(words)), folder, situation)


def _whole(words: Sequence[str]) -> tuple[str, ...]:
    pipeline = () if any(word.startswith("pipeline=") for word in words) else ("pipeline=super_resolution",)
    return (*pipeline, "input=clip.mp4", *FAST, *words)


def report(folder: Path, name: str = "super_resolution") -> Any:
    return json.loads((folder / "outputs" / "sweeps" / name / "report.json").read_text())


def by_key(content: Any, key: str) -> dict[str, Any]:
    return {cell["varied"][key]: cell for cell in content["cells"]}


def test_a_grid_ends_in_a_decision_and_is_kept(sweep: Sweep, sweep_here: SweepHere, folder: Path) -> None:
    words = ("-m", "model=vsr_x2_fast,vsr_x2_fast_video", "sweep.reference=model=vsr_x2_fast", "sweep.repeats=2")
    first = sweep(*words)
    assert first.code == 0, first
    content = report(folder)
    assert [cell["status"] for cell in content["cells"]] == ["ok", "ok"]
    cells = by_key(content, "model")
    assert cells["vsr_x2_fast"]["is_reference"]
    assert cells["vsr_x2_fast"]["metrics"]["psnr_y"]["median"] == 100
    assert 20 < cells["vsr_x2_fast_video"]["metrics"]["psnr_y"]["median"] < 100
    for cell in content["cells"]:
        metrics = cell["metrics"]
        assert metrics["steady_fps"]["min"] <= metrics["steady_fps"]["median"] <= metrics["steady_fps"]["max"]
        assert metrics["latency_p50_ms"]["median"] <= metrics["latency_p99_ms"]["median"]
        for name in ("fps", "inference_fps", "first_frame_s", "peak_rss_mb", "output_mb"):
            assert metrics[name]["median"] > 0, name
        assert "build_s" not in metrics
        assert {node["name"] for node in cell["nodes"]} >= {"source", "upscale", "sink"}
        assert "ONNX Runtime" in cell["runs_on"]["upscale"]
        runs = sorted(path.name for path in (folder / "outputs/sweeps/super_resolution/cells" / cell["id"]).iterdir())
        assert {"run-0.json", "run-1.json", "result.json", "sink.mp4", "log.txt"} <= set(runs)
    for name in ("report.csv", "report.html"):
        assert "vsr_x2_fast_video" in (folder / "outputs/sweeps/super_resolution" / name).read_text()
    assert "python -m bmfgraph" in first.out
    assert not list(folder.glob("*.mp4"))[1:]

    began = time.monotonic()
    again = sweep(*words)
    assert again.code == 0, again
    assert again.err.count("measured before, kept") == 2
    assert time.monotonic() - began < first.seconds
    assert [cell["kept"] for cell in report(folder)["cells"]] == [True, True]

    reported = run_cli("report outputs/sweeps/super_resolution --output again --objective fps", folder)
    assert reported.code == 0, reported
    assert len(json.loads((folder / "again" / "report.json").read_text())["cells"]) == 2

    make_clip(folder / "clip.mp4", frames=11, size=(64, 48), audio="aac")
    changed = sweep_here("-m", "model=vsr_x2_fast", "sweep.repeats=1", "sweep.reference=null")
    assert changed.err.count("measured again because: input, plan") == 1
    assert [cell["kept"] for cell in report(folder)["cells"]] == [False]


def test_a_wrong_cell_stops_the_sweep_before_it_begins(sweep_here: SweepHere, folder: Path) -> None:
    ended = sweep_here("-m", "encoder.crf=30,60,18")
    assert ended.code == 2
    assert "encoder.crf=60:" in ended.err
    assert "error[E343]" in ended.err
    assert "1 of 3 cells are wrong, and nothing was run; sweep.on_error=skip leaves them out" in ended.err
    assert not (folder / "outputs" / "sweeps" / "super_resolution" / "report.json").exists()


@pytest.mark.wide
def test_a_wrong_cell_is_left_out_with_on_error_skip(sweep_here: SweepHere, folder: Path) -> None:
    ended = sweep_here("-m", "encoder.crf=60,18", "sweep.on_error=skip")
    assert ended.code == 1, ended
    cells = by_key(report(folder), "encoder.crf")
    assert (cells["60"]["status"], cells["60"]["errors"][0]["code"]) == ("refused", "E343")
    assert cells["18"]["status"] == "ok"


def _faulty(*words: str) -> tuple[str, ...]:
    return ("-m", "pipeline=faulty", "--config-dir", str(FAULTY / "conf"), "sweep.reference=null", *words)


@pytest.mark.wide
@pytest.mark.usefixtures("clips")
def test_a_cell_that_kills_its_process_costs_only_itself(
    sweep: Sweep, folder: Path, faulty_kind: dict[str, str]
) -> None:
    frame = "pipeline.nodes.stage.frame=5"
    ended = sweep(*_faulty("pipeline.nodes.stage.fault=process,kill,none", frame), env=faulty_kind)
    assert ended.code == 1, ended
    cells = by_key(report(folder, "faulty"), "pipeline.nodes.stage.fault")
    assert {fault: cell["status"] for fault, cell in cells.items()} == {
        "process": "failed",
        "kill": "crashed",
        "none": "ok",
    }
    assert cells["kill"]["errors"][0]["code"] == "E806"
    assert "SIGKILL" in cells["kill"]["errors"][0]["message"]
    assert cells["process"]["errors"][0]["code"] == "E801"
    assert "frame 5" in cells["process"]["errors"][0]["where"]

    again = sweep(*_faulty("pipeline.nodes.stage.fault=kill,none", frame), env=faulty_kind)
    assert again.err.count("measured before, kept") == 1
    assert again.err.count("crashed: [E806]") == 1


@pytest.mark.wide
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_sweep_continues(
    sweeping: Callable[..., Running],
    sweep: Sweep,
    folder: Path,
    faulty_kind: dict[str, str],
    number: int,
) -> None:
    words = _faulty("pipeline.nodes.stage.seconds=0,3")
    running = sweeping(*words, env=faulty_kind)
    cells = folder / "outputs" / "sweeps" / "faulty" / "cells"
    deadline = time.monotonic() + LIMIT
    while not list(cells.glob("*/result.json")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(2.5)
    running.send(number)
    ended = running.wait(30)
    assert ended.code == (-9 if number == signal.SIGKILL else 130), ended
    deadline = time.monotonic() + 10
    while any("bmfgraph.sweep.worker" in line for line in _processes(str(cells))):
        assert time.monotonic() < deadline, "the process of a cell outlives its sweep"
        time.sleep(0.2)
    assert len(list(cells.glob("*/result.json"))) == 1
    assert number == signal.SIGKILL or not list(cells.glob("*/.*.part"))

    again = sweep(*_faulty("pipeline.nodes.stage.seconds=0"), env=faulty_kind)
    assert again.code == 0, again
    assert again.err.count("measured before, kept") == 1


def _processes(word: str) -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line and str(os.getpid()) != path.parent.name:
            yield line


@pytest.mark.wide
def test_a_cell_that_takes_too_long(sweep: Sweep, folder: Path, faulty_kind: dict[str, str]) -> None:
    words = _faulty("pipeline.nodes.stage.seconds=0,30", "sweep.timeout=14")
    ended = sweep(*words, env=faulty_kind)
    assert ended.code == 1, ended
    cells = by_key(report(folder, "faulty"), "pipeline.nodes.stage.seconds")
    assert cells["0"]["status"] == "ok"
    assert cells["30"]["errors"][0]["code"] == "E807"


@pytest.mark.wide
def test_the_input_itself_is_the_reference(sweep_here: SweepHere, folder: Path) -> None:
    ended = sweep_here("-m", "model=vsr_x2_fast,vsr_x2_quality", "sweep.reference=input", "sweep.objective=psnr_y")
    assert ended.code == 0, ended
    content = report(folder)
    assert content["reference"] == "the input, which was reduced"
    quality = {model: cell["metrics"]["psnr_y"]["median"] for model, cell in by_key(content, "model").items()}
    assert 15 < min(quality.values()) <= max(quality.values()) < 99


@pytest.mark.wide
def test_halving_gives_the_better_cells_more_of_the_clip(sweep_here: SweepHere, folder: Path) -> None:
    words = ("-m", "encoder.crf=35,50,60", "sweep.strategy=halving", "sweep.reference=null", "sweep.on_error=skip")
    ended = sweep_here(*words, "sweep.objective=min output_mb")
    assert ended.code == 1, ended
    assert "rung 1 of 2: 3 cell(s) on 33% of the clip" in ended.err
    assert "rung 2 of 2: 1 cell(s) on 100% of the clip" in ended.err
    states = {"35": "skipped", "50": "ok", "60": "refused"}
    assert {crf: cell["status"] for crf, cell in by_key(report(folder), "encoder.crf").items()} == states
    # The cells that ran on a part only stay out of a new report, even from another folder.
    again = run_cli(shlex.join(["report", str(folder / "outputs/sweeps/super_resolution")]), folder.parent)
    assert again.code == 0, again
    assert {crf: cell["status"] for crf, cell in by_key(report(folder), "encoder.crf").items()} == states

    ended = sweep_here(*words)
    assert ended.code == 2
    assert "error[E115]: sweep.objective: halving keeps the better cells" in ended.err


@pytest.mark.wide
def test_a_sweeper_that_chooses_gets_the_objective(sweep: Sweep, folder: Path) -> None:
    (folder / "conf" / "hydra" / "sweeper").mkdir(parents=True)
    (folder / "conf" / "hydra" / "sweeper" / "picky.yaml").write_text("_target_: hydra_plugins.picky.Picky\n")
    (folder / "hydra_plugins").mkdir()
    (folder / "hydra_plugins" / "picky.py").write_text(PICKY)
    words = ("-m", "--config-dir", "conf", "hydra/sweeper=picky", "encoder.crf=interval(18,60)")
    ended = sweep(*words, "sweep.objective=psnr_y where psnr_y>=1", "sweep.reference=input", env={"PYTHONPATH": "."})
    assert ended.code == 1, ended
    objectives = dict(line.split()[1:] for line in ended.out.splitlines() if line.startswith("OBJECTIVE"))
    cells = by_key(report(folder), "encoder.crf")
    assert (cells["60"]["status"], objectives["60"]) == ("refused", "nan")
    assert float(objectives["18"]) == cells["18"]["metrics"]["psnr_y"]["median"] > 20
    assert set(cells["18"]["varied"]) == {"encoder.crf"}
    assert "--config-dir conf" in cells["18"]["command"]


PICKY = """
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper

class Picky(Sweeper):
    def setup(self, *, hydra_context, task_function, config):
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments):
        fixed = [word for word in arguments if "interval" not in word]
        for number, crf in enumerate((18, 60)):
            done = self.launcher.launch([[*fixed, f"encoder.crf={crf}"]], initial_job_idx=number)
            print("OBJECTIVE", crf, done[0].return_value)
"""


@pytest.mark.wide
def test_detections_are_compared_with_those_of_another_cell(sweep_here: SweepHere, folder: Path) -> None:
    words = ("-m", "pipeline=face_detection", "pipeline.nodes.faces.threshold=0.5,0.9")
    ended = sweep_here(*words, "sweep.reference=pipeline.nodes.faces.threshold=0.5")
    if "E421" in ended.err:
        pytest.skip("the detector cannot be fetched")
    assert ended.code == 0, ended
    for cell in report(folder, "face_detection")["cells"]:
        assert {"precision", "recall", "map50", "map", "map50_coco", "map75_coco"} <= set(cell["metrics"])


@pytest.mark.wide
def test_other_launchers_run_the_cells(sweep: Sweep, folder: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="pip install hydra-joblib-launcher")
    words = ("encoder.crf=18,18,35", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "sweep.reference=null")
    ended = sweep("-m", *words)
    assert ended.code == 0, ended
    assert "encoder.crf=18: the same as encoder.crf=18, and runs once" in ended.err
    assert [cell["status"] for cell in report(folder)["cells"]] == ["ok", "ok"]


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("~sweep.dir", "error[E204]: sweep.dir: is missing"),
        ("sweep.repeats=0", "error[E207]: sweep.repeats: 0: must be at least 1"),
        ("++sweep.repeat=2", "error[E203]: sweep.repeat: unknown key (did you mean 'repeats'?)"),
        ("sweep.objective=fsp", "error[E115]: sweep.objective: "),
        ("sweep.reference=none.mp4", "error[E112]: sweep.reference: 'none.mp4' does not exist"),
        ("sweep.repeats=1,2", "error[E209]: sweep.repeats: is the same for all runs of a sweep"),
        ("encoder.gop=interval(1,9)", "error[E105]: encoder.gop: an interval is not a list of values"),
        ("sweep.dir=clip.mp4/x", "error[E411]: sweep.dir: 'clip.mp4/x' cannot be written (Not a directory)"),
        ("engine=fp32,fp17", "error[E103]: engine=fp17: there is no such option (did you mean 'fp16'?)"),
    ],
)
def test_mistakes_are_printed_before_a_cell_runs(sweep_here: SweepHere, folder: Path, word: str, message: str) -> None:
    ended = sweep_here("-m", "encoder.crf=18,35", word)
    assert (ended.code, message in ended.err) == (2, True), ended.err
    assert not list(folder.glob("outputs/sweeps/*/cells/*/result.json"))
