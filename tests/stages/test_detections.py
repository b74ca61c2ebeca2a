"""Test the decoding of boxes against plain loops in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bmfgraph.errors import PlanError
from bmfgraph.nodes.detections import DetectionsParams
from bmfgraph.plan.types import Placement, Tiling
from bmfgraph.stages.boxes import above, best
from bmfgraph.stages.detections import Detect
from bmfgraph.stages.items import Frame, Sample
from bmfgraph.stages.nms import non_maximum_suppression, suppress_at_once
from tests.stages.detectors import Array, bundle, by_table, described, params
from tests.stages.object_detectors import FAMILIES
from tests.tools import opened

PLACE = Placement(640, 480, 320, 240, 0.5, 0.5, 0.0, 0.0)


def work(
    scores: Sequence[int] = (1, 3, 2), boxes: Sequence[int] = (1, 3, 4), place: Placement = PLACE, **decode: Any
) -> DetectionsParams:
    """Return the params of UltraFace's decoding for outputs of these shapes."""
    settings: dict[str, Any] = {"threshold": 0.5, "iou": 0.3, "labels": ("face",)}
    return params(bundle("ultraface", {"s": scores, "b": boxes}, place, **(settings | decode)))


def overlap(a: Array, b: Array) -> float:
    across = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    down = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return float(across * down / (areas - across * down)) if across * down else 0.0


def suppress(boxes: Array, scores: Array, labels: NDArray[np.int64], iou: float) -> list[int]:
    """Suppress greedily, by the definition."""
    kept: list[int] = []
    for index in sorted(range(len(scores)), key=lambda at: -scores[at]):
        if all(labels[index] != labels[better] or overlap(boxes[index], boxes[better]) <= iou for better in kept):
            kept.append(index)
    return kept


def random_boxes(count: int, seed: int) -> tuple[Array, Array, NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    corner = random.random((count, 2)) * 80
    boxes = np.concatenate([corner, corner + 5 + random.random((count, 2)) * 40], axis=1).astype(np.float32)
    return boxes, random.random(count).astype(np.float32), random.integers(0, 3, count)


@pytest.mark.parametrize("iou", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("count", [0, 1, 2, 30, 150, 700])
def test_suppression_is_the_plain_loop(count: int, iou: float) -> None:
    boxes, scores, labels = random_boxes(count, seed=count)
    actual = non_maximum_suppression(boxes, scores, labels, iou)
    assert actual.tolist() == suppress(boxes, scores, labels, iou)


def test_suppression_keeps_the_first_of_equals_and_survives_empty_boxes() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [5, 5, 5, 5], [9, 9, 2, 2]], np.float32)
    scores, labels = np.array([0.5, 0.5, 0.9, 0.8], np.float32), np.zeros(4, np.int64)
    assert non_maximum_suppression(boxes, scores, labels, 0.3).tolist() == [2, 3, 0]
    assert non_maximum_suppression(boxes, scores, np.array([0, 1, 0, 0]), 0.3).tolist() == [2, 3, 0, 1]


@pytest.mark.parametrize("count", [3, 511, 512, 513, 3000])
def test_a_long_chain_of_overlaps_is_settled_without_a_cap(count: int) -> None:
    scores = np.linspace(0.9, 0.1, count, dtype=np.float32)
    kept = non_maximum_suppression(chain(count), scores, np.zeros(count, np.int64), 0.3)
    assert kept.tolist() == list(range(0, count, 2))


def chain(count: int) -> Array:
    """Return a row of boxes; each overlaps its neighbours with an IoU of 1/3."""
    left = np.arange(count, dtype=np.float32) * 10
    return np.stack([left, left * 0, left + 20, left * 0 + 10], axis=1)


def at_once(boxes: Array, labels: NDArray[np.int64], valid: NDArray[np.bool_], iou: float) -> tuple[list[int], bool]:
    kept, settled = suppress_at_once(torch.from_numpy(boxes), torch.from_numpy(labels), torch.from_numpy(valid), iou)
    return kept.nonzero()[:, 0].tolist(), bool(settled)


def test_suppression_at_once_is_right_whenever_it_says_so() -> None:
    settled = 0
    for seed in range(60):
        count = (0, 1, 2, 12, 40, 120)[seed % 6]
        boxes, scores, labels = random_boxes(count, seed)
        order = np.argsort(-scores)
        boxes, scores, labels = boxes[order], scores[order], labels[order]
        valid = scores > 0.2
        for iou in (0.1, 0.3, 0.6):
            actual, sure = at_once(boxes, labels, valid, iou)
            settled += sure
            if sure:
                assert actual == suppress(boxes[valid], scores[valid], labels[valid], iou)
    assert settled > 120


