"""Detectors by presets: the params of their nodes, and decoders written from the families' publications."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bmfgraph.nodes.decode import DetectDecode, read_preset
from bmfgraph.nodes.detections import DetectionsNodeSpec, DetectionsParams
from bmfgraph.nodes.model import OutputMeaning
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import BundleSpec, Dim, Placement, TensorSpec
from bmfgraph.stages.detections import Detect
from bmfgraph.stages.items import Frame
from bmfgraph.stages.results import Detections
from tests.tools import frames

__all__ = [
    "BOXES",
    "Array",
    "Family",
    "Row",
    "boxes",
    "bundle",
    "by_table",
    "centred",
    "described",
    "greedy",
    "params",
    "sigmoid",
]

Array = NDArray[np.float32]
Row = tuple[Any, ...]
"""Label number, score, corners in pixels of the input, and a dict of what else belongs to the object."""


def bundle(preset: str, shapes: Mapping[str, Sequence[int]], place: Placement, **decode: Any) -> BundleSpec:
    """Return the outputs of a model whose config names a preset; shapes with the batch dim."""
    outputs = dict(zip(shapes, read_preset(preset)["outputs"], strict=False))
    return described(shapes, outputs, {"preset": preset, **decode}, place)


def described(
    shapes: Mapping[str, Sequence[int | None]], outputs: Mapping[str, Any], decode: Mapping[str, Any], place: Placement
) -> BundleSpec:
    """Return the outputs of a model whose config describes each; shapes with the batch dim."""
    source = frames(place.source_width, place.source_height)
    tensors = tuple(
        TensorSpec(
            name,
            tuple(Dim(f"dim{at}", size) for at, size in enumerate(shape)),
            "float32",
            placement=place,
            source=source,
        )
        for name, shape in shapes.items()
    )
    layouts = tuple((name, OutputMeaning.model_validate(layout).batched()) for name, layout in outputs.items())
    return BundleSpec(tensors, DetectDecode.model_validate(decode), layouts)


def by_table(stage: Detect, outputs: Sequence[torch.Tensor]) -> list[Detections]:
    """Decode a batch as on a GPU: by a table of a fixed size for each frame.

    Args:
        stage: The stage, opened.
        outputs: Its tensors, the frames along the first dim, which has a row for each frame or tile.
    """
    names = (*stage._names, *stage._prototypes)
    tiles = len(stage.params.tiling.places) if stage.params.tiling else 1
    groups = [(Frame(index),) for index in range(len(outputs[0]) // tiles)]
    tensors = stage.compute(dict(zip(names, outputs, strict=True)), len(groups))
    results = stage._downloaded(groups, tensors, tensors)
    assert [result.index for result in results] == list(range(len(groups)))
    return results


def params(outputs: BundleSpec, **options: Any) -> DetectionsParams:
    """Return what the stage of a ``detections`` node gets."""
    spec = DetectionsNodeSpec.model_validate({"kind": "detections", "inputs": ["net"], **options})
    found: DetectionsParams = spec.infer(PlanNode("faces", spec, ()), (outputs,), None).params
    return found


def greedy(rows: Sequence[Row], iou: float, overlap: Overlap | None = None, most: int = 300) -> list[Row]:
    """Suppress greedily, by the definition."""
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: -row[1]):
        if all(row[0] != other[0] or (overlap or _overlap)(row[2:], other[2:]) <= iou for other in kept):
            kept.append(row)
    return kept[:most]


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(across, 0.0) * max(down, 0.0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both) if both else 0.0


Overlap = Callable[[Sequence[Any], Sequence[Any]], float]


@dataclass(frozen=True)
class Family:
    """A preset, random outputs for an input size, and an independent decoder."""

    outputs: Callable[[np.random.Generator, int, int], dict[str, Array]]
    decode: Callable[[dict[str, Array], int, int, float], list[Row]]
    threshold: float
    iou: float | None
    """Overlap of the suppression; None: the model does it itself."""
    labels: tuple[str, ...] = ("a", "b", "c")
    in_source: bool = False
    """Whether the corners are in pixels of the source frame."""
    overlap: Overlap | None = None
    """Overlap of two objects; None: that of upright boxes."""

    def detect(self, outputs: dict[str, Array], width: int, height: int) -> list[Row]:
        """Return the objects that the family's own decoder finds, best first."""
        rows = self.decode(outputs, width, height, self.threshold)
        if self.iou is None:
            return sorted(rows, key=lambda row: -row[1])[:300]
        return greedy(rows, self.iou, self.overlap)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def centred(cx: float, cy: float, w: float, h: float) -> tuple[float, float, float, float]:
    return float(cx - w / 2), float(cy - h / 2), float(cx + w / 2), float(cy + h / 2)


