"""Test precision, recall and average precision of boxes against values computed by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bmfgraph.errors import RunError
from bmfgraph.media.accuracy import compare
from bmfgraph.media.accuracy.shapes import box_iou
from tests.media.accuracy.files import write

BoxTuple = tuple[str, float | None, Sequence[float]]
Table = Callable[..., Path]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Write JSON Lines: ``table("a.jsonl", {0.0: [("face", 0.9, (0, 0, 10, 10))]})``."""

    def make(name: str, frames: dict[float, list[BoxTuple]], *, numbered: bool = True) -> Path:
        lines = []
        for number, (pts, boxes) in enumerate(frames.items()):
            detections = [
                {"label": label, "box": list(box)} | ({} if score is None else {"score": score})
                for label, score, box in boxes
            ]
            lines.append(({"frame": number} if numbered else {}) | {"pts": pts, "detections": detections})
        path = tmp_path / name
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    return make


def right(by: float) -> tuple[float, float, float, float]:
    """Return a box of 10x10, moved to the right. Its overlap with the box at 0 is (10 - by) / (10 + by)."""
    return (by, 0, 10 + by, 10)


def test_average_precision_computed_by_hand(table: Table) -> None:
    """Five predictions, in falling order right, wrong, right, wrong, right; four boxes in the ground truth.

    Precision after each: 1, 1/2, 2/3, 2/4, 3/5. Best at that recall or above: 1 for the first quarter of recall, 2/3
    for the second, 3/5 for the third, 0 for the last. (1 + 2/3 + 3/5) / 4 = 17/30.
    """
    there, elsewhere = right(0), right(100)
    predictions = table(
        "found.jsonl",
        {
            0.0: [("face", 0.9, there), ("face", 0.5, elsewhere)],
            0.04: [("face", 0.8, elsewhere), ("face", 0.7, there)],
            0.08: [("face", 0.4, right(2))],
            0.12: [],
        },
    )
    truth = table("truth.jsonl", {time: [("face", None, there)] for time in (0.0, 0.04, 0.08, 0.12)})
    result = compare(predictions, truth)
    assert result == {
        "reference": str(truth),
        "iou": 0.5,
        "frames": 4,
        "found": 5,
        "wanted": 4,
        "matched": 3,
        "precision": 0.6,
        "recall": 0.75,
        "map50": round(17 / 30, 4),
        # COCO takes the precision at 101 recalls: 26 up to 1/4, 25 up to 2/4, 25 up to 3/4, and 0 beyond. The third
        # match overlaps by 8/12, which is too little above 0.65.
        "map": round((4 * (26 + 25 * 2 / 3 + 25 * 3 / 5) / 101 + 6 * (26 + 25 * 2 / 3) / 101) / 10, 6),
        "map50_coco": round((26 + 25 * 2 / 3 + 25 * 3 / 5) / 101, 6),
        "map75_coco": round((26 + 25 * 2 / 3) / 101, 6),
        "mean_iou": round((1 + 1 + 8 / 12) / 3, 4),
        "labels": {"face": {"found": 5, "wanted": 4, "matched": 3, "ap": round(17 / 30, 4)}},
    }


def test_the_mean_is_taken_over_the_labels_of_the_reference(table: Table) -> None:
    """`face` is detected: 1. `hand` is never detected: 0. `foot` is not in the ground truth, and lowers precision."""
    predictions = table("a.jsonl", {0.0: [("face", 0.9, right(0)), ("foot", 0.8, right(20))]})
    truth = table("b.jsonl", {0.0: [("face", None, right(0)), ("hand", None, right(20))]})
    result = compare(predictions, truth)
    assert (result["precision"], result["recall"], result["map50"]) == (0.5, 0.5, 0.5)
    assert {label: values["ap"] for label, values in result["labels"].items()} == {"face": 1, "foot": 0, "hand": 0}
    assert result["labels"]["foot"] == {"found": 1, "wanted": 0, "matched": 0, "ap": 0}


def test_the_best_score_chooses_first_and_takes_the_nearest_box(table: Table) -> None:
    """Both predictions are nearest to the second box; the better score gets it, the other gets the first box."""
    truth = table("b.jsonl", {0.0: [("face", None, right(0)), ("face", None, right(2))]})
    predictions = table("a.jsonl", {0.0: [("face", 0.6, right(1.5)), ("face", 0.9, right(2))]})
    result = compare(predictions, truth)
    assert result["matched"] == 2
    assert result["mean_iou"] == round((1 + 8.5 / 11.5) / 2, 4)
    # No free box is left for a third prediction.
    crowd = table("c.jsonl", {0.0: [("face", score, right(1)) for score in (0.9, 0.8, 0.7)]})
    assert compare(crowd, truth)["precision"] == round(2 / 3, 4)