def test_a_chain_of_overlaps_is_settled_or_called_unsettled() -> None:
    for count in range(1, 12):
        boxes, labels = chain(count), np.zeros(count, np.int64)
        actual, sure = at_once(boxes, labels, labels == 0, 0.3)
        assert sure is (count <= 6)
        if sure:
            assert actual == list(range(0, count, 2))
    # An invalid box, or one with another label, breaks the chain.
    boxes, labels = chain(11), np.zeros(11, np.int64)
    valid = np.arange(11) != 5
    assert at_once(boxes, labels, valid, 0.3) == ([0, 2, 4, 6, 8, 10], True)
    labels[5] = 1
    assert at_once(boxes, labels, labels >= 0, 0.3) == ([0, 2, 4, 5, 6, 8, 10], True)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_the_best_candidates_are_those_above_the_threshold(count: int, threshold: float) -> None:
    scores = torch.from_numpy(np.random.default_rng(count).random(count).astype(np.float32))
    chosen = best(1000)(scores)
    assert len(chosen) == count
    assert scores[chosen].tolist() == sorted(scores.tolist(), reverse=True)
    assert sorted(chosen[scores[chosen] > threshold].tolist()) == above(threshold)(scores).tolist()
    assert best(3)(scores).tolist() == chosen[:3].tolist()


def detect(scores: list[list[float]], boxes: list[list[float]], **options: Any) -> Any:
    tensors = {"s": torch.tensor([scores]), "b": torch.tensor([boxes])}
    stage = opened(Detect("faces", work(tensors["s"].shape, tensors["b"].shape, **options)))
    (actual,) = stage.process(Sample(tensors, (Frame(4),)))
    return actual


def test_boxes_come_back_in_source_pixels_best_first() -> None:
    actual = detect(
        [[0.4, 0.6], [0.1, 0.9], [0.2, 0.8], [0.9, 0.1]],
        [[0.5, 0.5, 0.75, 1.0], [0.0, 0.0, 0.25, 0.5], [0.01, 0.0, 0.25, 0.5], [0, 0, 1, 1]],
    )
    assert actual.index == 4
    assert [(box.label, round(box.score, 3)) for box in actual.boxes] == [("face", 0.9), ("face", 0.6)]
    best, other = actual.boxes
    assert (best.x1, best.y1, best.x2, best.y2) == pytest.approx((0, 0, 160, 240))
    assert (other.x1, other.y1, other.x2, other.y2) == pytest.approx((320, 240, 480, 480))


def test_letterbox_and_crop_are_undone_and_boxes_end_at_the_frame() -> None:
    # 640x360 letterboxed into 320x240: scale 0.5, 30 rows of bars above and below.
    boxed = Placement(640, 360, 320, 240, 0.5, 0.5, 0.0, 30.0)
    (box,) = detect([[0.0, 0.9]], [[0.0, 0.0, 0.5, 0.5]], place=boxed).boxes
    assert (box.x1, box.y1, box.x2, box.y2) == pytest.approx((0, 0, 320, 180))
    # 640x480, of which the central 320x240 was cropped without scaling.
    cropped = replace(boxed, source_height=480, scale_x=1.0, scale_y=1.0, left=-160.0, top=-120.0)
    (box,) = detect([[0.0, 0.9]], [[0.0, 0.0, 1.0, 1.0]], place=cropped).boxes
    assert (box.x1, box.y1, box.x2, box.y2) == pytest.approx((160, 120, 480, 360))
    (box,) = detect([[0.0, 0.9]], [[-1.0, -1.0, 9.0, 9.0]], place=cropped).boxes
    assert (box.x1, box.y1, box.x2, box.y2) == (0, 0, 640, 480)


def test_nothing_found_is_an_empty_list() -> None:
    assert detect([[0.9, 0.1]], [[0, 0, 1, 1]]).boxes == ()
    # A score equal to the threshold does not count, as in the authors' code.
    assert detect([[0.5, 0.5]], [[0, 0, 1, 1]]).boxes == ()


def test_labels_do_not_push_each_other_out() -> None:
    actual = detect([[0, 0.9, 0.1], [0, 0.1, 0.8]], [[0, 0, 1, 1]] * 2, labels=("face", "hand"))
    assert [box.label for box in actual.boxes] == ["face", "hand"]


