"""Short pipelines; ``@`` stands for the folder of the clip and the models."""

from __future__ import annotations

from collections.abc import Callable

from bmfgraph.plan import Plan

__all__ = ["COPY", "UPSCALE", "MakePlan", "names"]

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


def names(plan: Plan) -> list[str]:
    return [node.name for node in plan]
