"""Check the ranked table of the page."""

from __future__ import annotations

from collections import Counter

import pytest

from bmfgraph.sweep.metrics import METRICS, median
from bmfgraph.sweep.report.page import report_page
from tests.sweep import reports
from tests.sweep.reports import cell, report
from tests.sweep.tree import Node, parsed


def column(root: Node, heading: str) -> list[tuple[str, str]]:
    """Sort keys and texts of a column; rows of failed cells have none."""
    heads = root.all("thead")[0].all("th")
    (at,) = (place for place, head in enumerate(heads) if head.text().startswith(heading))
    cells = [[node for node in row.children if isinstance(node, Node)] for row in root.all("tbody")[0].all("tr")]
    return [(row[at].attributes["data-sort"], row[at].text()) for row in cells if len(row) == len(heads)]


def test_sort_keys() -> None:
    made = reports.super_resolution()
    root = parsed(report_page(made))
    order = [row.attributes["data-id"] for row in root.all("tbody")[0].all("tr")]
    assert order[:2] == ["fp1604", "fp1608"]
    cells = {one["id"]: one for one in made["cells"]}
    done = [cells[name] for name in order if cells[name]["status"] == "ok"]
    for name in ("steady_fps", "psnr_y", "latency_p95_ms", "build_s", "ssim"):
        keys = [float(key) for key, _ in column(root, METRICS[name].heading)]
        assert keys == pytest.approx([median(one, name) for one in done])
    assert [key for key, _ in column(root, "#")] == [*"12345678", "", ""]
    assert [int(key) for key, _ in column(root, "Variant")] == [made["cells"].index(one) for one in done]
    heads = {head.text(): head.attributes for head in root.all("thead")[0].all("th") if head.all("button")}
    assert heads["#"]["aria-sort"] == "ascending"
    assert heads["Steady speedfps"]["data-first"] == "descending"
    assert heads["Latency p95ms"]["data-first"] == "ascending"
    assert Counter("aria-sort" in one for one in heads.values())[True] == 1


def test_a_value_that_is_missing_is_sorted_as_such() -> None:
    made = report(cell("a", {"x": "1"}, fps=1.0, ssim=0.5), cell("b", {"x": "2"}, fps=2.0))
    assert column(parsed(report_page(made)), "SSIM") == [("", "–"), ("0.5", "0.5000")]


def test_the_best_of_each_column_and_the_spread() -> None:
    root = parsed(report_page(reports.super_resolution()))
    speeds = [text for _, text in column(root, "Steady speed")]
    assert [text for text in speeds if "(best)" in text] == ["267.0 (best)266.5–267.3"]
    assert speeds[0] == "181.7181.4–181.9"
    assert [text for _, text in column(root, "PSNR-Y")].count("identical (best)") == 4
    assert not [text for _, text in column(root, "Output size") if "(best)" in text]
    assert [text for _, text in column(root, "Engine size") if "(best)" in text] == ["1.6 (best)"] * 2


def test_rows_have_as_many_columns_as_the_head() -> None:
    for maker in (
        reports.super_resolution,
        reports.detectors,
        reports.without_quality,
        reports.failures,
        reports.equals,
    ):
        root = parsed(report_page(maker()))
        width = len(root.all("thead")[0].all("th"))
        for row in root.all("tbody")[0].all("tr"):
            cells = [node for node in row.children if isinstance(node, Node)]
            assert sum(int(node.attributes.get("colspan", "1")) for node in cells) == width
