"""Test the verdict of a sweep."""

from __future__ import annotations

from typing import Any

import pytest

from bmfgraph.sweep.metrics import METRICS
from bmfgraph.sweep.objective import parse_objective
from bmfgraph.sweep.report.text import date_text, variant
from bmfgraph.sweep.verdict import Change, change, judge, key_metrics, margin, quality_of
from tests.sweep.reports import cell, detectors, failures, report, super_resolution, without_quality

ONE_REPEAT = "One repeat: no spread known, so that a small difference may be noise. sweep.repeats=5 tells."


def test_a_winner_its_reasons_and_its_baseline() -> None:
    verdict = judge(super_resolution())
    assert verdict.headline == "Ship fp16 · batch 4"
    assert verdict.reasons == ("The highest steady speed, 181.7 fps, of the 8 variants that keep PSNR-Y ≥ 45 dB.",)
    assert verdict.against == "fp32 · batch 1, the reference"
    assert verdict.winner is verdict.order[0].cell
    assert verdict.baseline
    assert verdict.baseline["id"] == "fp3201"


def test_without_a_reference_fp32_is_the_baseline() -> None:
    assert judge(detectors()).against == "centerface · fp32, the best in fp32"
    assert judge(without_quality()).against == "decoder auto, the next best"
    two = [cell("a", {"engine": "fp32"}, fps=9.0), cell("b", {"engine": "fp16"}, fps=5.0)]
    assert judge(report(*two)).against == "fp16, the next best"
    two[0]["is_reference"] = True
    assert judge(report(*two)).against == "fp16, the next best"
    assert judge(report(two[0])).baseline is None


@pytest.mark.parametrize(
    ("objective", "reasons"),
    [
        ("latency_p95_ms", ("The lowest latency p95, 3.0 ms, of the 2 variants.", ONE_REPEAT)),
        ("max latency_p95_ms", ("The highest latency p95, 5.0 ms, of the 2 variants.", ONE_REPEAT)),
        (
            "latency_p95_ms where fps>=2",
            ("It is the only one of 3 variants that keeps end-to-end speed ≥ 2 fps: 5.0 ms.",),
        ),
    ],
)
def test_reasons(objective: str, reasons: tuple[str, ...]) -> None:
    cells = [
        cell("a", {"x": "1"}, latency_p95_ms=3.0, fps=1.0),
        cell("b", {"x": "2"}, latency_p95_ms=5.0, fps=2.0),
        cell("c", {"x": "3"}, "failed"),
    ]
    assert judge(report(*cells, objective=objective)).reasons == reasons


def test_a_single_cell_that_ran() -> None:
    content = report(cell("a", {"x": "1"}, fps=1.0), cell("b", {"x": "2"}, "crashed"))
    assert judge(content).reasons == ("It is the only one of 2 variants that ran: 1.0 fps.",)


def test_a_winner_by_speed_alone_shows_its_quality() -> None:
    content = report(cell("a", {"x": "1"}, fps=1.0, ssim=0.87), cell("b", {"x": "2"}, fps=0.5, ssim=1.0))
    assert judge(content).reasons[2] == (
        "No quality was asked for; its SSIM is 0.8700. Set a limit, such as sweep.objective='fps where ssim>=0.87'."
    )
    assert len(judge(content | {"objective": "fps where ssim>=0.5"}).reasons) == 2


def test_nothing_meets_the_conditions() -> None:
    cells = [
        cell("a", {"x": "1"}, fps=10.0, psnr_y=44.2),
        cell("b", {"x": "2"}, fps=40.0, psnr_y=38.0),
        cell("c", {"x": "3"}, "failed"),
    ]
    verdict = judge(report(*cells, objective="fps where psnr_y>=45 and fps>20 and vmaf>3"))
    assert (verdict.headline, verdict.winner) == ("No variant meets the objective", None)
    assert verdict.reasons == (
        "2 of 3 variants ran; none of them meets fps where psnr_y>=45 and fps>20 and vmaf>3.",
        "PSNR-Y ≥ 45 dB is out of reach: the nearest is 44.20 dB.",
        "VMAF was not measured.",
    )


def test_nothing_ran() -> None:
    verdict = judge(failures())
    assert verdict.headline == "No variant ran"
    assert verdict.reasons == ("4 variants: 3 failed, 1 skipped.", "E805 the disk is full (3 variants)")
    assert judge(report()).headline == "Nothing was run"


