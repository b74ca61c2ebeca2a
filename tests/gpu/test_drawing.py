"""Test that overlay, redact and resize do the same on the GPU as on the CPU, without a wait."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bmfgraph.nodes.overlay import OverlayParams
from bmfgraph.nodes.redact import RedactParams
from bmfgraph.nodes.resize import ResizeParams
from bmfgraph.plan.types import Placement
from bmfgraph.stages.base import Stage
from bmfgraph.stages.canvas import Canvas
from bmfgraph.stages.items import Frame
from bmfgraph.stages.overlay import Draw, draw_results, draw_segments, segment_table
from bmfgraph.stages.redact import Redact, areas_of, redact
from bmfgraph.stages.resize import Resize
from bmfgraph.stages.resizing import resized
from bmfgraph.stages.results import Detections, Masks, Segments
from tests.gpu.conftest import no_waits

pytestmark = pytest.mark.gpu
WIDTH, HEIGHT = 650, 370
RANDOM = np.random.default_rng(4)
IMAGE = RANDOM.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
MAP = RANDOM.integers(0, 256, (37, 65), dtype=np.uint8)


def detections(frame: Any) -> Detections:
    corners = RANDOM.uniform(0, 300, (20, 4)).astype(np.float32)
    corners[:, 2:] += corners[:, :2]
    values = RANDOM.uniform(0, 1, (20, 37, 65)).astype(np.float32)
    return Detections(
        frame,
        corners,
        RANDOM.uniform(0, 1, 20).astype(np.float32),
        np.arange(20),
        tuple(f"class {number}" for number in range(20)),
        angles=RANDOM.uniform(-1, 1, 20).astype(np.float32),
        keypoints=np.concatenate([RANDOM.uniform(0, 300, (20, 5, 2)), np.ones((20, 5, 1))], axis=2).astype(np.float32),
        masks=Masks(values, 0.5, Placement(WIDTH, HEIGHT, 65, 37, 0.1, 0.1, 0, 0)),
    )


def second(stage: Stage, *results: Any) -> np.ndarray[Any, Any]:
    """Process a frame twice, the second time without waits, and return its pixels."""
    stage.device = "cuda"
    stage.open()
    frame = Frame(0, image=torch.from_numpy(IMAGE).cuda())
    list(stage.process(frame, *results))
    with no_waits():
        (result,) = stage.process(frame, *results)
    assert np.array_equal(frame.pixels().cpu().numpy(), IMAGE)
    pixels: np.ndarray[Any, Any] = result.pixels().cpu().numpy().astype(int)
    return pixels


def test_overlay() -> None:
    params = OverlayParams(None, 2, True, 12, 0.5, 0.3, (((0, 1), (1, 2)), ()), (-1, 7))
    result = detections(None)
    segments = Segments(None, torch.from_numpy(MAP).cuda(), ())  # type: ignore[arg-type]
    expected = IMAGE.copy()
    draw_segments(expected, MAP, segment_table(params, 7))
    draw_results(Canvas(expected), [result, segments], params)
    # The mixtures of overlapping masks are rounded one by one on the CPU.
    assert np.abs(second(Draw("draw", params), result, segments) - expected).max() <= 8


def test_boxes_and_labels() -> None:
    params = OverlayParams(None, 2, True, 12, 0.5, 0.3, ((), ()), (-1, 7))
    result = replace(detections(None), angles=None, keypoints=None, masks=None, ids=np.arange(20))
    segments = Segments(None, torch.from_numpy(MAP).cuda(), ())  # type: ignore[arg-type]
    expected = IMAGE.copy()
    draw_segments(expected, MAP, segment_table(params, 7))
    draw_results(Canvas(expected), [result, segments], params)
    draw = Draw("draw", params)
    assert np.array_equal(second(draw, result, segments), expected)
    assert draw._painter is not None
    assert draw._painter._kernels is not None


@pytest.mark.parametrize("style", ["blur", "pixelate", "fill"])
@pytest.mark.parametrize("shape", ["box", "ellipse", "mask"])
def test_redact(style: Any, shape: Any) -> None:
    params = RedactParams(style, shape, 0.1, 6, (9, 8, 7), None, 0.2, 3)
    result = detections(None)
    expected = torch.from_numpy(IMAGE.copy())
    redact(expected, torch.from_numpy(IMAGE), areas_of(result, WIDTH, HEIGHT, params), params)
    difference = np.abs(second(Redact("hide", params), result) - expected.numpy())
    # The edges of blocks can fall on another pixel.
    assert (difference > 1).mean() < (0.01 if style == "pixelate" else 1e-9)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area"])
def test_resize(mode: Any) -> None:
    expected = resized(
        torch.from_numpy(IMAGE).permute(2, 0, 1)[None], 200, 120, mode=mode, antialias=True, integer=True
    )
    actual = second(Resize("small", ResizeParams(200, 120, mode, True, False)))
    assert np.abs(actual - expected[0].permute(1, 2, 0).numpy().astype(int)).max() <= 1
