"""Sweeps decide rightly: equal variants, noise, objectives, commands, references of clips with odd times."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from bmfgraph.config.compose import expanded
from bmfgraph.errors import ConfigError
from bmfgraph.media.downscale import downscaled
from bmfgraph.media.quality import measure
from bmfgraph.sweep.objective import parse_objective
from bmfgraph.sweep.report.page import report_page
from bmfgraph.sweep.verdict import judge
from tests.codes.command import run_cli
from tests.runner.command import frames_in
from tests.sweep import reports
from tests.sweep.reports import report
from tests.tools import make_clip

_UP = "pipeline=super_resolution input=clip.mp4 device=cpu "
_PRESET = """
# @package _global_
sweep: {repeats: 2, warmup: false}
encoder: {preset: ultrafast}
hydra: {mode: MULTIRUN, sweeper: {params: {engine: "tf32,fp32"}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_clip(tmp_path / "clip.mp4", frames=12)
    (tmp_path / "conf" / "sweep").mkdir(parents=True)
    (tmp_path / "conf" / "sweep" / "mine.yaml").write_text(_PRESET.lstrip())
    return tmp_path


def runs(name: str, *speeds: float, **other: Any) -> dict[str, Any]:
    """Return a cell with the speed of each run."""
    middle = sorted(speeds)[len(speeds) // 2]
    part = {"median": middle, "min": min(speeds), "max": max(speeds), "runs": list(speeds)}
    cell = reports.cell(name, {"model": name}, **other)
    return cell | {"metrics": {**cell["metrics"], "steady_fps": part}}


# ------------------------------------------------------------------------------------------------- equal variants


@pytest.mark.wide
def test_equal_variants_run_once_and_the_winner_runs_the_whole_job(folder: Path) -> None:
    ended = run_cli(f"--config-dir conf +sweep=mine {_UP} decoder.end=0.2 progress=false output=whole.mp4", folder)
    assert ended.code == 0, ended.err
    assert len(re.findall(r"frames/s", ended.err)) == 1
    assert "no difference here: same as fp32" in ended.out
    assert "Ship" not in ended.out
    assert "★" not in ended.out
    root = folder / "outputs" / "sweeps" / "super_resolution"
    content = json.loads((root / "report.json").read_text())
    states = {cell["varied"]["engine"]: cell["status"] for cell in content["cells"]}
    assert states == {"tf32": "same", "fp32": "ok"}
    ids = {cell["varied"]["engine"]: cell["id"] for cell in content["cells"]}
    assert content["cells"][0]["same_as"] == ids["fp32"]
    verdict = content["verdict"]
    assert (verdict["headline"], verdict["winner"]) == ("No difference here", None)
    assert "No difference here: tf32 does the same" in (root / "report.html").read_text()
    assert "no difference here" in (root / "report.csv").read_text()

    # What the preset sets for the pipeline belongs to both commands, though its sweep does not.
    exact, whole = shlex.split(verdict["measured_by"]), shlex.split(verdict["command"])
    assert {"decoder.end=0.2", "progress=false", "encoder.preset='ultrafast'", "engine=fp32"} <= set(exact)
    assert verdict["left_out"] == ["decoder.end=0.2", "progress=false"]
    assert set(exact) - set(whole) == set(verdict["left_out"])
    assert "leaves out what was for measuring only: decoder.end=0.2 progress=false." in ended.out
    assert verdict["command"] in ended.out.splitlines()
    assert run_cli(shlex.join(whole[3:]), folder).code == 0
    assert frames_in(folder / "whole.mp4") == 12


@pytest.mark.wide
def test_check_says_that_variants_are_equal(folder: Path) -> None:
    outcome = run_cli(f"check -m {_UP} engine=fp32,fp16 engine.cuda_graph=true,false", folder)
    equal = [problem["message"] for problem in outcome.problems if problem["code"] == "W109"]
    assert outcome.code == 0
    assert len(equal) == 3
    assert all(text.startswith("no difference here: does the same on this machine as engine=fp32") for text in equal)


@pytest.mark.wide
def test_halving_leaves_equal_variants_out(folder: Path) -> None:
    words = f"-m {_UP} engine=fp16,fp32 encoder.crf=20,50 encoder.preset=ultrafast sweep.strategy=halving sweep.eta=2"
    ended = run_cli(f"{words} 'sweep.objective=min output_mb' sweep.warmup=false sweep.reference=null", folder)
    assert ended.code == 0, ended.err
    content = json.loads((folder / "outputs/sweeps/super_resolution/report.json").read_text())
    assert sorted(cell["status"] for cell in content["cells"]) == ["ok", "same", "same", "skipped"]
    ids = {cell["id"] for cell in content["cells"]}
    assert {cell["same_as"] for cell in content["cells"] if cell["status"] == "same"} <= ids


def test_a_difference_of_plans_says_why_there_is_none(folder: Path) -> None:
    ended = run_cli(f"plan diff engine=fp32 engine=fp16 {_UP}", folder)
    assert ended.code == 0
    assert ended.out.startswith("no difference here: engine.precision changes nothing in the plan; computes in fp32")
    assert ended.out.count("\n") == 1


# ---------------------------------------------------------------------------------------------------------- noise


def test_noise_has_no_winner() -> None:
    content = report(runs("a", 100, 90, 115), runs("b", 101, 88, 111), runs("c", 50, 51, 49))
    verdict = judge(content)
    assert [(ranked.cell["id"], ranked.rank) for ranked in verdict.order] == [("b", 1), ("a", 1), ("c", 3)]
    assert verdict.winner is None
    assert verdict.headline == "Ship any of 2 that are as good: b, a"
    assert any("95 % confidence intervals" in reason for reason in verdict.reasons)
    page = report_page(content)
    assert 'class="chip winner"' not in page
    assert page.count('class="chip as-good"') == 2


def test_a_difference_beyond_the_spread_has_a_winner() -> None:
    verdict = judge(report(runs("a", 100, 101, 99), runs("b", 90, 91, 89)))
    assert verdict.winner
    assert (verdict.winner["id"], verdict.headline) == ("a", "Ship a")
    # Two runs far apart tell little, even where all values of one variant are above those of the other.
    assert judge(report(runs("a", 100, 110), runs("b", 90, 95))).winner is None


def test_the_interval_is_students() -> None:
    from bmfgraph.sweep.metrics import interval

    low, high = interval(runs("a", 9, 10, 11), "steady_fps") or (0.0, 0.0)
    assert (low, high) == pytest.approx((10 - 2.484, 10 + 2.484), abs=1e-3)


def test_one_repeat_is_said_to_be_one() -> None:
    verdict = judge(report(runs("a", 100.0), runs("b", 99.0)))
    assert verdict.headline == "Ship a (one repeat: no spread known)"
    assert any(reason.startswith("One repeat: no spread known") for reason in verdict.reasons)
    # Every run gives the same quality.
    exact = judge(report(runs("a", 100.0, ssim=0.9), runs("b", 99.0, ssim=0.8), objective="ssim"))
    assert exact.headline == "Ship a"


# ----------------------------------------------------------------------------------------------------- objectives


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "engine.batch=1,2 sweep.objective=joules_per_frame",
            "joules_per_frame (energy) cannot be measured: only runs",
        ),
        ("engine.batch=1,2 sweep.objective=peak_gpu_mb", "no node runs on a GPU"),
        ("engine.batch=1,2 sweep.objective=build_s", "the models run as they are"),
        ("engine.batch=1,2 'sweep.objective=fps where psnr_y>=40'", "there is nothing to compare with"),
        ("engine=fp32,fp16 sweep.objective=map50", "the pipeline writes no detections"),
        ("engine=fp32,fp16 sweep.objective=psnr_y encoder=measure", "the pipeline writes no video"),
        ("engine=fp32,fp16 sweep.objective=output_mb encoder=measure", "the pipeline writes no file"),
    ],
)
def test_an_objective_that_cannot_be_measured_is_refused(folder: Path, words: str, message: str) -> None:
    for verb in ("check -m", "-m"):
        outcome = run_cli(f"{verb} {_UP} {words}", folder)
        errors = [problem for problem in outcome.problems if problem["severity"] == "error"]
        assert (outcome.code, [problem["code"] for problem in errors]) == (2, ["E124"]), outcome
        assert message in errors[0]["message"]
        assert errors[0]["hint"]
    assert not list(folder.glob("outputs/sweeps/*/cells/*"))