@pytest.mark.parametrize(
    ("metric", "value", "base", "expected"),
    [
        ("fps", 30.0, 10.0, Change("3.0×", "better")),
        ("fps", 300.0, 10.0, Change("30×", "better")),
        ("fps", 11.0, 10.0, Change("+10 %", "better")),
        ("fps", 9.0, 10.0, Change("−10 %", "worse")),
        ("fps", 100.4, 100.0, Change("+0.4 %", "same")),
        ("fps", 10.01, 10.0, Change("the same", "same")),
        ("fps", 10.0, 0.0, Change("from 0.0 fps", "better")),
        ("latency_p95_ms", 4.1, 10.0, Change("0.41×", "better")),
        ("latency_p95_ms", 13.0, 10.0, Change("+30 %", "worse")),
        ("psnr_y", 44.0, 45.5, Change("−1.50 dB", "worse")),
        ("psnr_y", 44.0, 100.0, None),
        ("psnr_y", 100.0, 100.0, Change("the same", "same")),
        ("recall", 0.95, 0.9, Change("+0.050", "better")),
        ("cer", 0.02, 0.03, Change("−0.010", "better")),
        ("cer", 0.5, 0.0, Change("+0.500", "worse")),
    ],
)
def test_changes(metric: str, value: float, base: float, expected: Change | None) -> None:
    assert change(METRICS[metric], value, base) == expected


def test_margins() -> None:
    objective = parse_objective("fps where psnr_y>=45 and latency_p95_ms<40")
    assert margin(objective, METRICS["psnr_y"], 51.5) == Change("6.50 dB to spare", "better")
    assert margin(objective, METRICS["latency_p95_ms"], 38.0) == Change("2.0 ms to spare", "better")
    assert margin(objective, METRICS["psnr_y"], 100.0) is None
    assert margin(objective, METRICS["psnr_y"], 40.0) is None
    assert margin(objective, METRICS["fps"], 40.0) is None


def test_the_advised_limit_of_an_error_rate_is_an_upper_one() -> None:
    verdict = judge(report(cell("a", {"engine": "fp16"}, steady_fps=9.0, cer=0.0121, exact_text=0.8), repeats=1))
    assert verdict.reasons[-1] == (
        "No quality was asked for; its CER is 0.012. "
        "Set a limit, such as sweep.objective='steady_fps where cer<=0.013'."
    )
    assert judge(report(cell("a", {}, fps=9.0, cer=0.0))).reasons[-1] == "No quality was asked for; its CER is 0.000."


def test_key_metrics() -> None:
    names = [metric.name for metric in key_metrics(detectors())]
    assert names == ["steady_fps", "map50", "recall", "latency_p95_ms", "peak_rss_mb"]
    content = super_resolution() | {"objective": "joules_per_frame where ssim>=0.9"}
    assert quality_of(content) == METRICS["ssim"]
    assert [metric.name for metric in key_metrics(content)] == [
        "joules_per_frame",
        "steady_fps",
        "ssim",
        "latency_p95_ms",
        "peak_gpu_mb",
    ]


@pytest.mark.parametrize(
    ("varied", "name"),
    [
        ({"engine": "fp16", "engine.batch": "4"}, "fp16 · batch 4"),
        ({"decoder": "auto", "debug": "true"}, "decoder auto · debug true"),
        ({"+pipeline.nodes.sink.crf": "20"}, "crf 20"),
        ({"input": "a/b.mp4"}, "input a/b.mp4"),
        ({}, "the only variant"),
    ],
)
def test_names(varied: dict[str, str], name: str) -> None:
    assert variant(cell("a", varied)) == name


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        ("2026-11-05T14:32:10+00:00", "5 November 2026, 14:32 UTC"),
        ("2026-11-05T01:00:00+02:00", "4 November 2026, 23:00 UTC"),
        ("2026-11-05T14:32:10", "5 November 2026, 14:32"),
        ("yesterday", "yesterday"),
    ],
)
def test_dates(created: str, expected: str) -> None:
    assert date_text(created) == expected


def test_reports_with_little_in_them() -> None:
    content: dict[str, Any] = report(cell("a", {}, build_s=3.0))
    verdict = judge(content)
    assert verdict.headline == "No variant meets the objective"
    assert verdict.order[0].violations == ("end-to-end speed not measured",)