def test_half_precision_outputs_are_read_too() -> None:
    tensors = {"s": torch.tensor([[[0.1, 0.9]]]).half(), "b": torch.tensor([[[0, 0, 0.5, 0.5]]]).half()}
    stage = opened(Detect("faces", work((1, 1, 2), (1, 1, 4))))
    (actual,) = stage.process(Sample(tensors, (Frame(0),)))
    assert actual.boxes[0].x2 == pytest.approx(320)


def through_the_table(stage: Detect, *tensors: torch.Tensor) -> Any:
    """Decode as on the GPU: a table of a fixed size, read on the CPU."""
    (result,) = by_table(stage, [tensor[None] for tensor in tensors])
    return result


def test_what_the_gpu_left_unsettled_is_finished() -> None:
    count = 15
    scores = np.stack([np.zeros(count), np.linspace(0.95, 0.55, count)], axis=1).astype(np.float32)
    # A better box alone, and one below the threshold that must not suppress any other.
    scores = np.concatenate([scores, np.array([[0, 0.99], [0, 0.4]], np.float32)])
    boxes = np.concatenate([chain(count), np.array([[0, 100, 20, 110], [5, 0, 25, 10]], np.float32)])
    stage = opened(Detect("faces", work((1, *scores.shape), (1, *boxes.shape))))
    inputs = torch.from_numpy(scores), torch.from_numpy(boxes / np.array([320, 240, 320, 240], np.float32))
    assert not stage._table(*inputs)[:, 8].any()
    actual = through_the_table(stage, *inputs)
    assert [round(box.x1 / 2) for box in actual.boxes] == [0, *range(0, 10 * count, 20)]


