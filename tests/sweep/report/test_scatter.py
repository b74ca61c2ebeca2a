"""Check the places in the scatter plot."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest

from bmfgraph.plan.views.drawing import Rect, text_width
from bmfgraph.sweep.objective import objective_of, pareto
from bmfgraph.sweep.report.scatter import SIZE, Dot, Scatter, lay_out, nice_ticks
from tests.sweep.reports import cell, detectors, failures, readers, report, super_resolution, without_quality

SIZES = [(1100, 440), (350, 360)]


def crowd(count: int, seed: int, objective: str | None) -> dict[str, Any]:
    """Cells in clumps, as batches of a few engines make them."""
    dice = random.Random(seed)
    middles = [(dice.uniform(20, 200), dice.uniform(30, 60)) for _ in range(4)]
    cells = []
    for number in range(count):
        x, y = middles[number % 4]
        name = {"engine": f"engine{number % 4}", "engine.batch": str(number)}
        cells.append(cell(f"c{number}", name, steady_fps=x + dice.gauss(0, 4), psnr_y=min(100.0, y + dice.gauss(0, 1))))
    return report(*cells, objective=objective)


def laid_out(made: dict[str, Any], width: float, height: float) -> Scatter:
    plot = lay_out(made, width, height)
    assert plot is not None
    return plot


def dot_box(dot: Dot) -> Rect:
    return Rect(dot.x - 5, dot.y - 5, 10, 10)


REPORTS = [
    super_resolution(),
    detectors(),
    *(
        crowd(count, seed, "steady_fps where psnr_y>=45 and steady_fps<150")
        for count in (3, 12, 50)
        for seed in range(4)
    ),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("made", REPORTS)
def test_nothing_lies_on_anything_else(made: dict[str, Any], size: tuple[int, int]) -> None:
    plot = laid_out(made, *size)
    boxes = [label.box for label in plot.labels]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    for label in plot.labels:
        assert label.box.inside(plot.frame)
        assert label.box.width >= text_width(label.text, SIZE)
        assert label.box.height >= SIZE
        assert not any(label.box.overlaps(dot_box(dot)) for dot in plot.dots)
        assert not any(label.box.overlaps(limit.label) for limit in plot.limits)
    for one, other in itertools.combinations([limit.label for limit in plot.limits], 2):
        assert not one.overlaps(other)
    for dot in plot.dots:
        assert plot.frame.x <= dot.x <= plot.frame.x + plot.frame.width
        assert plot.frame.y <= dot.y <= plot.frame.y + plot.frame.height


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("made", REPORTS)
def test_a_label_is_near_its_own_dot(made: dict[str, Any], size: tuple[int, int]) -> None:
    plot = laid_out(made, *size)
    for label in plot.labels:
        box, dot = label.box, label.dot
        across = max(box.x - dot.x, 0, dot.x - box.x - box.width)
        down = max(box.y - dot.y, 0, dot.y - box.y - box.height)
        assert math.hypot(across, down) <= (45 if label.lead else 17)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("made", REPORTS[:2])
def test_what_matters_has_a_label(made: dict[str, Any], size: tuple[int, int]) -> None:
    plot = laid_out(made, *size)
    labelled = {kind for label in plot.labels for kind in label.dot.kinds}
    assert {kind for dot in plot.dots for kind in dot.kinds} & {"winner", "reference"} <= labelled
    if size == SIZES[0]:
        assert len(plot.labels) == len(plot.dots)


def test_of_many_dots_only_the_best_have_labels() -> None:
    plot = laid_out(crowd(50, 1, None), *SIZES[0])
    assert plot.labels
    assert all({"front", "winner"} & set(label.dot.kinds) for label in plot.labels)


@pytest.mark.parametrize("made", REPORTS)
def test_the_front(made: dict[str, Any]) -> None:
    plot = laid_out(made, *SIZES[0])
    front = {dot.id for dot in plot.dots if "front" in dot.kinds}
    assert front == pareto(made["cells"], "steady_fps", plot.y.metric.name) != set()
    corners = {(round(x, 6), round(y, 6)) for x, y in plot.front}
    assert {(round(dot.x, 6), round(dot.y, 6)) for dot in plot.dots if dot.id in front} <= corners
    for (x, y), (right, below) in itertools.pairwise(plot.front):
        assert (x == right and below >= y) or (y == below and right >= x)
    # No dot lies beyond the steps.
    for dot in plot.dots:
        assert any(dot.x <= x + 1e-9 and dot.y >= y - 1e-9 for x, y in plot.front)


def test_kinds() -> None:
    made = super_resolution()
    plot = laid_out(made, *SIZES[0])
    kinds = {dot.id: dot.kinds for dot in plot.dots}
    assert len(kinds) == 10
    assert kinds["fp1604"] == ("winner", "front")
    assert kinds["fp3201"] == ("reference",)
    assert kinds["int804"] == ("front", "misses")
    assert kinds["fp1608"] == ()
    titles = {dot.id: dot.title for dot in plot.dots}
    assert titles["fp1604"] == "fp16 · batch 4: 181.7 fps, PSNR-Y 51.37 dB"
    assert titles["fp3201"] == "fp32 · batch 1: 61.3 fps, PSNR-Y identical"


def test_identical_outputs_are_beyond_a_gap() -> None:
    plot = laid_out(super_resolution(), *SIZES[0])
    assert plot.y.perfect == 100
    assert plot.y.ticks[-1] == (100, "identical")
    identical = {dot.y for dot in plot.dots if dot.id.startswith("fp32")}
    assert identical == {plot.y.far}
    assert plot.frame.y < plot.y.far < plot.y.end < min(dot.y for dot in plot.dots if not dot.id.startswith("fp32"))
    # What lies near to perfect needs no gap.
    near = report(*(cell(f"c{at}", {}, steady_fps=at, ssim=1 - at / 10) for at in range(4)))
    assert laid_out(near, *SIZES[0]).y.perfect is None


def test_more_is_right_and_up() -> None:
    plot = laid_out(detectors(), *SIZES[0])
    assert plot.x.pixel(200) > plot.x.pixel(100)
    assert plot.y.pixel(0.95) < plot.y.pixel(0.9)
    assert plot.x.low == 0
    assert all(value <= 1 for value, _ in plot.y.ticks)


def test_a_lower_error_rate_is_further_up() -> None:
    plot = laid_out(readers(), *SIZES[0])
    assert plot.y.metric.name == "cer"
    assert plot.frame.y <= plot.y.pixel(0.012) < plot.y.pixel(0.187) <= plot.frame.bottom
    assert all(dot.on_front for dot in plot.dots)
    (limit,) = plot.limits
    assert (limit.text, limit.line[1]) == ("CER ≤ 0.05", plot.y.pixel(0.05))
    out = [dot.id for dot in plot.dots if limit.out.overlaps(Rect(dot.x, dot.y, 0.1, 0.1))]
    assert out == [dot.id for dot in plot.dots if "misses" in dot.kinds] == ["r3"]


def test_limits_of_the_objective() -> None:
    made = super_resolution() | {"objective": "steady_fps where psnr_y>=45 and steady_fps<=250 and peak_gpu_mb<3000"}
    plot = laid_out(made, *SIZES[0])
    assert [limit.text for limit in plot.limits] == ["PSNR-Y ≥ 45 dB", "steady speed ≤ 250 fps"]
    level, upright = plot.limits
    assert level.line[1] == level.line[3] == plot.y.pixel(45)
    assert upright.line[0] == upright.line[2] == plot.x.pixel(250)
    out = [
        dot.id for dot in plot.dots if any(limit.out.overlaps(Rect(dot.x, dot.y, 0.1, 0.1)) for limit in plot.limits)
    ]
    assert sorted(out) == sorted(dot.id for dot in plot.dots if "misses" in dot.kinds) == ["int802", "int804"]
    far = super_resolution() | {"objective": "steady_fps where psnr_y>=120"}
    assert laid_out(far, *SIZES[0]).limits == ()


@pytest.mark.parametrize(
    "cells",
    [
        [cell("a", {}, steady_fps=3.0, psnr_y=40.0)],
        [cell("a", {}, steady_fps=3.0, psnr_y=100.0)],
        [cell("a", {}, steady_fps=0.0, psnr_y=0.0)],
        [cell("a", {}, fps=3.0, recall=1.0), cell("b", {}, fps=3.0, recall=1.0)],
        [cell("a", {}, fps=3.0, cer=0.0), cell("b", {}, fps=3.0, cer=0.0)],
        [cell("a", {}, fps=3.0, cer=0.0), cell("b", {}, fps=3.0, cer=1.7)],
        [cell("a", {}, fps=1e-9, ssim=-0.5), cell("b", {}, fps=1e9, ssim=0.5)],
        [cell("a", {}, fps=3.0, ssim=0.1 + 0.2), cell("b", {}, fps=3.0, ssim=0.3)],
    ],
)
def test_odd_values(cells: list[dict[str, Any]]) -> None:
    plot = laid_out(report(*cells), *SIZES[1])
    assert len(plot.dots) == len(cells)
    numbers = [number for dot in plot.dots for number in (dot.x, dot.y)]
    assert all(map(math.isfinite, numbers))
    for axis in (plot.x, plot.y):
        texts = [text for _, text in axis.ticks]
        assert len(set(texts)) == len(texts) > 0


def test_no_plot_without_both_numbers() -> None:
    for made in (without_quality(), failures(), report(), report(cell("a", {}, psnr_y=3.0))):
        assert lay_out(made, *SIZES[0]) is None


@pytest.mark.parametrize(
    ("low", "high", "count", "ticks"),
    [
        (0, 100, 5, [0, 20, 40, 60, 80, 100]),
        (41.2, 53.8, 4, [45, 50]),
        (-0.3, 0.3, 3, [-0.2, 0, 0.2]),
        (0.9981, 0.9999, 4, [0.9985, 0.999, 0.9995]),
        (0, 7, 3, [0, 2.5, 5]),
    ],
)
def test_ticks(low: float, high: float, count: int, ticks: list[float]) -> None:
    assert nice_ticks(low, high, count) == pytest.approx(ticks)


def test_the_objective_is_not_needed_to_plot() -> None:
    made = super_resolution() | {"objective": None}
    assert objective_of(made).conditions == ()
    plot = laid_out(made, *SIZES[0])
    assert plot.limits == ()
    assert [dot.id for dot in plot.dots if "winner" in dot.kinds] == ["int804"]
