"""Test the written lines by reading them with json and csv."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bmfgraph.nodes.records import RecordsParams
from bmfgraph.plan.types import ClassesSpec, DetectionsSpec, EmbeddingsSpec, Placement, SegmentsSpec, TextsSpec
from bmfgraph.stages.items import Result
from bmfgraph.stages.records import Write, records_of
from bmfgraph.stages.results import Box, Classes, Detections, Embedding, Masks, Segments, Texts
from tests.conftest import FrameMaker
from tests.tools import frames, opened

COLUMNS = ("label", "score", "x1", "y1", "x2", "y2")
LABELS = ("face", "hand", 'a "quoted", label')


@pytest.fixture
def detections(video_frame: FrameMaker) -> list[Detections]:
    return [
        Detections.of(video_frame(0), Box("face", 0.98768, 1.234, 2.0, 30.005, 40.0), Box("hand", 0.5, 0, 0, 1, 1)),
        Detections.of(video_frame(1)),
        Detections.of(video_frame(2, pts=5), Box('a "quoted", label', 1.0, 0, 0, 1, 1)),
    ]


def write(path: Path, form: str, items: Sequence[Result | tuple[Result, ...]], **more: Any) -> None:
    params = {"columns": COLUMNS, "labels": LABELS, "width": 64, "height": 48, **more}
    stage = Write("table", RecordsParams(str(path), form, **params))
    stage.open()
    for item in items:
        assert list(stage.process(*(item if isinstance(item, tuple) else (item,)))) == []
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
    assert tuple(rows[0]) == ("frame", "pts", *COLUMNS)
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


def test_frames_together_are_written_as_each_alone(tmp_path: Path, video_frame: FrameMaker) -> None:
    random = np.random.default_rng(3)
    found = []
    for index, count in enumerate((2, 0, 5, 1)):
        corners = random.uniform(0, 64, (count, 4)).astype(np.float32)
        scores, classes = random.uniform(0, 1, count).astype(np.float32), random.integers(0, 3, count)
        points = random.uniform(0, 1, (count, 2, 3)).astype(np.float32)
        others: dict[str, Any] = {
            "ids": np.arange(count),
            "keypoints": points,
            "attributes": {"age": np.arange(count) * 2},
        }
        found.append(Detections(video_frame(index, pts=7 * index), corners, scores, classes, LABELS, **others))
    texts = [Texts(result.frame, ("a",), np.ones(1, np.float32), np.ones((1, 4), np.float32)) for result in found]
    write(tmp_path / "alone.jsonl", "jsonl", list(zip(found, texts, strict=True)))
    stage = opened(Write("table", RecordsParams(str(tmp_path / "together.jsonl"), "jsonl")))
    assert list(stage.process_batch(list(zip(found, texts, strict=True)))) == []
    assert list(stage.finish()) == []
    assert (tmp_path / "together.jsonl").read_text() == (tmp_path / "alone.jsonl").read_text()
    assert records_of(found) == [result.record() for result in found]
    assert [result.frame.seconds for result in found] == [float(result.time) for result in found]
    assert records_of(texts) == [result.record() for result in texts]
    assert records_of([found[0], texts[0]]) == [found[0].record(), texts[0].record()]
    assert records_of([]) == []
    # Their corners would move to the next frame.
    odd = replace(found[0], corners=found[2].corners)
    with pytest.raises(ValueError, match="argument") as caught:
        records_of([found[2], odd])
    assert caught.value.item is odd  # type: ignore[attr-defined]


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


def test_frames_without_a_result_can_be_left_out(tmp_path: Path, detections: list[Detections]) -> None:
    for form in ("jsonl", "csv", "coco"):
        write(tmp_path / form, form, detections, empty_frames=False)
    lines = [json.loads(line)["frame"] for line in (tmp_path / "jsonl").read_text().splitlines()]
    with (tmp_path / "csv").open(newline="") as file:
        rows = [row["frame"] for row in csv.DictReader(file)]
    assert (lines, rows) == ([0, 2], ["0", "0", "2"])
    assert [image["frame"] for image in json.loads((tmp_path / "coco").read_text())["images"]] == [0, 2]


def test_parquet_has_the_rows_of_csv(tmp_path: Path, detections: list[Detections]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write(tmp_path / "a.parquet", "parquet", detections)
    table = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert [(row["frame"], row["pts"], row["label"], row["x1"]) for row in table] == [
        (0, 0.0, "face", pytest.approx(1.23)),
        (0, 0.0, "hand", 0.0),
        (1, 0.04, None, None),
        (2, 0.2, 'a "quoted", label', 0.0),
    ]
    write(tmp_path / "none.parquet", "parquet", [])
    assert parquet.read_table(tmp_path / "none.parquet").num_rows == 0


def test_yolo_is_a_zip_of_a_text_file_for_each_frame(tmp_path: Path, detections: list[Detections]) -> None:
    write(tmp_path / "a.zip", "yolo", detections)
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        texts = {name: file.read(name).decode() for name in file.namelist()}
    assert list(texts) == ["labels/000000.txt", "labels/000001.txt", "labels/000002.txt", "classes.txt"]
    # The box of 1.23, 2, 30, 40 in a frame of 64x48.
    assert texts["labels/000000.txt"].splitlines()[0] == "0 0.243984 0.437500 0.449531 0.791667 0.9877"
    assert texts["labels/000001.txt"] == ""
    assert texts["classes.txt"] == 'face\nhand\na "quoted", label\n'


def objects(frame: Any) -> Detections:
    """Return an object with everything that an object can have. Its mask fills the left half of the frame."""
    masks = Masks(np.array([[[1, 0]]], np.float32), 0.5, Placement(4, 2, 2, 1, 0.5, 0.5, 0, 0))
    return Detections(
        frame,
        np.array([[0, 0, 4, 2]], np.float32),
        np.array([0.5], np.float32),
        np.array([1]),
        ("face", "hand"),
        ids=np.array([7]),
        angles=np.array([0.25], np.float32),
        keypoints=np.array([[[1, 2, 0.5], [3, 4, 1]]], np.float32),
        masks=masks,
        attributes={"colour": np.array(["red"])},
    )


def test_coco_holds_annotations_images_and_categories(tmp_path: Path, video_frame: FrameMaker) -> None:
    more = {"labels": ("face", "hand"), "keypoints": ("left", "right"), "skeleton": ((0, 1),), "width": 4, "height": 2}
    write(tmp_path / "a.json", "coco", [Detections.of(video_frame(0)), objects(video_frame(1))], **more)
    document = json.loads((tmp_path / "a.json").read_text())
    size = {"width": 4, "height": 2}
    assert document["images"] == [
        {"id": 1, "file_name": "000000.png", "frame": 0, "pts": 0.0, **size},
        {"id": 2, "file_name": "000001.png", "frame": 1, "pts": 0.04, **size},
    ]
    assert document["categories"][1] == {"id": 2, "name": "hand", "keypoints": ["left", "right"], "skeleton": [[1, 2]]}
    (annotation,) = document["annotations"]
    # Columns first: 4 pixels of the left half, then 4 of the right one; COCO's runs begin with the background.
    assert annotation == {
        "id": 1, "image_id": 2, "category_id": 2, "bbox": [0.0, 0.0, 4.0, 2.0], "area": 4, "iscrowd": 0, "score": 0.5,
        "segmentation": {"size": [2, 4], "counts": "044"},
        "keypoints": [1.0, 2.0, 2, 3.0, 4.0, 2], "num_keypoints": 2,
    }  # fmt: skip


def test_all_results_of_a_frame_are_in_one_line(tmp_path: Path, video_frame: FrameMaker) -> None:
    frame = video_frame(0)
    results = (
        objects(frame),
        Classes(frame, np.array([0.75], np.float32), np.array([1]), ("day", "night")),
        Segments(frame, torch.tensor([[0, 255], [0, 255]], dtype=torch.uint8), ("road",)),
        Texts(frame, ("grüße",), np.array([0.5], np.float32), np.array([[0, 0, 4, 2]], np.float32)),
        Embedding(frame, np.array([0.5, -1], np.float32)),
    )
    write(tmp_path / "a.jsonl", "jsonl", [results])
    assert json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8")) == {
        "frame": 0,
        "pts": 0.0,
        "detections": [
            {
                "id": 7, "label": "hand", "score": 0.5, "box": [0.0, 0.0, 4.0, 2.0], "angle": 0.25,
                "keypoints": [[1.0, 2.0, 0.5], [3.0, 4.0, 1.0]], "mask": {"size": [2, 4], "counts": "044"},
                "colour": "red",
            }
        ],
        "classes": [{"label": "night", "score": 0.75}],
        "segments": [{"label": "road", "pixels": 2, "mask": {"size": [2, 2], "counts": "022"}}],
        "texts": [{"text": "grüße", "score": 0.5, "box": [0.0, 0.0, 4.0, 2.0]}],
        "embedding": [0.5, -1.0],
    }  # fmt: skip


def test_a_table_has_the_columns_that_the_type_of_the_edge_promises(tmp_path: Path, video_frame: FrameMaker) -> None:
    frame, source = video_frame(0), frames(4, 2)
    cases = (
        (DetectionsSpec(source, ("face", "hand"), True, True, ("a", "b")), objects(frame)),
        (ClassesSpec(source, ("day",)), Classes(frame, np.array([1], np.float32), np.array([0]), ("day",))),
        (SegmentsSpec(source, ("road",)), Segments(frame, torch.zeros(1, 1, dtype=torch.uint8), ("road",))),
        (TextsSpec(source), Texts(frame, ("a",), np.array([1], np.float32), np.array([[0, 0, 4, 2]], np.float32))),
        (EmbeddingsSpec(source, 2), Embedding(frame, np.array([0.5, -1], np.float32))),
    )
    for spec, result in cases:
        write(tmp_path / "a.csv", "csv", [result], columns=spec.columns())
        with (tmp_path / "a.csv").open(newline="") as file:
            (row,) = csv.DictReader(file)
        assert tuple(row) == ("frame", "pts", *spec.columns())
        assert all(row.values()), row
    write(tmp_path / "a.csv", "csv", [objects(frame)], columns=cases[0][0].columns())
    text = (tmp_path / "a.csv").read_text().splitlines()
    assert text[0] == "frame,pts,label,score,x1,y1,x2,y2,angle,mask,a_x,a_y,a_score,b_x,b_y,b_score"
    assert text[1].startswith("0,0.0,hand,0.5,0.0,0.0,4.0,2.0,0.25,")
    assert text[1].endswith(",1.0,2.0,0.5,3.0,4.0,1.0")


def test_numbers_that_are_not_finite_are_null(tmp_path: Path, video_frame: FrameMaker) -> None:
    write(tmp_path / "a.jsonl", "jsonl", [Embedding(video_frame(0), np.array([np.nan, 1, np.inf], np.float32))])
    assert json.loads((tmp_path / "a.jsonl").read_text())["embedding"] == [None, 1, None]
