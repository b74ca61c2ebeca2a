"""Run networks of a fixed size over larger pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runner.command import bmfgraph, start
from tests.stages.blobs import blob_model, blobs

# Tiles of 256 that overlap by 40 begin at 0, 216, 432, 648, 864 and 1024, and at 0, 216, 432 and 464.
OBJECTS = [
    (10, 10, 42, 42),  # in one tile
    (240, 100, 272, 120),  # across the right edge of the first tile
    (225, 225, 245, 245),  # in the overlap of four tiles
    (200, 300, 232, 310),  # across the left edge of the second column
    (440, 440, 472, 472),  # across the edges of several tiles, of which the last row was moved inwards
    (1010, 200, 1042, 232),
    (1270, 700, 1280, 720),  # in the corner of the picture
    (640, 0, 672, 8),
]
CONFIG = """
name: blobs
file: blobs.onnx
inputs: {input: {layout: NCHW, channels: RGB}}
outputs: {boxes: {dims: [batch, fields, candidates], fields: [box, scores]}}
decode: {task: detect, box: xyxy, unit: pixels, iou: 0.5, threshold: 0.3, labels: [blob]}
"""


def test_objects_across_the_edges_of_tiles_are_found_once(tmp_path: Path, clip: Callable[..., Path]) -> None:
    pytest.importorskip("onnxruntime")
    blob_model(tmp_path / "blobs.onnx")
    clip(
        "clip.mkv",
        size=(1280, 720),
        frames=2,
        codec="ffv1",
        draw=lambda index, width, height: blobs(width, height, *OBJECTS[index:]),
    )
    own = tmp_path / "my" / "model" / "blobs.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(CONFIG)
    command = bmfgraph(
        *("--config-dir", "my", "pipeline=detection", "model=blobs", "input=clip.mkv", "output=out.mp4"),
        *("records=out.jsonl", "engine.batch=5", "pipeline.nodes.detect.inputs=[tiles]"),
        "+pipeline.nodes.tiles={kind: tiles, inputs: [prepare], overlap: 40}",
    )
    start(command, tmp_path).wait().success()
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 1]
    for index, line in enumerate(lines):
        found = sorted(tuple(one["box"]) for one in line["detections"])
        assert found == sorted(OBJECTS[index:])
