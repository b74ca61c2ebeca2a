"""Test objectives, ranks, the Pareto front and metrics."""

from __future__ import annotations

from typing import Any

import pytest

from bmfgraph.errors import ConfigError
from bmfgraph.sweep.metrics import METRICS, finite, measured, median, quality_metric, spread
from bmfgraph.sweep.objective import Condition, Objective, objective_of, pareto, parse_objective, rank
from tests.sweep.reports import cell, failures, report, super_resolution, without_quality


@pytest.mark.parametrize(
    ("text", "objective"),
    [
        ("fps", Objective("fps", "max")),
        ("latency_p95_ms", Objective("latency_p95_ms", "min")),
        ("max build_s", Objective("build_s", "max")),
        ("min fps", Objective("fps", "min")),
        ("fps where map>=0.5", Objective("fps", "max", (Condition("map", ">=", 0.5),))),
        ("cer", Objective("cer", "min")),
        ("fps where psnr_y>=45", Objective("fps", "max", (Condition("psnr_y", ">=", 45.0),))),
        (
            "  FPS\tWhere psnr_y >= 4.5e1 AND latency_p99_ms<.5 and ssim == 1. and output_mb<=+3 and recall>-1",
            Objective(
                "fps",
                "max",
                (
                    Condition("psnr_y", ">=", 45.0),
                    Condition("latency_p99_ms", "<", 0.5),
                    Condition("ssim", "==", 1.0),
                    Condition("output_mb", "<=", 3.0),
                    Condition("recall", ">", -1.0),
                ),
            ),
        ),
    ],
)
def test_parsing(text: str, objective: Objective) -> None:
    assert parse_objective(text) == objective
    assert parse_objective(str(objective)) == objective