@pytest.mark.parametrize(
    ("iou", "key", "matched"), [(0.5, "map50", 2), (0.51, "map51", 1), (0.75, "map75", 1), (1.0, "map100", 0)]
)
def test_the_smallest_overlap_of_a_match(table: Table, iou: float, key: str, matched: int) -> None:
    """Overlaps of 9.5 / 10.5 = 0.905, and of exactly a half."""
    truth = table("b.jsonl", {0.0: [("face", None, right(0)), ("face", None, (50, 0, 60, 10))]})
    predictions = table("a.jsonl", {0.0: [("face", 0.9, right(0.5)), ("face", 0.8, (50, 0, 60, 5))]})
    result = compare(predictions, truth, iou=iou)
    assert (result["matched"], result[key]) == (matched, matched / 2)


@pytest.mark.parametrize("iou", [0, -0.5, 1.5, float("nan")])
def test_an_overlap_out_of_range(table: Table, iou: float) -> None:
    path = table("a.jsonl", {})
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        compare(path, path, iou=iou)


BOX: list[BoxTuple] = [("face", 0.9, right(0))]


@pytest.mark.parametrize(
    ("predictions", "truth", "value"),
    [({}, {}, 1.0), ({0.0: []}, {0.0: []}, 1.0), ({0.0: BOX}, {0.0: []}, 0.0), ({0.0: []}, {0.0: BOX}, 0.0)],
)
def test_without_boxes(
    table: Table, predictions: dict[float, list[BoxTuple]], truth: dict[float, list[BoxTuple]], value: float
) -> None:
    result = compare(table("a.jsonl", predictions), table("b.jsonl", truth))
    assert (result["precision"], result["recall"], result["map50"], result["mean_iou"]) == (value, value, value, None)


def test_boxes_of_no_size_are_wrong(table: Table) -> None:
    predictions = table("a.jsonl", {0.0: [("face", 0.9, (5, 5, 5, 5)), ("face", 0.8, (9, 9, 1, 1))]})
    result = compare(predictions, table("b.jsonl", {0.0: BOX}))
    assert (result["found"], result["matched"], result["precision"]) == (2, 0, 0.0)


def test_boxes_of_no_size_match_their_equals(table: Table) -> None:
    """A file equals itself, even if the network detected boxes beyond the edge of the image."""
    path = table("a.jsonl", {0.0: [("face", 0.9, (64, 5, 64, 9)), ("face", 0.8, (64, 20, 64, 30))]})
    assert compare(path, path)["map50"] == 1.0
    other = table("b.jsonl", {0.0: [("face", 0.9, (64, 5, 64, 9)), ("face", 0.8, (64, 20, 64, 31))]})
    assert compare(path, other)["matched"] == 1


def test_rotated_boxes() -> None:
    """A square and the same one turned by 45° share an octagon of 2(√2 - 1) times its area. 90° make it the same."""
    square, other = np.array([[0.0, 0, 10, 10]]), np.array([[0.0, 0, 10, 10], [30, 0, 40, 10]])
    octagon = 2 * (math.sqrt(2) - 1)
    overlaps = box_iou(square, other, np.zeros(1), np.full(2, math.pi / 4))
    assert overlaps == pytest.approx(np.array([[octagon / (2 - octagon), 0.0]]))
    assert box_iou(square, other, np.zeros(1), np.full(2, math.pi / 2)) == pytest.approx(np.array([[1.0, 0.0]]))
    # Clockwise in the picture: a wide box turns its right end down, onto a box below the middle.
    wide, below = np.array([[0.0, 0, 20, 2]]), np.array([[9.0, 1, 11, 11]])
    assert box_iou(wide, below, np.array([math.pi / 2]), np.zeros(1))[0, 0] == pytest.approx(20 / 40)
    right, left = np.array([[14.0, 5, 18, 9]]), np.array([[2.0, 5, 6, 9]])
    assert box_iou(wide, right, np.array([math.pi / 4]), np.zeros(1))[0, 0] > 0.1
    assert box_iou(wide, left, np.array([math.pi / 4]), np.zeros(1))[0, 0] == 0


def test_an_angle_counts(tmp_path: Path) -> None:
    box = {"label": "ship", "score": 0.5, "box": [0, 0, 40, 4]}
    predictions = write(tmp_path / "a.jsonl", [{"detections": [box | {"angle": 0.02}]}])
    across = write(tmp_path / "b.jsonl", [{"detections": [box | {"angle": math.pi / 2}]}])
    assert compare(predictions, write(tmp_path / "c.jsonl", [{"detections": [box]}]))["map50"] == 1.0
    assert compare(predictions, across)["map50"] == 0.0


# ------------------------------------------------------------------------------------------------- frames


def test_frames_are_joined_by_time(table: Table) -> None:
    """Matroska rounds 1001/30000 s to 33 ms. Lines may have any order, and frames may be missing."""
    predictions = table("a.jsonl", {0.0: BOX, 0.033: BOX, 0.067: BOX})
    truth = table("b.jsonl", {0.066733: BOX, 0.033367: BOX})
    result = compare(predictions, truth)
    assert (result["frames"], result["matched"], result["precision"], result["recall"]) == (3, 2, 0.6667, 1.0)


