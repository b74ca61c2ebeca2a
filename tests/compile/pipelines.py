"""Short pipelines; ``@`` stands for the folder of the clip and the models."""

from __future__ import annotations

from collections.abc import Callable

from bmfgraph.plan.plan import Plan

__all__ = ["COPY", "DETECT", "MIX", "UPSCALE", "MakePlan", "engine", "names"]

MakePlan = Callable[..., Plan]

COPY = """
source: {kind: decoder, path: "@clip.mp4"}
sink: {kind: encoder, inputs: [source.video, source.audio], path: "@out.mp4"}
"""
UPSCALE = """
source: {kind: decoder, path: "@clip.mp4"}
prepare: {kind: preprocess, inputs: source}
window: {kind: window, inputs: prepare}
net:
  kind: inference
  inputs: window
  model: {name: m, file: "@double.onnx", inputs: {input: {}}, outputs: {output: {}}}
restore: {kind: frames, inputs: net}
sink: {kind: encoder, inputs: [restore, source.audio], path: "@out.mp4"}
"""
DETECT = """
source: {kind: decoder, path: "@clip.mp4"}
prepare: {kind: preprocess, inputs: source}
net:
  kind: inference
  inputs: prepare
  model:
    {name: find, file: "@detector.onnx", inputs: {input: {}}, decode: {preset: ultraface, threshold: 0.5}}
faces: {kind: detections, inputs: net}
draw: {kind: overlay, inputs: [source.video, faces]}
table: {kind: records, inputs: faces, path: "@out.jsonl"}
sink: {kind: encoder, inputs: [draw, source.audio], path: "@out.mp4"}
"""
MIX = """
source: {kind: decoder, path: "@clip.mp4"}
one: {kind: preprocess, inputs: source}
two: {kind: preprocess, inputs: source}
net:
  kind: inference
  inputs: [one, two]
  model: {name: mix, file: "@mix.onnx", inputs: {a: {}, b: {channels: BGR}}, outputs: {output: {}}}
restore: {kind: frames, inputs: net}
sink: {kind: encoder, inputs: [restore, source.audio], path: "@out.mp4"}
"""


def engine(text: str, options: str) -> str:
    """The pipeline with those engine options for ``net``."""
    return text.replace("\n  model:", f"\n  engine: {options}\n  model:")


def names(plan: Plan) -> list[str]:
    return [node.name for node in plan]
