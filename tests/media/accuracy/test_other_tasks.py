"""Test the metrics of classes, label maps and texts, against torchmetrics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_jaccard_index
from torchmetrics.functional.text import char_error_rate

from bmfgraph.media import rle
from bmfgraph.media.accuracy import compare
from bmfgraph.media.accuracy.texts import edits
from tests.media.accuracy.files import Record, write

Corners = tuple[float, float, float, float]


def test_classes(tmp_path: Path) -> None:
    """Twelve classes; the records have the best seven."""
    random = np.random.default_rng(5)
    scores = random.random((60, 12))
    truth = np.where(random.random(60) < 0.4, scores.argmax(axis=1), random.integers(0, 12, 60))
    found = [
        {"classes": [{"label": f"c{index}", "score": row[index]} for index in np.argsort(-row)[:7]]} for row in scores
    ]
    wanted = [{"classes": [{"label": f"c{index}"}]} for index in truth]
    result = compare(write(tmp_path / "found.jsonl", found), write(tmp_path / "truth.jsonl", wanted))
    expected = [
        float(multiclass_accuracy(torch.tensor(scores), torch.tensor(truth), 12, average="micro", top_k=most))
        for most in (1, 5)
    ]
    assert [result["top1"], result["top5"]] == pytest.approx(expected, abs=1e-6)
    assert result.keys() == {"reference", "iou", "frames", "top1", "top5"}


def test_frames_without_a_class(tmp_path: Path) -> None:
    """A frame without ground truth does not count, and one without a prediction is wrong."""
    cat, dog = {"label": "cat"}, {"label": "dog"}
    # Without scores, the order counts.
    found = write(tmp_path / "a.jsonl", [{"classes": [cat]}, {"classes": [dog, cat]}, {"classes": []}])
    truth = write(tmp_path / "b.jsonl", [{"classes": []}, {"classes": [cat]}, {"classes": [cat]}])
    result = compare(found, truth)
    assert (result["frames"], result["top1"], result["top5"]) == (3, 0.0, 0.5)


def segments(label_map: np.ndarray) -> Record:
    """Return the record of a label map; number 0 has no label."""
    names = {number: f"label {number}" for number in range(1, 9)} | {8: "void"}
    numbers = [number for number in np.unique(label_map).tolist() if number]
    return {"segments": [{"label": names[number], "mask": rle.encode(label_map == number)} for number in numbers]}


def label_maps(random: np.random.Generator, low: int, high: int) -> np.ndarray:
    return np.kron(random.integers(low, high, (6, 5, 4)), np.ones((7, 9), int)).astype(np.int64)


def test_label_maps(tmp_path: Path) -> None:
    """Each pixel has one of five labels, in the ground truth also void; one label is only predicted."""
    random = np.random.default_rng(6)
    truth = label_maps(random, 1, 5)
    found = np.where(label_maps(random, 0, 2) > 0, truth, label_maps(random, 1, 6))
    truth[:, :5, :5] = 8
    result = compare(
        write(tmp_path / "found.jsonl", [*map(segments, found)]),
        write(tmp_path / "truth.jsonl", [*map(segments, truth)]),
    )
    arrays = torch.tensor(found), torch.tensor(truth)
    expected = multiclass_jaccard_index(*arrays, num_classes=9, average="macro", ignore_index=8)
    # Torchmetrics rounds to float32.
    assert result["miou"] == pytest.approx(float(expected), abs=1e-6)
    accuracy = multiclass_accuracy(*arrays, num_classes=9, average="micro", ignore_index=8)
    assert result["pixel_accuracy"] == pytest.approx(float(accuracy), abs=1e-6)
    assert result["label_iou"].keys() == {f"label {number}" for number in range(1, 6)}
    assert result["label_iou"]["label 5"] == 0.0


def test_pixels_without_a_label(tmp_path: Path) -> None:
    """Six pixels; right are the first column of the prediction and the pixel that neither file labels."""
    found = write(tmp_path / "a.jsonl", [segments(np.array([[1, 1, 2], [1, 0, 0]]))])
    truth = write(tmp_path / "b.jsonl", [segments(np.array([[1, 0, 2], [1, 2, 0]]))])
    result = compare(found, truth)
    assert result["label_iou"] == {"label 1": round(2 / 3, 4), "label 2": 0.5}
    assert (result["miou"], result["pixel_accuracy"]) == (round((2 / 3 + 1 / 2) / 2, 6), round(4 / 6, 6))


def test_a_later_segment_covers_an_earlier_one(tmp_path: Path) -> None:
    whole, part = np.ones((2, 2), bool), np.array([[True, False], [False, False]])
    lines = [{"label": "road", "mask": rle.encode(whole)}, {"label": "car", "mask": rle.encode(part)}]
    found = write(tmp_path / "a.jsonl", [{"segments": lines}])
    truth = write(tmp_path / "b.jsonl", [segments(np.array([[2, 1], [1, 1]]))])
    renamed = truth.read_text().replace("label 1", "road").replace("label 2", "car")
    truth.write_text(renamed)
    assert compare(found, truth)["label_iou"] == {"car": 1.0, "road": 1.0}


WORDS = ["Straße 17", "", "exit", "kitten", "Größe", "日本語", "a" * 40]


def test_texts(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    truth = [str(random.choice(WORDS)) for _ in range(40)]
    found = [
        "".join(letter for letter in text if random.random() < 0.8) + str(random.choice(WORDS[:3])) for text in truth
    ]
    result = compare(texts(tmp_path / "found.jsonl", *found), texts(tmp_path / "truth.jsonl", *truth))
    assert result["cer"] == pytest.approx(float(char_error_rate(found, truth)), abs=1e-6)
    assert result["exact_text"] == round(sum(a == b for a, b in zip(found, truth, strict=True)) / 40, 6)
    assert 0.2 < result["cer"] < 0.9
    assert 0 < result["exact_text"] < 0.5


def texts(path: Path, *words: str) -> Path:
    return write(path, [{"texts": [{"text": word, "score": 0.5}]} for word in words])


def test_the_edits_of_two_texts() -> None:
    """The distances of the textbook, in both orders."""
    for text, other, number in [("kitten", "sitting", 3), ("", "abc", 3), ("flaw", "lawn", 2), ("same", "same", 0)]:
        assert (edits(text, other), edits(other, text)) == (number, number)


def placed(*items: tuple[str, Corners | None]) -> Record:
    return {"texts": [{"text": text} | ({"box": list(box)} if box else {}) for text, box in items]}


LEFT, RIGHT = (0.0, 0.0, 10.0, 5.0), (20.0, 0.0, 30.0, 5.0)


@pytest.mark.parametrize(
    ("found", "cer", "exact"),
    [
        (placed(("stop", RIGHT), ("go", LEFT)), 0.0, 1.0),
        # Without boxes their order counts; the ground truth has six letters, and each word differs by three edits.
        (placed(("stop", None), ("go", None)), round((3 + 3) / 6, 6), 0.0),
        # A text without a partner is six letters too many or two too few.
        (placed(("stop", RIGHT)), round(2 / 6, 6), 0.5),
        (placed(("stop", RIGHT), ("go", LEFT), ("abcdef", (50, 0, 60, 5))), 1.0, 1.0),
        (placed(("stop", (20, 0, 30, 2)), ("go", LEFT)), round(8 / 6, 6), 0.5),
    ],
)
def test_texts_belong_together_by_their_boxes(tmp_path: Path, found: Record, cer: float, exact: float) -> None:
    truth = write(tmp_path / "b.jsonl", [placed(("go", LEFT), ("stop", RIGHT))])
    result = compare(write(tmp_path / "a.jsonl", [found]), truth)
    assert (result["cer"], result["exact_text"]) == (cer, exact)


@pytest.mark.parametrize(
    ("found", "truth", "cer", "exact"),
    [((), (), 0.0, 1.0), (("a",), (), 1.0, 0.0), ((), ("a",), 1.0, 0.0), (("",), ("",), 0.0, 1.0)],
)
def test_without_texts(tmp_path: Path, found: Sequence[str], truth: Sequence[str], cer: float, exact: float) -> None:
    nothing: Record = {"texts": []}
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for path, words in zip(paths, (found, truth), strict=True):
        write(path, [placed(*((word, None) for word in words)) if words else nothing])
    result = compare(*paths)
    assert (result["cer"], result["exact_text"]) == (cer, exact)


def test_all_tasks_of_the_reference_are_compared(tmp_path: Path) -> None:
    record: Record = {
        "detections": [{"label": "cat", "score": 0.5, "box": [0, 0, 4, 4]}],
        "classes": [{"label": "cat"}],
        "texts": [{"text": "cat"}],
        "embedding": [0.5, 0.25],
    }
    both = write(tmp_path / "a.jsonl", [record])
    only = write(tmp_path / "b.jsonl", [{"texts": [{"text": "cab"}]}])
    metrics = compare(both, both)
    assert (metrics["map"], metrics["top1"], metrics["cer"], metrics["exact_text"]) == (1.0, 1.0, 0.0, 1.0)
    assert compare(both, only).keys() == {"reference", "iou", "frames", "cer", "exact_text"}
