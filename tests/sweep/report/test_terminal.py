"""Check the table in a terminal of 100 columns."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from bmfgraph.sweep.report.terminal import closing_text, report_table
from tests.sweep import reports
from tests.sweep.reports import cell, report


def shown(made: object, width: int = 100, **options: Any) -> str:
    file = io.StringIO()
    Console(file=file, width=width, **options).print(made)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


TWO = """\
super_resolution: 2 ok

                 steady   memory   whole
   #   decoder      fps       MB     fps   state
 ────────────────────────────────────────────────
 ★ 1   nvdec       63.9      701    55.4   winner
   2   auto        41.0      512    38.1   ok
"""
MAKERS = [reports.super_resolution, reports.detectors, reports.without_quality, reports.failures, reports.equals]


def test_a_small_report() -> None:
    assert shown(report_table(reports.without_quality())) == TWO


@pytest.mark.parametrize("maker", MAKERS)
def test_reports_fit(maker: Any) -> None:
    made = maker()
    lines = shown(report_table(made)).splitlines()
    assert max(map(len, lines)) <= 100
    assert not any("…" in line for line in lines)
    firsts = [line.split() for line in lines if line.strip().startswith(("★", "–", *"123456789"))]
    assert len(firsts) == len(made["cells"])


def rows(made: dict[str, Any]) -> dict[str, str]:
    """What is behind the rank and varied values of each row."""
    lines = shown(report_table(made)).splitlines()
    return {" ".join(line.replace("★", " ").split()[:3]): line for line in lines}


def test_ranks_states_and_codes() -> None:
    found = rows(reports.super_resolution())
    assert found["1 fp16 4"].endswith("winner")
    assert found["1 fp16 4"].startswith(" ★")
    assert found["8 fp32 1"].endswith("reference, kept")
    assert "identical" in found["8 fp32 1"]
    assert found["– int8 4"].endswith("PSNR-Y 42.62 < 45 dB")
    assert found["– int8 1"].endswith("refused E612")
    assert found["– int8 8"].endswith("crashed E803")
    assert "–       –" in found["– int8 8"]
    assert sum("★" in line for line in found.values()) == 1
    found = rows(reports.equals())
    assert found["1 fp32 1"].endswith("as good")
    assert found["1 fp32 2"].endswith("as good")
    assert found["– fp16 1"].endswith("no difference here: same as fp32 · batch 1")
    assert not any("★" in line for line in found.values())


def test_what_the_objective_names_has_a_column() -> None:
    head = " ".join(shown(report_table(reports.detectors())).splitlines()[:5])
    for word in ("mAP@50", "recall", "steady", "whole", "p95", "memory"):
        assert word in head


def test_many_keys_share_a_column() -> None:
    keys = {f"group{number}.key": f"value{number}" for number in range(5)}
    text = shown(report_table(report(cell("a", keys, fps=3.0))))
    assert "variant" in text
    assert "value0 · value1 · value2 · value3 · value4" in text
    assert "the only variant" in shown(report_table(report(cell("a", {}, fps=3.0))))


def test_the_end_is_the_command_to_run() -> None:
    made = reports.super_resolution()
    lines = shown(closing_text(made), 60).splitlines()
    assert lines[0] == "Ship fp16 · batch 4"
    assert " ".join(lines[-2:]) == made["cells"][6]["command"]
    text = shown(closing_text(reports.failures()))
    assert text.splitlines() == [
        "No variant ran",
        "4 variants: 3 failed, 1 skipped.",
        "E805 the disk is full (3 variants)",
    ]


def test_words_are_no_markup() -> None:
    made = report(cell("a", {"in[red]put": "[bold]x[/bold].mp4"}, fps=3.0))
    made["pipeline"] = "[blink]name"
    text = shown(report_table(made)) + shown(closing_text(made))
    for word in ("in[red]put", "[bold]x[/bold].mp4", "[blink]name"):
        assert word in text


def test_the_winner_stands_out() -> None:
    text = shown(report_table(reports.super_resolution()), force_terminal=True, color_system="standard")
    bold = [line for line in text.splitlines() if "\x1b[1;32m" in line]
    assert len(bold) == 1
    assert "winner" in bold[0]
