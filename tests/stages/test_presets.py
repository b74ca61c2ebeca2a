"""Compare each preset with a decoder written from the family's publication."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bmfgraph.nodes.decode import preset_names
from bmfgraph.plan.types import Placement
from bmfgraph.stages.detections import Detect
from bmfgraph.stages.items import Frame, Sample
from tests.stages.detectors import FAMILIES, Row, bundle, greedy, params
from tests.tools import opened

PLACES = {
    "whole": Placement(320, 256, 320, 256, 1.0, 1.0, 0.0, 0.0),
    "letterboxed": Placement(1280, 720, 320, 256, 0.25, 0.25, 0.0, 38.0),
    "stretched": Placement(352, 288, 192, 320, 192 / 352, 320 / 288, 0.0, 0.0),
    "cropped": Placement(640, 480, 256, 256, 1.0, 1.0, -192.0, -112.0),
}


def in_source(rows: list[Row], place: Placement, there: bool) -> list[Row]:
    """Map corners to the source frame unless they are ``there``, and cut them off at its edges."""
    mapped = []
    if there:
        place = replace(place, scale_x=1.0, scale_y=1.0, left=0.0, top=0.0)
    for label, score, *corners in rows:
        left, top, right, bottom = (
            min(max((value - offset) / scale, 0.0), limit)
            for value, offset, scale, limit in zip(
                corners,
                (place.left, place.top) * 2,
                (place.scale_x, place.scale_y) * 2,
                (place.source_width, place.source_height) * 2,
                strict=True,
            )
        )
        mapped.append((label, score, left, top, right, bottom))
    return mapped


def test_every_preset_has_a_decoder_of_its_own_here() -> None:
    assert preset_names() == sorted(FAMILIES)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_preset_decodes_as_published(name: str, place: str) -> None:
    family, placement = FAMILIES[name], PLACES[place]
    outputs = family.outputs(np.random.default_rng(len(name) + len(place)), placement.width, placement.height)
    rows = family.decode(outputs, placement.width, placement.height, family.threshold)
    assert len(rows) > 3
    kept = sorted(rows, key=lambda row: -row[1])[:300] if family.iou is None else greedy(rows, family.iou)
    expected = in_source(kept, placement, family.in_source)
    stage = opened(
        Detect(
            "faces",
            params(bundle(name, {key: value.shape for key, value in outputs.items()}, placement, labels=family.labels)),
        )
    )
    tensors = {key: torch.from_numpy(value) for key, value in outputs.items()}
    (actual,) = stage.process(Sample(tensors, (Frame(0, None),)))
    check(actual, expected)
    # The same by the table of a fixed size, as on a GPU.
    inputs = [tensors[key][0] for key in stage._names]
    check(stage._read(Frame(0, None), inputs, stage._table(*inputs)), expected)


def check(actual: Any, expected: list[Row]) -> None:
    assert len(actual.scores) == len(expected)
    assert actual.classes.tolist() == [row[0] for row in expected]
    assert np.allclose(actual.scores, [row[1] for row in expected], atol=1e-5)
    assert np.allclose(actual.corners, [row[2:] for row in expected], atol=1e-3)


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
    (actual,) = stage.process(Sample({"output0": torch.from_numpy(outputs["output0"])}, (Frame(0, None),)))
    expected = greedy([row for row in rows if row[1] > {0: 0.8, 1: 2.0, 2: 0.95}[row[0]]], 0.7)
    check(actual, in_source(expected, PLACES["whole"], False))
    assert set(actual.labels) == {"a", "c"}


def test_the_best_are_kept_where_there_are_more_than_the_limit() -> None:
    outputs = FAMILIES["yolov10"].outputs(np.random.default_rng(2), 320, 256)
    found = params(
        bundle("yolov10", {"output0": outputs["output0"].shape}, PLACES["whole"], labels=["a", "b", "c"], most=5)
    )
    (actual,) = opened(Detect("faces", found)).process(
        Sample({"output0": torch.from_numpy(outputs["output0"])}, (Frame(0, None),))
    )
    best = sorted((row[1] for row in FAMILIES["yolov10"].decode(outputs, 320, 256, 0.25)), reverse=True)
    assert actual.scores.tolist() == pytest.approx(best[:5])
