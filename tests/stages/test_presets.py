"""Compare each preset with a decoder written from the family's publication."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bmfgraph.nodes.decode import preset_names, read_preset
from bmfgraph.plan.types import Placement
from bmfgraph.stages.detections import Detect
from bmfgraph.stages.items import Frame, Sample
from tests.stages.detectors import Array, Row, bundle, by_table, greedy, params
from tests.stages.object_detectors import FAMILIES
from tests.tools import opened

PLACES = {
    "whole": Placement(320, 256, 320, 256, 1.0, 1.0, 0.0, 0.0),
    "letterboxed": Placement(1280, 720, 320, 256, 0.25, 0.25, 0.0, 38.0),
    "stretched": Placement(352, 288, 192, 320, 192 / 352, 320 / 288, 0.0, 0.0),
    "cropped": Placement(640, 480, 256, 256, 1.0, 1.0, -192.0, -112.0),
}


def in_source(rows: list[Row], place: Placement) -> list[Row]:
    """Map objects to the source frame; upright boxes are cut off at its edges."""
    offset, scale = np.array([place.left, place.top]), np.array([place.scale_x, place.scale_y])
    size, mapped = np.array([place.source_width, place.source_height]), []
    for label, score, *rest in rows:
        corners = np.array(rest[:4]).reshape(2, 2)
        more: dict[str, Any] = dict(*rest[4:])
        points = (corners - offset) / scale
        if "angle" in more:
            # The sides of the box, as vectors in the source frame.
            cosine, sine = np.cos(more["angle"]), np.sin(more["angle"])
            (width, height), centre = corners[1] - corners[0], points.mean(axis=0)
            across, down = np.array([cosine, sine]) * width / scale, np.array([-sine, cosine]) * height / scale
            half = np.array([np.hypot(*across), np.hypot(*down)]) / 2
            points, more["angle"] = np.stack([centre - half, centre + half]), np.arctan2(across[1], across[0])
        else:
            points = np.minimum(np.maximum(points, 0), size)
        if "keypoints" in more:
            more["keypoints"] = (
                [((x, y) - offset) / scale for x, y, _ in more["keypoints"]],
                [score for *_, score in more["keypoints"]],
            )
        mapped.append((label, score, *points.flatten(), more))
    return mapped


def test_every_preset_of_a_detector_has_a_decoder_of_its_own_here() -> None:
    assert [name for name in preset_names() if read_preset(name)["task"] == "detect"] == sorted(FAMILIES)


@pytest.mark.sample(12)
@pytest.mark.parametrize("place", ["letterboxed", "cropped", "whole", "stretched"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_preset_decodes_as_published(name: str, place: str) -> None:
    family, placement = FAMILIES[name], PLACES[place]
    outputs = family.outputs(np.random.default_rng(len(name) + len(place)), placement.width, placement.height)
    rows = family.detect(outputs, placement.width, placement.height)
    assert len(rows) > 3
    there = replace(placement, scale_x=1.0, scale_y=1.0, left=0.0, top=0.0) if family.in_source else placement
    expected = in_source(rows, there)
    shapes = {key: value.shape for key, value in outputs.items()}
    stage = opened(Detect("faces", params(bundle(name, shapes, placement, labels=family.labels))))
    tensors = {key: torch.from_numpy(value) for key, value in outputs.items()}
    (actual,) = stage.process(Sample(tensors, (Frame(0),)))
    check(actual, expected, placement)
    # The same by the table of a fixed size, as on a GPU.
    names = (*stage._names, *stage._prototypes)
    nothing = [torch.full_like(tensors[key], -9.0) for key in names]
    batch = [torch.cat([tensors[key], other, tensors[key]]) for key, other in zip(names, nothing, strict=True)]
    first, _, last = by_table(stage, batch)
    check(first, expected, placement)
    check(last, expected, placement)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_frame_without_objects_gives_an_empty_result(name: str) -> None:
    outputs = FAMILIES[name].outputs(np.random.default_rng(1), 320, 256)
    shapes = {key: value.shape for key, value in outputs.items()}
    options = {"labels": FAMILIES[name].labels, "threshold": 1.0}
    stage = opened(Detect("faces", params(bundle(name, shapes, PLACES["whole"], **options))))
    tensors = {key: torch.from_numpy(value) for key, value in outputs.items()}
    (actual,) = stage.process(Sample(tensors, (Frame(0),)))
    assert (actual.boxes, actual.index) == ((), 0)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_table_has_a_fixed_size_and_needs_no_values(name: str) -> None:
    """A CUDA graph can record only this. Tensors of the device ``meta`` have no values."""
    outputs = FAMILIES[name].outputs(np.random.default_rng(1), 320, 256)
    shapes = {key: value.shape for key, value in outputs.items()}
    stage = opened(Detect("faces", params(bundle(name, shapes, PLACES["whole"], labels=FAMILIES[name].labels))))
    table = stage._table(*(torch.empty(shapes[key][1:], device="meta") for key in stage._names))
    assert table.device.type == "meta"
    assert 20 <= len(table) <= 512


def check(actual: Any, expected: list[Row], place: Placement) -> None:
    assert len(actual.scores) == len(expected)
    assert actual.classes.tolist() == [row[0] for row in expected]
    assert np.allclose(actual.scores, [row[1] for row in expected], atol=1e-5)
    assert np.allclose(actual.corners, [row[2:6] for row in expected], atol=1e-3)
    has = {key for row in expected for key in row[6]}
    assert (actual.angles is not None, actual.keypoints is not None) == ("angle" in has, "keypoints" in has)
    assert (actual.masks is not None) == bool(has & {"mask", "small"})
    for at, (*_, more) in enumerate(expected):
        if "angle" in more:
            assert abs(np.exp(1j * actual.angles[at]) - np.exp(1j * more["angle"])) < 1e-5
        if "keypoints" in more:
            points, scores = more["keypoints"]
            assert np.allclose(actual.keypoints[at, :, :2], points, atol=1e-3)
            assert np.allclose(actual.keypoints[at, :, 2], scores, atol=1e-5)
        if "mask" in more or "small" in more:
            left, top, pixels = actual.masks.patch(at, actual.corners[at])
            wanted = mask_by_hand(more, actual.corners[at], place, left, top, pixels.shape)
            assert (pixels & wanted).sum() >= 0.999 * (pixels | wanted).sum()


def mask_by_hand(
    more: dict[str, Any], corners: Array, place: Placement, left: int, top: int, shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Sample the mask at the centre of each pixel of a patch, between the four nearest values."""
    x, y = np.meshgrid(left + 0.5 + np.arange(shape[1]), top + 0.5 + np.arange(shape[0]))
    if "mask" in more:
        # Logits on a grid over the whole input, a quarter of its size.
        grid, least = more["mask"], 0.0
        x, y = (x * place.scale_x + place.left) / 4 - 0.5, (y * place.scale_y + place.top) / 4 - 0.5
    else:
        grid, least = more["small"], 0.5
        x = (x - corners[0]) / (corners[2] - corners[0]) * grid.shape[1] - 0.5
        y = (y - corners[1]) / (corners[3] - corners[1]) * grid.shape[0] - 0.5
    x, y = x.clip(0, grid.shape[1] - 1), y.clip(0, grid.shape[0] - 1)
    x0, y0 = x.astype(int), y.astype(int)
    x1, y1 = np.minimum(x0 + 1, grid.shape[1] - 1), np.minimum(y0 + 1, grid.shape[0] - 1)
    upper = grid[y0, x0] * (1 - (x - x0)) + grid[y0, x1] * (x - x0)
    lower = grid[y1, x0] * (1 - (x - x0)) + grid[y1, x1] * (x - x0)
    sampled: NDArray[np.bool_] = upper * (1 - (y - y0)) + lower * (y - y0) > least
    return sampled