def test_objectives_as_texts() -> None:
    assert str(parse_objective("max fps where psnr_y >= 45.50 and vmaf > 90")) == "fps where psnr_y>=45.5 and vmaf>90"
    assert str(parse_objective("max peak_rss_mb")) == "max peak_rss_mb"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' needs a metric at the beginning, not the end"),
        ("  ", "'  ' needs a metric at the beginning, not the end"),
        ("min", "'min' needs a metric after 'min', not the end"),
        ("where psnr_y>=45", "'where psnr_y>=45' needs a metric at the beginning, not 'where'"),
        (">=45", "'>=45' needs a metric at the beginning, not '>='"),
        ("psnr", "unknown metric 'psnr' (did you mean 'psnr_y'?)"),
        ("fps where steady>3", "unknown metric 'steady' (did you mean 'steady_fps'?)"),
        ("speed", "unknown metric 'speed'"),
        ("fps where latency_p95>3", "unknown metric 'latency_p95' (did you mean 'latency_p95_ms'?)"),
        ("fps>=30", "'fps>=30' needs 'where' or the end after 'fps', not '>='"),
        ("fps and psnr_y>=45", "'fps and psnr_y>=45' needs 'where' or the end after 'fps', not 'and'"),
        ("fps where", "'fps where' needs a metric after 'fps where', not the end"),
        ("fps where and", "'fps where and' needs a metric after 'fps where', not 'and'"),
        ("fps where psnr_y", "'fps where psnr_y' needs one of >= <= > < == after 'fps where psnr_y', not the end"),
        ("fps where psnr_y=45", "'fps where psnr_y=45' needs one of >= <= > < == after 'fps where psnr_y', not '='"),
        ("fps where psnr_y=>45", "'fps where psnr_y=>45' needs one of >= <= > < == after 'fps where psnr_y', not '=>'"),
        ("fps where psnr_y!=45", "'fps where psnr_y!=45' needs one of >= <= > < == after 'fps where psnr_y', not '!='"),
        ("fps where psnr_y>=", "'fps where psnr_y>=' needs a number after 'fps where psnr_y >=', not the end"),
        ("fps where psnr_y>=high", "'fps where psnr_y>=high' needs a number after 'fps where psnr_y >=', not 'high'"),
        ("fps where psnr_y>=nan", "'fps where psnr_y>=nan' needs a number after 'fps where psnr_y >=', not 'nan'"),
        (
            "fps where psnr_y>=1e999",
            "'fps where psnr_y>=1e999' needs a number after 'fps where psnr_y >=', not '1e999'",
        ),
        ("fps where psnr_y>=1_0", "'fps where psnr_y>=1_0' needs a number after 'fps where psnr_y >=', not '1_0'"),
        ("fps where ssim>1 or", "'fps where ssim>1 or' needs 'and' or the end after 'fps where ssim > 1', not 'or'"),
        ("fps where ssim>1 and", "'fps where ssim>1 and' needs a metric after 'fps where ssim > 1 and', not the end"),
    ],
)
def test_wrong_objectives(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_objective(text)
    (problem,) = caught.value.problems
    assert (problem.path, problem.code, problem.message) == ("sweep.objective", "E115", message)
    if "unknown" in message:
        assert problem.hint == f"metrics: {', '.join(METRICS)}"
    else:
        parse_objective(problem.hint.split("'")[1])


def test_without_an_objective_the_fastest_wins() -> None:
    assert objective_of(without_quality()) == Objective("steady_fps", "max")
    assert objective_of(report(cell("a", {}, fps=1.0))) == Objective("fps", "max")
    assert objective_of(report(cell("a", {}, "failed", steady_fps=1.0))) == Objective("fps", "max")
    assert objective_of(super_resolution()) == parse_objective("steady_fps where psnr_y>=45")


# ------------------------------------------------------------------------------------------------------- ranking


def ids(cells: list[dict[str, Any]], text: str) -> list[tuple[str, int | None]]:
    return [(ranked.cell["id"], ranked.rank) for ranked in rank(cells, parse_objective(text))]


def winner(cells: list[dict[str, Any]], objective: Objective) -> Any:
    return next((ranked.cell for ranked in rank(cells, objective) if ranked.rank == 1), None)


def test_cells_that_meet_the_conditions_come_first_and_failed_ones_last() -> None:
    cells = [
        cell("broken", {}, "crashed", fps=99.0, psnr_y=99.0),
        cell("rough", {}, fps=50.0, psnr_y=40.0),
        cell("slow", {}, fps=10.0, psnr_y=50.0),
        cell("fast", {}, fps=20.0, psnr_y=45.0),
        cell("rougher", {}, fps=60.0, psnr_y=30.0),
    ]
    order = [("fast", 1), ("slow", 2), ("rougher", None), ("rough", None), ("broken", None)]
    assert ids(cells, "fps where psnr_y>=45") == order
    assert ids(cells, "min fps where psnr_y>=45")[:4] == [("slow", 1), ("fast", 2), ("rough", None), ("rougher", None)]
    assert ids(cells, "latency_p95_ms") == [(each["id"], None) for each in [*cells[1:], cells[0]]]


def test_equal_cells_keep_their_order() -> None:
    cells = [cell(name, {}, fps=speed) for name, speed in (("c", 5.0), ("a", 7.0), ("b", 7.0), ("d", 5.0))]
    assert ids(cells, "fps") == [("a", 1), ("b", 1), ("c", 3), ("d", 3)]
    assert ids(cells, "min fps") == [("c", 1), ("d", 1), ("a", 3), ("b", 3)]
    assert [each["id"] for each in cells] == ["c", "a", "b", "d"]


def test_violated_conditions_are_listed() -> None:
    def violations(text: str, **metrics: Any) -> tuple[str, ...]:
        return rank([cell("a", {}, **metrics)], parse_objective(text))[0].violations

    assert violations("fps where psnr_y>=45", fps=3.0, psnr_y=45.0) == ()
    assert violations("fps where psnr_y>=45", fps=3.0, psnr_y=38.2134) == ("PSNR-Y 38.21 < 45 dB",)
    assert violations("fps where psnr_y>=45", fps=3.0, psnr_y=44.999) == ("PSNR-Y 44.999 < 45 dB",)
    assert violations("fps where psnr_y>45", fps=3.0, psnr_y=45.0) == ("PSNR-Y 45 ≤ 45 dB",)
    assert violations("fps where latency_p95_ms<=40", fps=3.0, latency_p95_ms=51.0) == ("latency p95 51.0 > 40 ms",)
    assert violations("fps where recall<.5 and ssim==1", fps=3.0, recall=0.75, ssim=0.5) == (
        "recall 0.750 ≥ 0.5",
        "SSIM 0.5000 ≠ 1",
    )
    assert violations("fps where psnr_y>=45", psnr_y=50.0) == ("end-to-end speed not measured",)
    assert violations("fps where psnr_y>=45 and psnr_y<60", fps=3.0) == ("PSNR-Y not measured",)


def test_the_winner() -> None:
    content = super_resolution()
    assert winner(content["cells"], objective_of(content)) is content["cells"][6]
    assert winner(content["cells"], parse_objective("fps where psnr_y>=45 and fps<1")) is None
    assert winner(failures()["cells"], parse_objective("fps")) is None
    assert winner([], parse_objective("fps")) is None


def test_the_reference_has_perfect_quality() -> None:
    reference = cell("r", {}, fps=3.0) | {"is_reference": True}
    assert [median(reference, name) for name in ("psnr_y", "ssim", "recall", "fps", "build_s")] == [100, 1, 1, 3, None]
    assert winner([reference], parse_objective("fps where psnr_y>=45")) is reference
    assert median(reference | {"status": "failed"}, "psnr_y") is None
    assert median(cell("s", {}, psnr_y=44.0) | {"is_reference": True}, "psnr_y") == 44


# ------------------------------------------------------------------------------------------------ the Pareto front


def test_the_front() -> None:
    cells = [
        cell("best quality", {}, steady_fps=10.0, psnr_y=60.0),
        cell("slower", {}, steady_fps=9.0, psnr_y=60.0),
        cell("worse", {}, steady_fps=10.0, psnr_y=59.0),
        cell("between", {}, steady_fps=20.0, psnr_y=50.0),
        cell("twin", {}, steady_fps=20.0, psnr_y=50.0),
        cell("beaten", {}, steady_fps=19.0, psnr_y=49.0),
        cell("fastest", {}, steady_fps=30.0, psnr_y=40.0),
        cell("unknown", {}, steady_fps=99.0),
        cell("broken", {}, "failed", steady_fps=99.0, psnr_y=99.0),
    ]
    assert pareto(cells) == {"best quality", "between", "twin", "fastest"}
    assert pareto(cells, "steady_fps", "ssim") == set()
    assert pareto([]) == set()


def test_the_front_of_metrics_where_lower_is_better() -> None:
    cells = [
        cell("small", {}, peak_rss_mb=10.0, latency_p95_ms=9.0),
        cell("quick", {}, peak_rss_mb=20.0, latency_p95_ms=3.0),
        cell("neither", {}, peak_rss_mb=20.0, latency_p95_ms=4.0),
    ]
    assert pareto(cells, "peak_rss_mb", "latency_p95_ms") == {"small", "quick"}


# --------------------------------------------------------------------------------------------------------- metrics


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "3", True, [3]])
def test_a_value_that_is_not_a_number_is_unknown(value: Any) -> None:
    assert finite(value) is None
    damaged = cell("a", {}, fps=(value, value, 3.0))
    assert median(damaged, "fps") is None
    assert spread(damaged, "fps") is None
    assert measured([damaged]) == []


