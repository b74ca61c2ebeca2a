"""Test that boxes of all tiles are joined, and that those a tile's edge has cut lose."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from bmfgraph.errors import PlanError
from bmfgraph.nodes.decode import DetectDecode
from bmfgraph.nodes.detections import DetectionsParams
from bmfgraph.nodes.model import OutputMeaning
from bmfgraph.plan.types import BundleSpec, Dim, Placement, Tiling
from bmfgraph.stages.detections import Detect
from bmfgraph.stages.items import Frame, Sample
from tests.stages.detectors import bundle, by_table, params
from tests.tools import opened

TILING = Tiling(100, 100, (0, 60, 100), (0, 50), 200, 150, 40)
Row = tuple[float, float, float, float, float]


def detector(tiling: Tiling = TILING, preset: str = "yolov10", **decode: Any) -> DetectionsParams:
    """Return the params of a detector with 3 candidates in each tile; the frame is twice the tensor."""
    place = Placement(400, 300, 200, 150, 0.5, 0.5, 0.0, 0.0)
    outputs = bundle(preset, {"output0": (len(tiling.places), 3, 6)}, place, labels=("a", "b"), **decode)
    tensors = tuple(replace(tensor, tiling=tiling) for tensor in outputs.tensors)
    return params(replace(outputs, tensors=tensors))


def detected(work: DetectionsParams, tiles: dict[int, list[Row]], labels: dict[int, int] | None = None) -> Any:
    """Return what is found where the tiles hold these boxes: corners in the tile, score."""
    assert work.tiling is not None
    table = torch.zeros(len(work.tiling.places), 3, 6)
    for tile, rows in tiles.items():
        for number, row in enumerate(rows):
            table[tile, number, :5] = torch.tensor(row)
            table[tile, number, 5] = (labels or {}).get(tile, 0)
    stage = opened(Detect("objects", work))
    sample = Sample({"output0": table}, (Frame(7),))
    (result,) = stage.process(sample)
    # The way of a GPU: a table of a fixed size.
    empty = torch.zeros_like(table)
    for other in by_table(stage, [torch.cat([table, empty, table])])[::2]:
        assert other.boxes == result.boxes
    assert result.index == 7
    return [(box.label, round(box.score, 3), (box.x1, box.y1, box.x2, box.y2)) for box in result.boxes]


def test_boxes_are_moved_to_their_tile_and_found_once() -> None:
    # Tile 4 begins at (60, 50). The same object is at the right of tile 0 and at the left of tile 1.
    tiles: dict[int, list[Row]] = {
        0: [(70, 10, 90, 30, 0.8)],
        1: [(10, 10, 30, 30, 0.9)],
        4: [(20, 30, 40, 60, 0.7)],
    }
    assert detected(detector(), tiles) == [
        ("a", 0.9, (140, 20, 180, 60)),
        ("a", 0.7, (160, 160, 200, 220)),
    ]


@pytest.mark.parametrize("score", [0.5, 0.99])
def test_a_cut_box_loses_against_the_whole_one_whatever_its_score(score: float) -> None:
    # The object reaches from 92 to 112; tile 0 ends at 100 and sees less than half of it.
    tiles: dict[int, list[Row]] = {0: [(92, 10, 100, 30, score)], 1: [(32, 10, 52, 30, 0.9)]}
    assert detected(detector(), tiles) == [("a", 0.9, (184, 20, 224, 60))]
    # It stays where nothing contains it: another class, or a box that is too weak.
    assert len(detected(detector(), tiles, {1: 1})) == 2
    weak: dict[int, list[Row]] = {**tiles, 1: [(32, 10, 52, 30, 0.1)]}
    assert detected(detector(), weak) == [("a", round(score, 3), (184, 20, 200, 60))]


def test_suppression_of_all_classes_lets_a_box_lose_against_another_class() -> None:
    tiles: dict[int, list[Row]] = {0: [(92, 10, 100, 30, 0.95)], 1: [(32, 10, 52, 30, 0.9)]}
    assert detected(detector(nms="all"), tiles, {1: 1}) == [("b", 0.9, (184, 20, 224, 60))]


def test_the_edges_of_the_picture_cut_nothing() -> None:
    # The box at x 85..99 ends at the edge of its tile, and loses; that at the edge of the picture is not cut.
    tiles: dict[int, list[Row]] = {
        0: [(0, 0, 80, 80, 0.9), (85, 30, 99, 44, 0.8), (0, 0, 10, 10, 0.6)],
        1: [(0, 0, 38, 90, 0.7)],
    }
    assert [box[2] for box in detected(detector(), tiles)] == [
        (0, 0, 160, 160),
        (120, 0, 196, 180),
        (0, 0, 20, 20),
    ]


def test_of_three_parts_the_whole_object_stays() -> None:
    # At a corner of four tiles: a quarter, a half, and all of it.
    tiles: dict[int, list[Row]] = {
        0: [(90, 90, 100, 100, 0.9)],
        1: [(30, 90, 50, 100, 0.8)],
        3: [(90, 40, 100, 60, 0.95)],
        4: [(30, 40, 50, 60, 0.6)],
    }
    assert detected(detector(), tiles) == [("a", 0.6, (180, 180, 220, 220))]


def test_reflections_in_the_padding_of_a_small_picture_are_no_objects() -> None:
    tiling = Tiling(100, 100, (0,), (0,), 60, 100, 40)
    work = detector(tiling)
    work = replace(work, placement=replace(work.placement, source_width=120))
    tiles: dict[int, list[Row]] = {0: [(40, 10, 55, 30, 0.9), (65, 10, 80, 30, 0.9)]}
    assert detected(work, tiles) == [("a", 0.9, (80, 20, 110, 60))]


def test_a_model_without_suppression_gets_one_between_tiles() -> None:
    assert detector().nms == "per_class"
    assert (detector().placement.width, detector().placement.height) == (100, 100)


def test_more_boxes_than_the_table_holds_are_found_too() -> None:
    # One box in three is cut, and lies in a whole one of the next tile.
    count = 200
    tiling = Tiling(100, 100, tuple(range(0, 60 * count, 60)), (0,), 60 * count + 40, 100, 40)
    place = Placement(60 * count + 40, 100, 60 * count + 40, 100, 1.0, 1.0, 0.0, 0.0)
    outputs = bundle("yolov10", {"output0": (count, 3, 6)}, place, labels=("a",), most=10_000)
    work = params(replace(outputs, tensors=tuple(replace(tensor, tiling=tiling) for tensor in outputs.tensors)))
    work = replace(work, most=2000)
    table = torch.zeros(count, 3, 6)
    table[:, 0, :5] = torch.tensor([45.0, 0, 55, 10, 0.7])
    table[:, 1, :5] = torch.tensor([70.0, 20, 90, 40, 0.8])
    table[:-1, 2, :5] = torch.tensor([92.0, 60, 100, 80, 0.99])
    table[1:, 1, :5] = torch.tensor([32.0, 60, 52, 80, 0.8])
    for most in (2000, 100):
        stage = opened(Detect("objects", work))
        stage._most = most
        (result,) = stage.process(Sample({"output0": table}, (Frame(0),)))
        (other,) = by_table(stage, [table])
        assert len(result.scores) == 2 * count
        # The order of equal scores is not defined.
        assert sorted(other.boxes, key=str) == sorted(result.boxes, key=str)


def described(fields: list[str], width: int, **decode: Any) -> BundleSpec:
    """Return the outputs of a model with two candidates in each tile."""
    tensor = bundle("yolov10", {"output0": (6, 2, width)}, Placement(200, 150, 200, 150, 1, 1, 0, 0), labels=("a",))
    meaning = OutputMeaning.model_validate({"dims": ["batch", "candidates", "fields"], "fields": fields})
    settings = DetectDecode.model_validate({"box": "xyxy", "labels": ["a"], **decode})
    return BundleSpec((replace(tensor.tensors[0], tiling=TILING),), settings, (("output0", meaning),))


def test_keypoints_are_moved_with_their_boxes() -> None:
    work = params(
        described(["box", "score", "keypoints:2x3"], 11, keypoints={"names": ["left", "right"], "unit": "pixels"})
    )
    table = torch.zeros(6, 2, 11)
    table[4, 0] = torch.tensor([20, 30, 40, 60, 0.9, 22, 33, 0.8, 38, 57, 0.7])
    (result,) = opened(Detect("objects", work)).process(Sample({"output0": table}, (Frame(0),)))
    assert result.corners.tolist() == [[80, 80, 100, 110]]
    assert result.keypoints is not None
    assert result.keypoints[0, :, :2].tolist() == [[82, 83], [98, 107]]
    assert result.keypoints[0, :, 2].tolist() == pytest.approx([0.8, 0.7])


def test_a_turned_box_is_cut_where_its_corner_ends() -> None:
    work = params(described(["box", "score", "angle"], 6, box="cxcywh"))
    table = torch.zeros(6, 2, 6)
    # A quarter turn makes 4x14 of 14x4: the box ends at y 99.5 of tile 0. Tile 3 begins 50 lower, and sees all of it.
    table[0, 0] = torch.tensor([30, 92.5, 14, 4, 0.95, math.pi / 2])
    table[3, 0] = torch.tensor([30, 50, 30, 4, 0.9, math.pi / 2])
    (result,) = opened(Detect("objects", work)).process(Sample({"output0": table}, (Frame(0),)))
    assert result.scores.tolist() == pytest.approx([0.9])


def test_masks_are_not_read_from_tiles() -> None:
    outputs = described(["box", "score", "mask:4"], 9, masks={"prototypes": "output1"})
    prototypes = replace(
        outputs.tensors[0], name="output1", dims=tuple(Dim(f"dim{at}", size) for at, size in enumerate((6, 4, 25, 25)))
    )
    layout = OutputMeaning.model_validate({"dims": ["batch", "prototypes", "height", "width"]})
    outputs = replace(outputs, tensors=(*outputs.tensors, prototypes), layouts=(*outputs.layouts, ("output1", layout)))
    with pytest.raises(PlanError, match="masks are read from whole pictures, but the outputs are of 3x2 tiles"):
        params(outputs)