def test_a_cell_that_can_have_the_metric_is_enough(folder: Path) -> None:
    assert run_cli(f"check -m {_UP} encoder=measure,x264 sweep.objective=output_mb", folder).code == 0


def test_vmaf_is_refused_without_libvmaf(folder: Path) -> None:
    if "libvmaf" in av.filter.filters_available:
        pytest.skip("this FFmpeg has libvmaf")
    outcome = run_cli(f"check -m {_UP} engine=fp32,fp16 sweep.objective=vmaf", folder)
    assert outcome.problems[0]["code"] == "E124"
    assert "has no libvmaf" in outcome.problems[0]["message"]


_ADVICE = re.compile(r"sweep\.objective='([^']*)'")


@pytest.mark.parametrize("objective", [None, "psnr_y where steady_fps>=5", "fps where latency_p95_ms<9000", "ssim"])
def test_the_advice_on_objectives_can_be_followed(objective: str | None) -> None:
    for maker in (reports.super_resolution, reports.detectors, reports.equals, reports.failures):
        content = maker() | {"objective": objective}
        for text in judge(content).reasons:
            for advice in _ADVICE.findall(text):
                parse_objective(advice)
                assert objective is None or advice.startswith(f"{objective} ")
                assert "…" not in advice
                again = judge(content | {"objective": advice})
                assert not any(_ADVICE.search(reason) for reason in again.reasons)