def boxes(random: np.random.Generator, count: int, width: int, height: int) -> Array:
    """Return centres and sizes inside of a picture, [n, 4]."""
    size = 0.05 + 0.3 * random.random((count, 2))
    centre = size / 2 + random.random((count, 2)) * (1 - size)
    return (np.concatenate([centre, size], axis=1) * [width, height, width, height]).astype(np.float32)


def _yolov5(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    table = np.concatenate([boxes(random, 60, width, height), random.random((60, 4))], axis=1)
    return {"output0": table[None].astype(np.float32)}


def _decode_yolov5(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    rows = []
    for line in tensors["output0"][0]:
        label = int(line[5:].argmax())
        score = float(line[4] * line[5 + label])
        if score > threshold:
            rows.append((label, score, *centred(*line[:4])))
    return rows


def _yolov8(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    table = np.concatenate([boxes(random, 70, width, height), random.random((70, 3))], axis=1)
    return {"output0": np.ascontiguousarray(table.T[None]).astype(np.float32)}


def _decode_yolov8(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    rows = []
    for line in tensors["output0"][0].T:
        label = int(line[4:].argmax())
        if line[4 + label] > threshold:
            rows.append((label, float(line[4 + label]), *centred(*line[:4])))
    return rows


def _yolov10(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    corners = np.array([centred(*box) for box in boxes(random, 50, width, height)])
    table = np.concatenate([corners, random.random((50, 1)), random.integers(0, 3, (50, 1))], axis=1)
    return {"output0": table[None].astype(np.float32)}


def _decode_yolov10(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    return [
        (int(line[5]), float(line[4]), *(float(value) for value in line[:4]))
        for line in tensors["output0"][0]
        if line[4] > threshold
    ]


def _yolox(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    count = sum((width // stride) * (height // stride) for stride in (8, 16, 32))
    table = np.concatenate(
        [random.random((count, 2)), random.random((count, 2)) * 2, random.random((count, 4))], axis=1
    )
    return {"output": table[None].astype(np.float32)}


def _decode_yolox(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    rows, at = [], 0
    for stride in (8, 16, 32):
        for y in range(height // stride):
            for x in range(width // stride):
                line = tensors["output"][0, at]
                at += 1
                label = int(line[5:].argmax())
                score = float(line[4] * line[5 + label])
                if score > threshold:
                    w, h = np.exp(line[2]) * stride, np.exp(line[3]) * stride
                    rows.append((label, score, *centred((x + line[0]) * stride, (y + line[1]) * stride, w, h)))
    return rows


def _rtdetr(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    return {
        "output0": np.concatenate([boxes(random, 40, 1, 1), random.random((40, 3))], axis=1)[None].astype(np.float32)
    }


def _decode_rtdetr(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    scale, rows = np.array([width, height, width, height]), []
    for line in tensors["output0"][0]:
        label = int(line[4:].argmax())
        if line[4 + label] > threshold:
            rows.append((label, float(line[4 + label]), *centred(*(line[:4] * scale))))
    return rows


def _rtdetr_authors(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    corners = np.array([centred(*box) for box in boxes(random, 30, 1, 1)], np.float32)
    return {
        "labels": random.integers(0, 3, (1, 30)).astype(np.float32),
        "boxes": (corners * [width, height, width, height]).astype(np.float32)[None],
        "scores": random.random((1, 30)).astype(np.float32),
    }


def _decode_rtdetr_authors(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    rows = zip(tensors["labels"][0], tensors["scores"][0], tensors["boxes"][0], strict=True)
    return [
        (int(label), float(score), *(float(value) for value in box)) for label, score, box in rows if score > threshold
    ]


def _yolov7_end2end(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    corners = np.array([centred(*box) for box in boxes(random, 20, width, height)])
    labels, scores = random.integers(0, 3, (20, 1)), random.random((20, 1))
    return {"output": np.concatenate([np.zeros((20, 1)), corners, labels, scores], axis=1)[None].astype(np.float32)}


def _decode_yolov7_end2end(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    rows = tensors["output"][0]
    return [(int(row[5]), float(row[6]), *map(float, row[1:5])) for row in rows if row[6] > threshold]


def _ppyoloe(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    corners = np.array([centred(*box) for box in boxes(random, 20, width, height)])
    labels, scores = random.integers(0, 3, (20, 1)), random.random((20, 1))
    return {"rows": np.concatenate([labels, scores, corners], axis=1)[None].astype(np.float32)}


def _decode_ppyoloe(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    return [(int(row[0]), float(row[1]), *map(float, row[2:])) for row in tensors["rows"][0] if row[1] > threshold]


def _logits(classes: int) -> Callable[[np.random.Generator, int, int], dict[str, Array]]:
    def outputs(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
        logits = (random.random((1, 30, classes)) * 8 - 4).astype(np.float32)
        return {"logits": logits, "pred_boxes": boxes(random, 30, 1, 1)[None]}

    return outputs


def _decode_rtdetr_hf(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    scale, rows = np.array([width, height, width, height]), []
    for logits, box in zip(tensors["logits"][0], tensors["pred_boxes"][0], strict=True):
        label = int(logits.argmax())
        score = float(sigmoid(logits[label]))
        if score > threshold:
            rows.append((label, score, *centred(*(box * scale))))
    return rows


def _decode_detr(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    scale, rows = np.array([width, height, width, height]), []
    for logits, box in zip(tensors["logits"][0].astype(float), tensors["pred_boxes"][0], strict=True):
        shares = np.exp(logits) / np.exp(logits).sum()
        label = int(shares[:-1].argmax())
        if shares[label] > threshold:
            rows.append((label, float(shares[label]), *centred(*(box * scale))))
    return rows


def _ssd(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    corners = np.array([centred(*box) for box in boxes(random, 20, 1, 1)], np.float32)[:, [1, 0, 3, 2]]
    return {
        "detection_boxes": corners[None],
        "detection_classes": random.integers(1, 4, (1, 20)).astype(np.float32),
        "detection_scores": np.sort(random.random((1, 20)).astype(np.float32))[:, ::-1].copy(),
        "num_detections": np.array([[11]], np.float32),
    }


def _decode_ssd(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    rows = []
    for at in range(int(tensors["num_detections"][0, 0])):
        top, left, bottom, right = (float(value) for value in tensors["detection_boxes"][0, at])
        score = float(tensors["detection_scores"][0, at])
        if score > threshold:
            label = int(tensors["detection_classes"][0, at]) - 1
            rows.append((label, score, left * width, top * height, right * width, bottom * height))
    return rows


def _ultraface(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    corners = np.array([centred(*box) for box in boxes(random, 40, 1, 1)], np.float32)
    return {"scores": random.random((1, 40, 4)).astype(np.float32), "boxes": corners[None]}


def _decode_ultraface(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    rows = []
    for scores, box in zip(tensors["scores"][0], tensors["boxes"][0], strict=True):
        label = int(scores[1:].argmax())
        if scores[1 + label] > threshold:
            corners = (float(value) for value in box * [width, height, width, height])
            rows.append((label, float(scores[1 + label]), *corners))
    return rows


def _centerface(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    shape = (height // 4, width // 4)
    return {
        "537": random.random((1, 1, *shape)).astype(np.float32),
        "538": random.random((1, 2, *shape)).astype(np.float32) * 2,
        "539": random.random((1, 2, *shape)).astype(np.float32),
        "540": random.random((1, 10, *shape)).astype(np.float32),
    }


def _decode_centerface(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    rows = []
    for y, x in zip(*np.where(tensors["537"][0, 0] > threshold), strict=True):
        h, w = np.exp(tensors["538"][0, :, y, x]) * 4
        dy, dx = tensors["539"][0, :, y, x]
        score = float(tensors["537"][0, 0, y, x])
        left, top, right, bottom = centred((x + dx + 0.5) * 4, (y + dy + 0.5) * 4, w, h)
        marks = tensors["540"][0, :, y, x]
        points = [(marks[2 * at + 1] * w + left, marks[2 * at] * h + top, 1.0) for at in range(5)]
        rows.append((0, score, left, top, right, bottom, {"keypoints": points}))
    return rows


def _nanodet(random: np.random.Generator, width: int, height: int) -> dict[str, Array]:
    count = sum(-(-width // stride) * -(-height // stride) for stride in (8, 16, 32, 64))
    table = np.concatenate([random.random((count, 3)), random.random((count, 32)) * 6], axis=1)
    return {"output": table[None].astype(np.float32)}


def _decode_nanodet(tensors: dict[str, Array], width: int, height: int, threshold: float) -> list[Row]:
    rows, at = [], 0
    for stride in (8, 16, 32, 64):
        for y in range(-(-height // stride)):
            for x in range(-(-width // stride)):
                line = tensors["output"][0, at].astype(float)
                at += 1
                label = int(line[:3].argmax())
                if line[label] > threshold:
                    bins = np.exp(line[3:].reshape(4, 8))
                    left, top, right, bottom = (bins / bins.sum(1, keepdims=True) @ np.arange(8)) * stride
                    x0, y0 = x * stride, y * stride
                    rows.append((label, float(line[label]), x0 - left, y0 - top, x0 + right, y0 + bottom))
    return rows


BOXES: Mapping[str, Family] = {
    "yolov5": Family(_yolov5, _decode_yolov5, 0.25, 0.45),
    "yolov7_end2end": Family(_yolov7_end2end, _decode_yolov7_end2end, 0.25, None),
    "ppyoloe": Family(_ppyoloe, _decode_ppyoloe, 0.5, None, in_source=True),
    "yolov8": Family(_yolov8, _decode_yolov8, 0.25, 0.7),
    "yolov10": Family(_yolov10, _decode_yolov10, 0.25, None),
    "yolo26": Family(_yolov10, _decode_yolov10, 0.25, None),
    "yolox": Family(_yolox, _decode_yolox, 0.3, 0.45),
    "rtdetr": Family(_rtdetr, _decode_rtdetr, 0.25, None),
    "rtdetr_authors": Family(_rtdetr_authors, _decode_rtdetr_authors, 0.5, None, in_source=True),
    "rtdetr_hf": Family(_logits(3), _decode_rtdetr_hf, 0.5, None),
    "detr": Family(_logits(4), _decode_detr, 0.7, None),
    "ssd": Family(_ssd, _decode_ssd, 0.3, None),
    "ultraface": Family(_ultraface, _decode_ultraface, 0.7, 0.3),
    "centerface": Family(_centerface, _decode_centerface, 0.5, 0.3, ("face",)),
    "nanodet": Family(_nanodet, _decode_nanodet, 0.35, 0.6),
}
