"""Test that every format of the records node is read as it was written."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bmfgraph.media.accuracy import compare
from bmfgraph.media.accuracy.records import read
from bmfgraph.nodes.records import RecordsParams
from bmfgraph.plan.types import ClassesSpec, DetectionsSpec, Placement, ResultSpec, SegmentsSpec, TextsSpec
from bmfgraph.stages.items import Result
from bmfgraph.stages.records import Write
from bmfgraph.stages.results import Box, Classes, Detections, Masks, Segments, Texts
from tests.conftest import FrameMaker
from tests.tools import frames

LABELS = ("face", 'a "quoted", label')


def written(folder: Path, spec: ResultSpec, items: Sequence[Result], formats: str, **more: Any) -> list[Path]:
    """Write results in several formats."""
    paths = []
    for form in formats.split():
        path = folder / f"{form}.{'json' if form == 'coco' else form}"
        stage = Write("table", RecordsParams(str(path), form, columns=spec.columns(), labels=LABELS, **more))
        stage.open()
        for item in items:
            assert list(stage.process(item)) == []
        assert list(stage.finish()) == []
        paths.append(path)
    return paths


def test_detections(tmp_path: Path, video_frame: FrameMaker) -> None:
    detections = [
        Detections.of(video_frame(0), Box("face", 0.98755, 1.234, 2.0, 30.005, 40.0), Box(LABELS[1], 0.5, 0, 0, 8, 8)),
        Detections.of(video_frame(1)),
        Detections.of(video_frame(2, pts=5), Box(LABELS[1], 1.0, 0, 0, 9, 9)),
    ]
    paths = written(tmp_path, DetectionsSpec(frames()), detections, "jsonl json csv coco", width=64, height=48)
    for path, other in itertools.product(paths, repeat=2):
        result = compare(path, other)
        assert (result["frames"], result["matched"], result["map"], result["mean_iou"]) == (3, 3, 1.0, 1.0)
        assert read(path, scored=True).whole == (path.suffix != ".csv")


def test_masks_keypoints_and_angles(tmp_path: Path, video_frame: FrameMaker) -> None:
    frame = video_frame(0)
    placement = Placement(64, 48, 64, 48, 1.0, 1.0, 0.0, 0.0)
    values = np.zeros((1, 48, 64), np.float32)
    values[:, 4:9, 3:11] = 1
    item = Detections(
        frame, *(np.array([[2, 2, 14, 12]], np.float32), np.array([0.75], np.float32), np.array([0])), LABELS,
        angles=np.array([0.25], np.float32),
        keypoints=np.array([[[4, 5, 0.5], [9, 8, 0.25]]], np.float32),
        masks=Masks(values, 0.5, placement),
    )  # fmt: skip
    spec = DetectionsSpec(frames(), masks=True, rotated=True, keypoints=("nose", "chin"))
    paths = written(tmp_path, spec, [item], "jsonl json csv coco", width=64, height=48)
    for path in paths:
        (box,) = read(path, scored=True).frames[0.0].detections or ()
        assert (box.label, box.score, box.box, box.mask) == (
            "face",
            0.75,
            (2, 2, 14, 12),
            item.record()["detections"][0]["mask"],
        )
        assert np.asarray(box.keypoints)[:, :2].tolist() == [[4, 5], [9, 8]]
        # COCO's form has no angle.
        assert box.angle == (0.0 if path.stem == "coco" else 0.25)
    result = compare(paths[2], paths[0])
    assert (result["map"], result["mask_map"], result["oks_map"]) == (1.0, 1.0, 1.0)


def test_other_results(tmp_path: Path, video_frame: FrameMaker) -> None:
    frame, scores = video_frame(0), np.array([0.75, 0.25], np.float32)
    corners = np.array([[0, 0, 9, 5], [0, 6, 9, 9]], np.float32)
    label_map = torch.tensor([[0, 1, 255], [0, 1, 255]], dtype=torch.uint8)
    for spec, item, key, value in (
        (ClassesSpec(frames()), Classes(frame, scores, np.array([1, 0]), LABELS), "top1", 1.0),
        (SegmentsSpec(frames()), Segments(frame, label_map, LABELS), "miou", 1.0),
        (TextsSpec(frames()), Texts(frame, ("no, exit", ""), scores, corners), "exact_text", 1.0),
    ):
        paths = written(tmp_path, spec, [item], "jsonl json csv")
        for path in paths:
            assert compare(path, paths[0])[key] == value
            assert read(path, scored=True).frames[0.0].tasks == [*item.record()]