def test_classes_are_kept_and_thresholds_hold_for_their_label() -> None:
    outputs = FAMILIES["yolov8"].outputs(np.random.default_rng(1), 320, 256)
    rows = FAMILIES["yolov8"].decode(outputs, 320, 256, 0.0)
    settings: dict[str, Any] = {
        "classes": ["a", "c"],
        "threshold": {"default": 0.8, "c": 0.95},
        "labels": ["a", "b", "c"],
    }
    found = params(bundle("yolov8", {"output0": outputs["output0"].shape}, PLACES["whole"], **settings))
    stage = opened(Detect("faces", found))
    (actual,) = stage.process(Sample({"output0": torch.from_numpy(outputs["output0"])}, (Frame(0),)))
    expected = greedy([row for row in rows if row[1] > {0: 0.8, 1: 2.0, 2: 0.95}[row[0]]], 0.7)
    check(actual, in_source(expected, PLACES["whole"]), PLACES["whole"])
    assert set(actual.labels) == {"a", "c"}


def test_the_best_are_kept_where_there_are_more_than_the_limit() -> None:
    outputs = FAMILIES["yolov10"].outputs(np.random.default_rng(2), 320, 256)
    found = params(
        bundle("yolov10", {"output0": outputs["output0"].shape}, PLACES["whole"], labels=["a", "b", "c"], most=5)
    )
    (actual,) = opened(Detect("faces", found)).process(
        Sample({"output0": torch.from_numpy(outputs["output0"])}, (Frame(0),))
    )
    best = sorted((row[1] for row in FAMILIES["yolov10"].decode(outputs, 320, 256, 0.25)), reverse=True)
    assert actual.scores.tolist() == pytest.approx(best[:5])