def test_a_frame_that_a_whole_clip_lacks(table: Table) -> None:
    predictions, truth = table("a.jsonl", {0.0: BOX, 0.04: []}), table("b.jsonl", {0.0: BOX, 9.0: BOX})
    assert refused(predictions, truth) == (
        f"{str(truth)!r} has a frame at 9 s, where {str(predictions)!r} has none: its 2 frames go from 0 s to 0.04 s"
    )


def test_frames_that_are_left_out_have_no_boxes(table: Table, tmp_path: Path) -> None:
    truth = table("b.jsonl", {0.0: BOX, 9.0: BOX})
    rows = tmp_path / "a.csv"
    rows.write_text("frame,pts,label,score,x1,y1,x2,y2\n0,0.0,face,0.9,0,0,10,10\n")
    for predictions in (rows, table("a.jsonl", {0.0: BOX}, numbered=False)):
        assert (compare(predictions, truth)["precision"], compare(predictions, truth)["recall"]) == (1.0, 0.5)
    nothing = compare(table("c.jsonl", {}), truth)
    assert (nothing["frames"], nothing["recall"]) == (2, 0.0)


# -------------------------------------------------------------------------------------------------- files


def test_labels_from_a_spreadsheet(table: Table, tmp_path: Path) -> None:
    """The file has a byte order mark, columns in another order, other columns, and no scores."""
    truth = tmp_path / "labels.CSV"
    truth.write_bytes(b"\xef\xbb\xbfwho,label,pts,x1,y1,x2,y2\r\nme,face,0,0,0,10,10\r\nme,face,0,20,0,30,10\r\n")
    result = compare(table("a.jsonl", {0.0: BOX}), truth)
    assert (result["precision"], result["recall"]) == (1.0, 0.5)


def test_two_frames_of_the_reference_at_one_time(table: Table) -> None:
    predictions, truth = table("a.jsonl", {0.0: BOX}), table("b.jsonl", {0.0: BOX, 0.0005: BOX})
    assert refused(predictions, truth) == (
        f"{str(truth)!r} has frames at 0 s and at 0.0005 s, which are the same frame of {str(predictions)!r}"
    )


def refused(predictions: Path, reference: Path) -> str:
    with pytest.raises(RunError) as caught:
        compare(predictions, reference)
    assert caught.value.hint
    problem = caught.value.problems[0]
    assert (problem.code, problem.path) == ("E804", "reference")
    return caught.value.cause


def line(**other: Any) -> str:
    return json.dumps({"frame": 0, "pts": 0.0, "detections": []} | other) + "\n"


def labelled(**other: Any) -> str:
    return line(detections=[{"label": "face", "score": 0.5, "box": [0, 0, 1, 1]} | other])


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.jsonl", line() + "{\n", ", line 2: Invalid JSON"),
        ("a.jsonl", line(pts=None), ", line 1: pts: Input should be a valid number"),
        ("a.jsonl", '{"pts": 0}', ", line 1: none of detections, classes, segments, texts"),
        ("a.jsonl", line(pts=float("nan")), ", line 1: pts: Input should be a finite number"),
        ("a.jsonl", line() + line(frame=1), ", line 2: a second line for the frame at 0 s"),
        ("a.jsonl", labelled(label=None), ", line 1: detections.0.label: Input should be a valid string"),
        ("a.jsonl", labelled(box=[1, 2, 3]), ", line 1: detections.0.box.3: Field required"),
        (
            "a.jsonl",
            labelled(box=[5, 0, 1, 1]),
            ", line 1: box [5.0, 0.0, 1.0, 1.0] is not in the order left, top",
        ),
        ("a.csv", "pts,label,x1,y1\n", ", line 1: no column x2, y2"),
        ("a.csv", "", ", line 1: no column pts, label, x1, y1, x2, y2"),
        ("a.csv", "pts,label,x1,y1,x2,y2\n0,face,0,0,1\n", ", line 2: detections.0.box.3: Input should be a valid"),
        ("a.csv", "pts,label,x1,y1,x2,y2\nsoon,face,0,0,1,1\n", ", line 2: pts: Input should be a valid number"),
    ],
)
def test_files_of_another_form(table: Table, tmp_path: Path, name: str, text: str, reason: str) -> None:
    wrong = tmp_path / name
    wrong.write_text(text)
    message = refused(table("found.jsonl", {0.0: BOX}), wrong)
    assert message.startswith(f"{str(wrong)!r}{reason}"), message


def test_files_that_cannot_be_read(table: Table, tmp_path: Path) -> None:
    predictions, binary = table("found.jsonl", {0.0: BOX}), tmp_path / "clip.jsonl"
    assert refused(predictions, tmp_path / "no.jsonl").endswith("cannot be read (No such file or directory)")
    assert refused(tmp_path, predictions).endswith("cannot be read (it is a folder)")
    binary.write_bytes(b"\xff\xfe\x00")
    assert "is not a readable text file" in refused(predictions, binary)


def test_predictions_need_a_score(table: Table) -> None:
    path = table("a.jsonl", {0.0: [("face", None, right(0))]})
    assert refused(path, path) == f"{str(path)!r}, line 1: a prediction has no score"