@pytest.mark.parametrize("count", [200, 512, 513, 590])
def test_more_candidates_than_the_table_holds_are_found_too(count: int) -> None:
    left = np.arange(count, dtype=np.float32)
    boxes = np.stack([left, left * 0, left + 0.5, left * 0 + 1], axis=1) / count
    scores = np.stack([left * 0, 0.6 + left / count / 3], axis=1)
    # Every other box is dropped, so that fewer remain than the table holds.
    boxes = np.repeat(boxes, 2, axis=0)[:count]
    stage = opened(Detect("faces", work((1, *scores.shape), (1, *boxes.shape))))
    actual = through_the_table(stage, torch.from_numpy(scores), torch.from_numpy(boxes))
    assert [round(box.x1 * count / 640) for box in actual.boxes] == list(range((count + 1) // 2))[::-1]


def test_only_the_first_outputs_with_a_candidate_are_looked_at() -> None:
    """On a GPU, outputs are copied as long as they are looked at; the copies are read later, as here."""
    outputs = FAMILIES["yolov8"].outputs(np.random.default_rng(2), 320, 256)["output0"]
    place = Placement(320, 256, 320, 256, 1.0, 1.0, 0.0, 0.0)
    stage = Detect(
        "objects", params(bundle("yolov8", {"output0": outputs.shape}, place, labels=list("abc"), unit="picture"))
    )
    warnings: list[str] = []
    stage.receive_warning = lambda problem: warnings.append(f"{problem.code} {problem.path}")
    opened(stage)
    empty = torch.zeros(outputs.shape[1:])
    by_table(stage, [empty[None]])
    assert (warnings, stage._check.looks) == ([], True)
    full = torch.from_numpy(outputs[0])
    for _ in range(2):
        by_table(stage, [torch.stack([empty, full, empty])])
        assert (warnings, stage._check.looks) == (["W111 pipeline.nodes.objects"], False)


def test_centerface_finds_the_face_of_the_sample(samples: Any, compose: Any) -> None:
    """Run the real network on a real frame: one face, at its position."""
    import av

    from bmfgraph.engines.onnx.model import with_free_dims
    from bmfgraph.stages.preprocess import apply
    from tests.conftest import located
    from tests.stages.test_preprocess import transform

    ort = pytest.importorskip("onnxruntime")
    model = compose("pipeline=face_detection")["model"]
    path = located(model["source"], model["sha256"])
    with av.open(str(samples["carphone"])) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
    height, width = pixels.shape[:2]
    pad = (0, 0, -width % 32, -height % 32)
    inputs = apply(torch.from_numpy(pixels)[None], transform(pad=pad, dtype="float32"))
    freed = with_free_dims(path, {"input.1": ("batch", 3, "height", "width")}).SerializeToString()
    session = ort.InferenceSession(freed)
    outputs = dict(zip(("537", "538", "539", "540"), session.run(None, {"input.1": inputs.numpy()}), strict=True))
    place = Placement(width, height, inputs.shape[3], inputs.shape[2], 1.0, 1.0, 0.0, 0.0)
    shapes = {name: one.shape for name, one in outputs.items()}
    stage = opened(Detect("faces", params(bundle("centerface", shapes, place))))
    tensors = {name: torch.from_numpy(one) for name, one in outputs.items()}
    (actual,) = stage.process(Sample(tensors, (Frame(0),)))
    (face,) = actual.boxes
    rows = FAMILIES["centerface"].decode(outputs, inputs.shape[3], inputs.shape[2], 0.5)
    *highest, more = max(rows, key=lambda row: row[1])[1:]
    assert (face.score, face.x1, face.y1, face.x2, face.y2) == pytest.approx(highest, abs=1e-3)
    assert np.allclose(face.keypoints, more["keypoints"], atol=1e-3)
    assert 0.2 * width < (face.x1 + face.x2) / 2 < 0.8 * width
    assert 0.15 * height < face.y2 - face.y1 < 0.9 * height


def read(shapes: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any]) -> Any:
    """Decode outputs by a description without a preset, on the CPU and by the table of a fixed size."""
    tensors = {name: torch.tensor([values], dtype=torch.float32) for name, values in shapes.items()}
    bundle = described({name: tuple(tensor.shape) for name, tensor in tensors.items()}, outputs, settings, PLACE)
    stage = opened(Detect("objects", params(bundle)))
    (actual,) = stage.process(Sample(tensors, (Frame(0),)))
    (table,) = by_table(stage, [tensors[name] for name in stage._names])
    for name in ("corners", "keypoints", "embeddings"):
        assert np.array_equal(getattr(actual, name), getattr(table, name))
    return actual


def test_points_and_vectors_belong_to_their_object() -> None:
    line = [0.5, 0.5, 0.25, 0.5, 0.25, 0.5, 0.0, 0.75, 1.5, 9.0, 7.0, 8.0]
    other = [0.2, 0.2, 0.1, 0.1, 0.1, 0.2, 2.0, 0.3, 0.4, -2.0, 5.0, 6.0]
    fields = ["box", "keypoints:2x3", "embedding:2"]
    actual = read(
        {"o": [other, line], "s": [[0.6], [0.9]]},
        {"o": {"fields": fields, "activation": {"keypoints": "sigmoid"}}, "s": {"fields": ["scores"]}},
        {
            "labels": ["one"],
            "unit": "picture",
            "keypoints": {"names": ["a", "b"], "unit": "picture", "order": "yx"},
        },
    )
    assert actual.embeddings.tolist() == [[7, 8], [5, 6]]
    # Points may lie beyond the frame of 640x480. Their scores are logits.
    assert np.allclose(actual.keypoints[0], [(320, 120, 0.5), (960, 360, 1 / (1 + np.exp(-9)))], atol=1e-4)
    assert np.allclose(actual.keypoints[1, 0], (128, 48, 1 / (1 + np.exp(-2))), atol=1e-4)


def test_nothing_found_has_no_points_but_their_shape() -> None:
    described_fields = {"o": {"fields": ["box", "score", "keypoints:3x2"]}}
    settings: dict[str, Any] = {"labels": ["one"], "keypoints": {"names": ["a", "b", "c"]}}
    actual = read({"o": [[0.0] * 11]}, described_fields, settings)
    assert actual.keypoints.shape == (0, 3, 3)
    assert actual.boxes == ()


def test_a_box_that_is_no_number_is_no_object() -> None:
    stage = opened(Detect("faces", work()))
    boxes = np.array([[[0.1, 0.1, 0.2, 0.2], [np.nan, 0.1, 0.9, 0.9], [0.5, 0.5, 0.6, np.inf]]], np.float32)
    scores = np.array([[[0.1, 0.9]] * 3], np.float32)
    tensors = {"s": torch.from_numpy(scores), "b": torch.from_numpy(boxes)}
    (found,) = stage.process(Sample(tensors, (Frame(0),)))
    assert found.corners.round(2).tolist() == [[64.0, 48.0, 128.0, 96.0]]


def test_boxes_in_source_pixels_do_not_go_with_tiles() -> None:
    tiling = Tiling(320, 240, (0, 288), (0,), 608, 240, 32)
    outputs = bundle("rtdetr_authors", {"l": (2, 3), "b": (2, 3, 4), "s": (2, 3)}, PLACE, labels=("a",))
    tiles = tuple(replace(tensor, tiling=tiling) for tensor in outputs.tensors)
    with pytest.raises(PlanError, match=r"decode\.unit source gives boxes in the whole frame"):
        params(replace(outputs, tensors=tiles))