def test_metrics_that_are_null() -> None:
    empty = cell("a", {}) | {"metrics": {"fps": None, "ssim": {}}}
    assert (median(empty, "fps"), spread(empty, "ssim"), measured([empty])) == (None, None, [])


def test_one_metric_represents_quality() -> None:
    cells = [cell("a", {}, fps=1.0, ssim=0.9, psnr_y=40.0), cell("b", {}, "crashed", vmaf=1.0)]
    assert quality_metric(cells) == METRICS["psnr_y"]
    assert quality_metric(cells, ["fps", "ssim"]) == METRICS["ssim"]
    assert quality_metric(cells, ["vmaf"]) == METRICS["psnr_y"]
    assert quality_metric(cells[1:]) is None
    # Masks say more than their boxes.
    masks = [cell("a", {}, map50=0.9, map=0.6, mask_map=0.5, precision=0.9)]
    assert [metric.name for metric in measured(masks)] == ["mask_map", "map50", "map", "precision"]
    assert quality_metric(masks) == METRICS["mask_map"]


def test_numbers_as_texts() -> None:
    fps, psnr = METRICS["fps"], METRICS["psnr_y"]
    assert [fps.text(value) for value in (212.44, 0.344, 0.0344, 0.0, 1.0)] == ["212.4", "0.34", "0.034", "0.0", "1.0"]
    assert (fps.full(3), psnr.full(44.126), psnr.full(100), METRICS["ssim"].full(1)) == (
        "3.0 fps",
        "44.13 dB",
        "identical",
        "1.0000",
    )
    assert [
        METRICS[name].heading for name in ("fps", "peak_gpu_mb", "map50", "psnr_y", "cer", "oks_map", "exact_text")
    ] == [
        "End-to-end speed",
        "Peak GPU memory",
        "mAP@50",
        "PSNR-Y",
        "CER",
        "OKS mAP",
        "Exact texts",
    ]


def test_every_metric_is_explained() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.meaning.endswith("."), name
        assert metric.better == ("higher" if "fps" in name or metric.perfect else "lower"), name
        assert metric.perfect != 0 or name == "cer"
    assert len({metric.title for metric in METRICS.values()}) == len(METRICS)
