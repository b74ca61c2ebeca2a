"""Test that files of records from anywhere are refused with a code, and cannot take all memory."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bmfgraph.errors import RunError
from bmfgraph.media import rle
from bmfgraph.media.accuracy import compare, csv_table, records

BOX = {"label": "cat", "score": 0.5, "box": [0, 0, 4, 4]}
GOOD = {"pts": 0, "detections": [BOX]}


def refusal(path: Path, other: Any = GOOD) -> str:
    """Return the message of a comparison with a file, as predictions."""
    reference = path.with_name("truth.jsonl")
    reference.write_text(json.dumps(other) + "\n")
    with pytest.raises(RunError) as caught:
        compare(path, reference)
    problem = caught.value.problems[0]
    assert (problem.code, problem.path, bool(problem.hint)) == ("E804", "reference", True)
    return caught.value.cause


def box(**values: Any) -> str:
    return json.dumps({"pts": 0, "detections": [BOX | values]})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (box(score=float("nan")), "detections.0.score: Input should be a finite number"),
        (box(box=[0, 0, 1e300, 1]), "detections.0.box.2: Input should be less than or equal to 1000000000"),
        (box(box={"x": 1}), "detections.0.box: Input should be a valid array"),
        (box(angle=float("inf")), "detections.0.angle: Input should be a finite number"),
        (box(keypoints=[[1]]), "detections.0.keypoints.0."),
        (box(keypoints=[[1, 2, 3]] * 1001), "detections.0.keypoints: Tuple should have at most 1000 items"),
        (
            box(mask={"size": [10**9, 10**9], "counts": "0"}),
            "detections.0.mask: a mask of 1000000000 x 1000000000 pixels is too large; at most 67,108,864 pixels",
        ),
        (box(mask={"size": [2, 2], "counts": "9"}), "detections.0.mask: the counts of a mask do not add up"),
        (box(mask="4"), "detections.0.mask: Input should be"),
        ('{"pts": 0, "segments": [{"label": "road"}]}', "segments.0.mask: Field required"),
        ('{"pts": 0, "classes": [{"label": 4}]}', "classes.0.label: Input should be a valid string"),
        ('{"pts": 0, "classes": {"label": "cat"}}', "classes: Input should be a valid array"),
        ('{"pts": 0, "texts": [{"text": "' + "a" * 10_001 + '"}]}', "texts.0.text: String should have at most 10000"),
        ('{"pts": 0, "detections": ' + "[" * 100_000, "Invalid JSON: recursion limit exceeded"),
        ('{"pts": 0, "embedding": [0.5]}', "none of detections, classes, segments, texts"),
        ("3", "Input should be an object"),
    ],
)
def test_lines_of_another_form(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "found.jsonl"
    path.write_text(line + "\n")
    assert refusal(path).startswith(f"{str(path)!r}, line 1: {reason}"), refusal(path)


def test_an_array_that_is_nested_too_deeply(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_text("[" * 100_000)
    assert refusal(path).startswith(f"{str(path)!r} is not a JSON document (")


IMAGE, CATEGORY = {"id": 7, "pts": 0}, {"id": 3, "name": "cat"}
ANNOTATION = {"image_id": 7, "category_id": 3, "bbox": [0, 0, 4, 4], "score": 0.5}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"images": [{"id": 7}]}, ": images.0.pts: Field required"),
        ({"images": None}, ": images: Input should be a valid tuple"),
        ({"annotations": [ANNOTATION | {"category_id": 4}]}, ": annotations.0 has an unknown image or category"),
        ({"annotations": [ANNOTATION | {"iscrowd": 1}]}, ": annotations.0.iscrowd: Input should be 0"),
        ({"annotations": [ANNOTATION | {"bbox": [1e9, 0, 1, 1]}]}, ": box.2: Input should be less than or equal to"),
        ({"annotations": [ANNOTATION | {"keypoints": [1]}]}, ": keypoints.0."),
        (
            {"annotations": [ANNOTATION | {"segmentation": [[0, 0, 4, 4]]}]},
            ": annotations.0.segmentation: Input should be",
        ),
        ({"images": [IMAGE, IMAGE | {"id": 8}]}, ", line 2: a second line for the frame at 0 s"),
    ],
)
def test_documents_of_another_form(tmp_path: Path, document: dict[str, Any], reason: str) -> None:
    path = tmp_path / "found.json"
    path.write_text(json.dumps({"images": [IMAGE], "categories": [CATEGORY], "annotations": []} | document))
    assert refusal(path).startswith(f"{str(path)!r}{reason}"), refusal(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("pts,text\n0," + "a" * 10_001 + "\n", ", line 2: texts.0.text: String should have at most 10000"),
        ("pts,label,mask\n0,road,[\n", ", line 2: mask is not JSON (Expecting value"),
        ("pts,label,mask\n0,road," + "[" * 100_000 + "\n", ", line 2: mask is not JSON (maximum recursion depth"),
        ("pts,label,mask\n0,road,\n", ", line 2: segments.0.mask: Field required"),
        ("text\nexit\n", ", line 1: no column pts"),
        ("pts,label\n0," + "a" * 200_000 + "\n", " is not a readable text file (field larger than field limit"),
    ],
)
def test_tables_of_another_form(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "found.csv"
    path.write_text(text)
    assert refusal(path).startswith(f"{str(path)!r}{reason}"), refusal(path)


def test_files_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines, array, rows = (tmp_path / f"found.{form}" for form in ("jsonl", "json", "csv"))
    many = "".join(json.dumps({"pts": number, "detections": []}) + "\n" for number in range(5))
    lines.write_text(many)
    array.write_text(f"[{', '.join(many.splitlines())}]")
    rows.write_text("pts,label,score,x1,y1,x2,y2\n" + "0,cat,0.5,0,0,1,1\n" * 5)
    for module in (records, csv_table):
        monkeypatch.setattr(module, "MAX_ITEMS", 4)
    assert refusal(lines) == f"{str(lines)!r}, line 5: more than 4 frames and items"
    assert refusal(array) == f"{str(array)!r}, line 5: more than 4 frames and items"
    assert refusal(rows) == f"{str(rows)!r}, line 6: more than 4 rows"
    monkeypatch.setattr(records, "_MAX_PER_FRAME", 0)
    assert refusal(rows) == f"{str(rows)!r}, line 6: more than 4 rows"
    lines.write_text(json.dumps(GOOD))
    assert refusal(lines) == f"{str(lines)!r}, line 1: 1 detections in a frame; at most 0 are compared"
    monkeypatch.setattr(records, "_MAX_BYTES", 100)
    lines.write_text(many)
    assert refusal(lines) == f"{str(lines)!r} is larger than 100 bytes"
    monkeypatch.setattr(records, "_MAX_LINE", 20)
    assert refusal(lines) == f"{str(lines)!r} has a line of more than 20 characters"
    monkeypatch.setattr(records, "_MAX_DOCUMENT", 100)
    assert refusal(array) == f"{str(array)!r} is a JSON document of more than 100 characters"


@pytest.mark.parametrize("start", ["", "["])
def test_gigabytes_without_a_line_end_take_little_memory(tmp_path: Path, start: str) -> None:
    path = tmp_path / "found.jsonl"
    with path.open("wb") as file:
        file.write(start.encode())
        # The file is sparse: it takes no place on the disk.
        file.truncate(8 << 30)
    tracemalloc.start()
    try:
        message = refusal(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "of more than" in message
    assert peak < 300 << 20


def test_masks_and_keypoints_that_do_not_fit(tmp_path: Path) -> None:
    small, large = (rle.encode(np.ones(size, bool)) for size in ((2, 3), (3, 2)))
    path = tmp_path / "found.jsonl"
    for key, value, other, reason in (
        ("mask", small, large, "a frame has masks of 2 x 3 and of 3 x 2 pixels"),
        ("keypoints", [[1, 2]], [[1, 2], [3, 4]], "a frame has boxes of the same label with 1 and with 2 keypoints"),
    ):
        path.write_text(json.dumps({"pts": 0, "detections": [BOX | {key: value}]}))
        assert refusal(path, {"pts": 0, "detections": [BOX | {key: other}]}) == reason
    path.write_text(json.dumps({"pts": 0, "segments": [{"label": "road", "mask": small}]}))
    truth = {"pts": 0, "segments": [{"label": "road", "mask": large}]}
    assert refusal(path, truth) == "a frame has masks of 2 x 3 and of 3 x 2 pixels"


def test_files_of_other_tasks(tmp_path: Path) -> None:
    path = tmp_path / "found.jsonl"
    path.write_text('{"pts": 0, "classes": [], "texts": []}\n')
    reference = str(path.with_name("truth.jsonl"))
    assert refusal(path) == f"{reference!r} has detections, and {str(path)!r} has classes, texts"


def test_boxes_without_masks_or_keypoints(tmp_path: Path) -> None:
    """A prediction must have what the ground truth has.

    Only the second box is right without a mask: a precision of 1/2 at 51 of 101 recalls. Ground truth without keypoints
    does not count.
    """
    extra = {"mask": rle.encode(np.ones((4, 4), bool)), "keypoints": [[1, 1, 1]]}
    other = BOX | {"box": [20, 20, 30, 30]}
    plain, both = tmp_path / "plain.jsonl", tmp_path / "both.jsonl"
    plain.write_text(json.dumps({"pts": 0, "detections": [BOX, other]}))
    both.write_text(json.dumps({"pts": 0, "detections": [BOX | extra, other]}))
    result = compare(plain, both)
    assert (result["map"], result["mask_map"], result["oks_map"]) == (1.0, round(51 / 2 / 101, 6), 0.0)
    assert "mask_map" not in compare(both, plain)
    same = compare(both, both)
    assert (same["mask_map"], same["oks_map"]) == (1.0, 1.0)
