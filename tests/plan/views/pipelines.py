"""Define more short pipelines; ``@`` stands for the folder of the clips and the models."""

from __future__ import annotations

__all__ = ["LONG", "ON_GPU", "SOURCES", "STEPS", "TWO_SINKS"]

STEPS = "\n".join(
    [
        'source: {kind: decoder, path: "@clip.mp4"}',
        "in0: {kind: preprocess, inputs: source}",
        "back0: {kind: frames, inputs: in0}",
        *(
            f"in{step}: {{kind: preprocess, inputs: back{step - 1}}}\nback{step}: {{kind: frames, inputs: in{step}}}"
            for step in range(1, 5)
        ),
        'sink: {kind: encoder, inputs: [back4, source.audio], path: "@out.mp4"}',
    ]
)
"""Twelve nodes of the user's in a row, and what the compiler puts between."""

SOURCES = """
left: {kind: decoder, path: "@clip.mp4"}
right: {kind: decoder, path: "@silent.mp4"}
one: {kind: preprocess, inputs: left}
two: {kind: preprocess, inputs: right}
net:
  kind: inference
  inputs: [one, two]
  model: {name: mix, file: "@mix.onnx", inputs: {a: {}, b: {channels: BGR}}, outputs: {output: {}}}
restore: {kind: frames, inputs: net}
sink: {kind: encoder, inputs: [restore, left.audio], path: "@out.mp4"}
"""

TWO_SINKS = """
source: {kind: decoder, path: "@clip.mp4"}
sink: {kind: encoder, inputs: [source.video, source.audio], path: "@out.mp4"}
other: {kind: encoder, inputs: [source.video, source.audio], path: "@other.mkv", pixel_format: yuv444p}
"""

LONG = """
source: {kind: decoder, path: "@a-film-of-our-holidays-with-a-rather-long-name.mp4"}
sink: {kind: encoder, inputs: [source.video, source.audio], path: "@a<b>&\\"c\\" é [red].mp4"}
"""

ON_GPU = """
source: {kind: nvdec, path: "@clip.mp4"}
prepare: {kind: preprocess, inputs: source}
net:
  kind: inference
  inputs: prepare
  engine: {precision: fp16, batch: 4}
  model: {name: m, file: "@double.onnx", inputs: {input: {}}, outputs: {output: {}}}
restore: {kind: frames, inputs: net}
sink: {kind: encoder, inputs: [restore, source.audio], path: "@out.mp4"}
"""
