"""Check the CSV as a program and as a spreadsheet read it."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from bmfgraph.sweep.report.csv_table import csv_table
from tests.sweep.reports import cell, error, failures, report, super_resolution


def rows(made: dict[str, Any]) -> list[dict[str, str]]:
    text = csv_table(made)
    table = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True))
    assert {len(row) for row in table} == {len(table[0])}
    return [dict(zip(table[0], row, strict=True)) for row in table[1:]]


def test_every_cell_has_a_row_with_all_its_numbers() -> None:
    made = super_resolution()
    read = rows(made)
    assert [row["id"] for row in read] == [one["id"] for one in made["cells"]]
    for row, one in zip(read, made["cells"], strict=True):
        assert row["status"] == one["status"]
        assert row["command"] == one["command"]
        assert {key: row[key] for key in one["varied"]} == one["varied"]
        for name, parts in one["metrics"].items():
            for part in ("median", "min", "max"):
                assert float(row[f"{name}_{part}"]) == pytest.approx(parts[part], rel=1e-9)
    missing = [row for row in read if not row["steady_fps_median"]]
    assert [(row["error_code"], row["error"]) for row in missing] == [
        ("E612", "pipeline.nodes.upscale: int8 needs calibration data"),
        ("E803", "node 'upscale' (inference), frame 0: CUDA error: an illegal memory access"),
    ]
    # Nobody measured the reference against itself.
    assert read[0]["psnr_y_median"] == ""


def test_the_head() -> None:
    head = csv_table(report(cell("a", {"x.y": "1"}, fps=3), cell("b", {"z": "2"}, ssim=1))).split("\r\n")[0]
    assert head == ("id,status,x.y,z,fps_median,fps_min,fps_max,ssim_median,ssim_min,ssim_max,error_code,error,command")
    assert csv_table(report()).split("\r\n") == ["id,status,error_code,error,command", ""]


def test_several_errors_share_a_field() -> None:
    row = rows(failures())[0]
    assert row["error_code"] == "E805 W103"
    assert row["error"] == "node 'sink' (encoder), frame 0: the disk is full\nthe input has no audio"


def test_lines_end_as_the_standard_says_and_quotes_are_doubled() -> None:
    made = cell("a", {"model": 'the "best", or so'})
    assert '"the ""best"", or so"' in csv_table(report(made))
    assert csv_table(report(made)).endswith("\r\n")
    assert rows(report(made))[0]["model"] == 'the "best", or so'


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "＝1",
        "|calc",
        "%x",
        "=cmd|' /C calc'!A0",
        "-",
    ],
)
def test_no_text_is_a_formula(text: str) -> None:
    bad = cell("a", {"key": text, text: "1"}, "failed")
    bad["errors"] = [error("E805", "", text)]
    bad["command"] = text
    row = rows(report(bad))[0]
    assert row["key"] == row["error"] == row["command"] == f"'{text}"
    assert row[f"'{text}"] == "1"


@pytest.mark.parametrize("text", ["-1", "+3.5", "-.5e-3", "4", "fp16", "a=b", ""])
def test_numbers_and_words_stay_as_they_are(text: str) -> None:
    assert rows(report(cell("a", {"key": text})))[0]["key"] == text


def test_what_is_no_number_is_left_out() -> None:
    made = cell("a", {}, fps=(2.0, float("nan"), float("inf")), ssim=0.1 + 0.2)
    row = rows(report(made))[0]
    assert [row[f"fps_{part}"] for part in ("median", "min", "max")] == ["2", "", ""]
    assert row["ssim_median"] == "0.3"


def test_letters_beyond_ascii_are_announced() -> None:
    plain, other = (csv_table(report(cell("a", {"input": name}))) for name in ("e.mp4", "é.mp4"))
    assert plain.startswith("id,")
    assert other.startswith("\ufeffid,")
    assert rows(report(cell("a", {"input": "é\0.mp4"})))[0]["input"] == "é\ufffd.mp4"
