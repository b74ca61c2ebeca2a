"""Test the metrics of boxes, masks and keypoints against pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bmfgraph.media import rle
from bmfgraph.media.accuracy import compare
from tests.media.accuracy.files import Record, write

LABELS = ("cat", "dog", "person", "truck")
WIDTH, HEIGHT = 160, 120


def an_object(random: np.random.Generator, label: str, points: int) -> Record:
    """Return a box between 6 and 90 pixels wide, with an ellipse as its mask and keypoints in it."""
    width, height = np.exp(random.uniform(np.log(6), np.log(90), 2))
    left, top = random.uniform(0, WIDTH - width), random.uniform(0, HEIGHT - height)
    corners = np.array([left, top, left + width, top + height])
    x, y = random.uniform(left, left + width, points), random.uniform(top, top + height, points)
    return complete(label, corners, np.stack((x, y, random.integers(0, 3, points)), axis=1))


def complete(label: str, corners: np.ndarray, keypoints: np.ndarray) -> Record:
    left, top, right, bottom = corners
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    distance = ((2 * x - left - right) / (right - left)) ** 2 + ((2 * y - top - bottom) / (bottom - top)) ** 2
    box: Record = {"label": label, "box": corners.tolist(), "mask": rle.encode(distance <= 1)}
    return box | ({"keypoints": keypoints.tolist()} if len(keypoints) else {})


def detected(random: np.random.Generator, truth: Record) -> Record:
    """Return a prediction near a box, sometimes with another label."""
    corners = np.array(truth["box"])
    width, height = corners[2:] - corners[:2]
    corners += random.normal(0, 0.07, 4) * (width, height, width, height)
    corners[2:] = np.maximum(corners[2:], corners[:2] + 1)
    keypoints = np.array(truth.get("keypoints", np.empty((0, 3))))
    keypoints[:, :2] += random.normal(0, 0.06, (len(keypoints), 2)) * (width, height)
    label = truth["label"] if random.random() < 0.9 else str(random.choice(LABELS))
    return complete(label, corners, keypoints) | {"score": random.random()}


def clip(seed: int, frames: int, points: int) -> tuple[list[Record], list[Record]]:
    """Return the ground truth and the predictions of a clip. A third of the boxes have no labelled keypoint."""
    random = np.random.default_rng(seed)
    truth, predictions = [], []
    for _ in range(frames):
        # The last label is only predicted.
        boxes = [an_object(random, str(random.choice(LABELS[:3])), points) for _ in range(random.integers(0, 7))]
        for box in boxes[::3]:
            box |= {"keypoints": [[x, y, 0] for x, y, _ in box["keypoints"]]} if points else {}
        near = [detected(random, box) for box in boxes for _ in range(random.integers(0, 3))]
        wrong = [an_object(random, str(random.choice(LABELS)), points) for _ in range(random.integers(0, 3))]
        truth.append({"detections": boxes})
        predictions.append({"detections": near + [box | {"score": random.random() / 2} for box in wrong]})
    return truth, predictions


def as_coco(records: Sequence[Record]) -> list[dict[str, Any]]:
    boxes = [(frame, box) for frame, record in enumerate(records, 1) for box in record["detections"]]
    return [
        {
            "id": number,
            "image_id": frame,
            "category_id": LABELS.index(box["label"]) + 1,
            "bbox": [box["box"][0], box["box"][1], box["box"][2] - box["box"][0], box["box"][3] - box["box"][1]],
            "segmentation": box["mask"],
            "area": rle.area(box["mask"]),
            "iscrowd": 0,
            "keypoints": [number for point in box.get("keypoints", ()) for number in point],
            "num_keypoints": sum(point[2] > 0 for point in box.get("keypoints", ())),
            "score": box.get("score", 0),
        }
        for number, (frame, box) in enumerate(boxes, 1)
    ]


def coco_stats(truth: Sequence[Record], predictions: Sequence[Record], kind: str, sigmas: Any = None) -> list[float]:
    """Return the statistics of pycocotools: mean average precision, at 0.5, at 0.75, and so on."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": frame, "width": WIDTH, "height": HEIGHT} for frame in range(1, len(truth) + 1)],
            "categories": [{"id": number, "name": label} for number, label in enumerate(LABELS, 1)],
            "annotations": as_coco(truth),
        }
        coco.createIndex()
        results = COCO()
        results.dataset = coco.dataset | {"annotations": as_coco(predictions)}
        results.createIndex()
        evaluation = COCOeval(coco, results, kind)
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = sigmas
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return list(evaluation.stats)


@pytest.mark.parametrize("seed", [1, 2])
def test_boxes_and_masks(tmp_path: Path, seed: int) -> None:
    truth, predictions = clip(seed, 25, points=0)
    result = compare(write(tmp_path / "found.jsonl", predictions), write(tmp_path / "truth.jsonl", truth))
    boxes = coco_stats(truth, predictions, "bbox")
    assert [result["map"], result["map50_coco"], result["map75_coco"]] == pytest.approx(boxes[:3], abs=1e-6)
    assert result["mask_map"] == pytest.approx(coco_stats(truth, predictions, "segm")[0], abs=1e-6)
    assert 0.2 < result["mask_map"] < result["map50_coco"] < 0.9
    assert "oks_map" not in result


def test_a_hundred_boxes_of_a_frame_count(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    truth = [{"detections": [an_object(random, "cat", 0) for _ in range(90)]}]
    predictions = [{"detections": [detected(random, box) for box in truth[0]["detections"] for _ in range(2)]}]
    result = compare(write(tmp_path / "found.jsonl", predictions), write(tmp_path / "truth.jsonl", truth))
    assert len([box for box in predictions[0]["detections"] if box["label"] == "cat"]) > 150
    assert result["map"] == pytest.approx(coco_stats(truth, predictions, "bbox")[0], abs=1e-6)


@pytest.mark.parametrize(("points", "sigmas"), [(17, None), (5, np.full(5, 0.05))])
def test_keypoints(tmp_path: Path, points: int, sigmas: Any) -> None:
    truth, predictions = clip(points, 25, points)
    result = compare(write(tmp_path / "found.jsonl", predictions), write(tmp_path / "truth.jsonl", truth))
    expected = coco_stats(truth, predictions, "keypoints", sigmas)[0]
    assert result["oks_map"] == pytest.approx(expected, abs=1e-6)
    assert 0.05 < result["oks_map"] < 0.95
