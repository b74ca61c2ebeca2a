"""Test the written lines by reading them with json and csv."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.nodes.records import RecordsParams
from bmfgraph.stages.records import COLUMNS, Write
from bmfgraph.stages.results import Box, Detections
from tests.conftest import FrameMaker


@pytest.fixture
def detections(video_frame: FrameMaker) -> list[Detections]:
    return [
        Detections.of(video_frame(0), Box("face", 0.98768, 1.234, 2.0, 30.005, 40.0), Box("hand", 0.5, 0, 0, 1, 1)),
        Detections.of(video_frame(1)),
        Detections.of(video_frame(2, pts=5), Box('a "quoted", label', 1.0, 0, 0, 1, 1)),
    ]


def write(path: Path, form: str, items: list[Detections]) -> None:
    stage = Write("table", RecordsParams(str(path), form))
    stage.open()
    for item in items:
        assert list(stage.process(item)) == []
    assert list(stage.finish()) == []
    stage.close()


def test_json_lines_hold_a_line_for_every_frame(tmp_path: Path, detections: list[Detections]) -> None:
    path = tmp_path / "a.jsonl"
    write(path, "jsonl", detections)
    lines: list[Any] = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["frame"], line["pts"], len(line["detections"])) for line in lines] == [
        (0, 0.0, 2),
        (1, 0.04, 0),
        (2, 0.2, 1),
    ]
    assert lines[0]["detections"][0] == {"label": "face", "score": 0.9877, "box": [1.23, 2.0, 30.0, 40.0]}


def test_csv_holds_a_row_for_every_box(tmp_path: Path, detections: list[Detections]) -> None:
    path = tmp_path / "a.csv"
    write(path, "csv", detections)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["face", "hand", "", 'a "quoted", label']
    assert tuple(rows[0]) == COLUMNS
    assert rows[0] == {
        "frame": "0",
        "pts": "0.0",
        "label": "face",
        "score": "0.9877",
        "x1": "1.23",
        "y1": "2.0",
        "x2": "30.0",
        "y2": "40.0",
    }
    assert (rows[3]["frame"], rows[3]["pts"]) == ("2", "0.2")


@pytest.mark.parametrize(("form", "lines"), [("jsonl", 0), ("csv", 1)])
def test_nothing_found_in_no_frame(tmp_path: Path, form: str, lines: int) -> None:
    write(tmp_path / "a", form, [])
    assert len((tmp_path / "a").read_text().splitlines()) == lines


def test_closing_without_opening_and_twice(tmp_path: Path) -> None:
    stage = Write("table", RecordsParams(str(tmp_path / "no" / "a.csv"), "csv"))
    stage.close()
    with pytest.raises(FileNotFoundError):
        stage.open()
    stage.close()


def test_what_was_written_is_there_after_a_failure(tmp_path: Path, detections: list[Detections]) -> None:
    stage = Write("table", RecordsParams(str(tmp_path / "a.jsonl"), "jsonl"))
    stage.open()
    stage.process(detections[0])
    stage.close()
    stage.close()
    assert json.loads((tmp_path / "a.jsonl").read_text())["frame"] == 0


def test_json_is_an_array_with_an_object_for_every_frame(tmp_path: Path, detections: list[Detections]) -> None:
    write(tmp_path / "a.json", "json", detections)
    write(tmp_path / "a.jsonl", "jsonl", detections)
    write(tmp_path / "none.json", "json", [])
    array = json.loads((tmp_path / "a.json").read_text())
    assert array == [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert json.loads((tmp_path / "none.json").read_text()) == []


def test_csv_keeps_frames_without_a_box(tmp_path: Path, detections: list[Detections]) -> None:
    write(tmp_path / "a.csv", "csv", detections)
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == ["0", "0", "1", "2"]
    assert rows[2] == dict.fromkeys(COLUMNS, "") | {"frame": "1", "pts": "0.04"}