@pytest.mark.wide
def test_hints_with_an_objective_can_be_followed(folder: Path) -> None:
    for words in ("sweep.objective=speed", "sweep.objective='fps where'", "sweep.strategy=halving"):
        outcome = run_cli(f"check -m {_UP} engine.batch=1,2 {words}", folder)
        hint = outcome.problems[0]["hint"]
        assert outcome.problems[0]["code"] == "E115"
        for advice in (*_ADVICE.findall(hint), *re.findall(r"like '([^']*)'", hint)):
            parse_objective(advice)


# ----------------------------------------------------------------------------------------------------------- globs


def options(words: Sequence[str], key: str) -> list[str]:
    return [dict(varied)[key] for varied in expanded(words).varied]


def test_glob_makes_a_cell_of_each_option_that_fits(folder: Path) -> None:
    (folder / "conf" / "encoder").mkdir()
    (folder / "conf" / "encoder" / "x999.yaml").write_text("defaults: [x264]\n")
    own = ["--config-dir", str(folder / "conf")]
    assert options(["pipeline=super_resolution", "encoder=glob(x*)"], "encoder") == ["x264", "x265"]
    assert options([*own, "pipeline=super_resolution", "encoder=glob(x*)"], "encoder") == ["x264", "x265", "x999"]
    fast = options(["pipeline=super_resolution", "model=glob(vsr_x2_fast*)"], "model")
    assert fast == ["vsr_x2_fast", "vsr_x2_fast_video", "vsr_x2_fast_video_int8"]
    for word in ("encoder=glob(nope*)", "encoder.preset=glob(*)"):
        with pytest.raises(ConfigError, match="fits no option") as caught:
            expanded(["pipeline=super_resolution", word])
        assert caught.value.problems[0].code == "E103"


# ------------------------------------------------------------------------------------------------------ odd times


def odd_clip(path: Path, times: Sequence[int]) -> Path:
    """Write frames with times in ms, which may be equal. Players lose the times before 0."""
    source = make_clip(path.with_suffix(".mp4"), frames=len(times), options={"preset": "ultrafast", "bf": "0"})
    with av.open(str(source)) as file, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as odd:
        stream = odd.add_stream_from_template(file.streams.video[0])
        for packet in file.demux(file.streams.video[0]):
            if packet.size:
                time = times[round(1000 * float((packet.pts or 0) * packet.time_base) / 40)]
                packet.stream, packet.time_base = stream, Fraction(1, 1000)
                packet.pts = packet.dts = time
                odd.mux(packet)
    return path


@pytest.mark.parametrize(
    "times", [[0, 0, 40, 40, 80, 80, 120, 120], [40 * number for number in range(-8, 8)]], ids=["equal", "missing"]
)
def test_a_reduced_clip_keeps_every_frame_in_its_place(tmp_path: Path, times: list[int]) -> None:
    odd = odd_clip(tmp_path / "odd.mkv", times)
    regular = odd_clip(tmp_path / "regular.mkv", [40 * number for number in range(len(times))])
    small = downscaled(odd, 2, tmp_path / "inputs")
    with av.open(str(small.clip)) as file:
        stamps = [frame.pts for frame in file.decode(video=0) if frame.pts is not None]
    assert len(stamps) == len(times)
    assert stamps == sorted(set(stamps))
    quality = measure(small.clip, downscaled(regular, 2, tmp_path / "inputs").clip)
    assert (quality["frames"], quality["psnr_y_min"]) == (len(times), 100)
    assert downscaled(odd, 2, tmp_path / "inputs") == small
