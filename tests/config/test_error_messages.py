"""Test the whole message of every mistake that is found before a run.

A row is a list of edits to a good pipeline, the exception, and its text. An edit is ``node.field=YAML``, or
``-node.field`` to take something out. Names in angle brackets stand for paths of this test run.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx import helper

from bmfgraph.compile import compile_pipeline
from bmfgraph.config.pipeline import parse_pipeline
from bmfgraph.errors import BmfgraphError, EngineError, PlanError, RunError, SpecError
from bmfgraph.nodes.decode import preset_names
from bmfgraph.nodes.registry import kinds
from tests.tools import (
    detector_model,
    double_model,
    identity_model,
    make_clip,
    middle_model,
    mix_model,
    negate_model,
    save_model,
    tensor_info,
)

UPSCALE = """
name: up
nodes:
  source: {kind: decoder, path: <clip>}
  prepare: {kind: preprocess, inputs: [source.video]}
  window: {kind: window, inputs: [prepare]}
  net: {kind: inference, inputs: [window], model: {name: tiny, file: <double>, inputs: {input: {}}, outputs: {output: {}}}}
  restore: {kind: frames, inputs: [net]}
  sink: {kind: encoder, inputs: [restore, source.audio], path: out.mp4}
"""
TEMPORAL = UPSCALE.replace("<double>", "<middle>").replace(
    "inputs: {input: {}}, outputs: {output: {}}",
    "inputs: {'input:0': {layout: NHWC}}, outputs: {'output:0': {layout: NHWC}}, "
    "window: {frames: 7, outputs: [2, 3, 4], step: 3}",
)
DETECT = """
name: find
nodes:
  source: {kind: decoder, path: <clip>}
  prepare: {kind: preprocess, inputs: [source.video]}
  net: {kind: inference, inputs: [prepare], model: {name: tiny, file: <detector>, inputs: {input: {mean: 127, std: 128}},
    decode: {preset: ultraface, threshold: 0.5}}}
  faces: {kind: detections, inputs: [net]}
  draw: {kind: overlay, inputs: [source.video, faces]}
  table: {kind: records, inputs: [faces], path: out.jsonl}
  sink: {kind: encoder, inputs: [draw, source.audio], path: out.mp4}
"""
MIX = """
name: mix
nodes:
  source: {kind: decoder, path: <clip>}
  one: {kind: preprocess, inputs: [source.video]}
  two: {kind: preprocess, inputs: [source.video]}
  net: {kind: inference, inputs: [one, two], engine: {}, model: {name: mix, file: <mix>, inputs: {a: {}, b: {channels: BGR}},
    outputs: {output: {}}}}
  restore: {kind: frames, inputs: [net]}
  sink: {kind: encoder, inputs: [restore, source.audio], path: out.mp4}
"""

KINDS = ", ".join(kinds())
PREPROCESS_KEYS = "align, antialias, channels, dtype, exact, fit, inputs, kind, layout, longest, mean, mode, multiple, pad_value, region, size, std"
ENGINE_KEYS = (
    "allow_host_code, batch, build, builder, calibration, calibration_frames, command, cuda_graph, input_shapes, "
    "optimization_level, path, precision, profiles, python, runtime, store, streams, tactic_sources, threads, "
    "timing_cache, version, version_compatible, workspace"
)
PRESETS = ", ".join(preset_names())
DECODE_KEYS = "background, box, classes, first_label, grid, iou, keypoints, labels, masks, most, nms, preset, task, threshold, unit"
N = "pipeline.nodes."

# One row a line reads better than what the formatter makes of it.
# ruff: noqa: E501
# fmt: off
SPEC: list[tuple[str, list[str], str]] = [
    # the shape of a pipeline
    (UPSCALE, ["*5"], "pipeline: a pipeline is a mapping with `name` and `nodes`, not 5"),
    (UPSCALE, ["-/name"], "pipeline.name: is missing"),
    (UPSCALE, ["/name=a b"], "pipeline.name: 'a b': must be text of the form ^[A-Za-z0-9_-]+$"),
    (UPSCALE, ["/name=null"], "pipeline.name: None: must be text (in quotes)"),
    (UPSCALE, ["/title=x"], "pipeline.title: unknown key; allowed: name, nodes"),
    (UPSCALE, ["/nods={}"], "pipeline.nods: unknown key (did you mean 'nodes'?); allowed: name, nodes"),
    (UPSCALE, ["-/nodes"], "pipeline.nodes: is missing"),
    (UPSCALE, ["/nodes={}"], "pipeline.nodes: {}: must be not empty"),
    (UPSCALE, ["/nodes=[1]"], "pipeline.nodes: nodes are a mapping from name to node, not [1]"),
    # nodes
    (UPSCALE, ["a b={kind: frames}"], N + "a b: a node's name is made of letters, digits, _ and -, not 'a b'"),
    (UPSCALE, ["sink=5"], N + "sink: a node is a mapping with `kind` and its options, not 5"),
    (UPSCALE, ["sink.use=5"], N + "sink.use: `use` takes a mapping of options, such as ${encoder}, not 5"),
    (UPSCALE, ["-sink.kind"], N + f"sink.kind: every node needs a kind: {KINDS}"),
    (UPSCALE, ["sink.kind=encode"], N + f"sink.kind: unknown kind 'encode' (did you mean 'encoder'?); kinds: {KINDS}"),
    (UPSCALE, ["prepare.sise=4"], N + f"prepare.sise: unknown key (did you mean 'size'?); allowed: {PREPROCESS_KEYS}"),
    (UPSCALE, ["sink.inputs=[]"], N + "sink.inputs: kind 'encoder' takes 1 to 2 input(s), not 0"),
    (UPSCALE, ["-sink.inputs"], N + "sink.inputs: kind 'encoder' takes 1 to 2 input(s), not 0"),
    (UPSCALE, ["prepare.inputs=[source, source]"], N + "prepare.inputs: kind 'preprocess' takes 1 input(s), not 2"),
    (UPSCALE, ["source.inputs=[sink]"], N + "source.inputs: kind 'decoder' takes 0 input(s), not 1"),
    (UPSCALE, ["sink.inputs=5"], N + "sink.inputs: 5: must be a list"),
    (UPSCALE, ["sink.inputs=[5]"], N + "sink.inputs.0: 5: must be text (in quotes)"),
    # decoder
    (UPSCALE, ["-source.path"], N + "source.path: is missing"),
    (UPSCALE, ["source.start=-1"], N + "source.start: -1: must be at least 0"),
    (UPSCALE, ["source.start=2", "source.end=1"], N + "source.end: end 1 s is not after start 2 s"),
    (UPSCALE, ["source.end=.inf"], N + "source.end: inf: must be a finite number"),
    (UPSCALE, ["source.end=0"], N + "source.end: 0: must be greater than 0"),
    (UPSCALE, ["source.threads=65"], N + "source.threads: 65: must be at most 64"),
    (UPSCALE, ["source.on_error=maybe"], N + "source.on_error: 'maybe' is not allowed; allowed: stop, skip"),
    (UPSCALE, ["source.video=1.5"], N + "source.video: 1.5: must be a whole number"),
    (UPSCALE, ["source.hwaccel=cuvid"], N + "source.hwaccel: 'cuvid' is not allowed (did you mean 'cuda'?); allowed: none, cuda"),
    (UPSCALE, ["source.kind=nvdec", "source.threads=2"], N + "source.threads: NVDEC has no threads"),
    (UPSCALE, ["source.kind=nvdec", "source.hwaccel=cuda"], N + "source.hwaccel: NVDEC works without FFmpeg"),
    # preprocess
    (UPSCALE, ["prepare.size=4"], N + "prepare.size: 4: must be a list"),
    (UPSCALE, ["prepare.size=[0, 4]"], N + "prepare.size.0: 0: must be at least 1"),
    (UPSCALE, ["prepare.size=[4]"], N + "prepare.size.1: is missing"),
    (UPSCALE, ["prepare.size=[4, 4, 4]"], N + "prepare.size: [4, 4, 4]: must be a list of at most 2"),
    (UPSCALE, ["prepare.fit=letterbx"], N + "prepare.fit: 'letterbx' is not allowed (did you mean 'letterbox'?); allowed: none, stretch, letterbox, crop"),
    (UPSCALE, ["prepare.mode=lanczos"], N + "prepare.mode: 'lanczos' is not allowed; allowed: nearest, bilinear, bicubic, area"),
    (UPSCALE, ["prepare.mean=abc"], N + "prepare.mean: 'abc': must be a number or a list"),
    (UPSCALE, ["prepare.mean=[]"], N + "prepare.mean: []: must be a number or not empty"),
    (UPSCALE, ["prepare.std=[1, 0, 1]"], N + "prepare.std: (1.0, 0.0, 1.0): values are divided by it, so it must not be 0"),
    (UPSCALE, ["prepare.pad_value=256"], N + "prepare.pad_value: 256: must be at most 255"),
    # model and engine
    (UPSCALE, ["-net.model"], N + "net.model: is missing"),
    (UPSCALE, ["net.model=tiny"], N + "net.model: 'tiny': must be a mapping"),
    (UPSCALE, ["-net.model.file"], N + "net.model: has neither source nor file"),
    (UPSCALE, ["net.model.sha256=abc"], N + "net.model.sha256: 'abc': must be text of the form ^([0-9a-f]{64}|any)$"),
    (UPSCALE, ["net.model.file=[]"], N + "net.model.file: []: must be a path"),
    (UPSCALE, ["net.model.inputs=5"], N + "net.model.inputs: 5: must be a mapping"),
    (UPSCALE, ["net.model.outputs={537: {}}"], N + "net.model.outputs.537: 537: must be text (in quotes)"),
    (UPSCALE, ["net.model.inputs.input={layou: NCHW}"], N + "net.model.inputs.input.layou: unknown key (did you mean 'layout'?); allowed: align, antialias, channels, dims, feed, fit, layout, longest, mean, multiple, pad_value, resize, size, std"),
    (UPSCALE, ["net.model.outputs.output={multiple: 2}"], N + "net.model.outputs.output.multiple: unknown key; allowed: activation, channels, dims, fields, layout, mean, std, stride"),
    (UPSCALE, ["net.model.inputs.input={mean: [1, 2]}"], N + "net.model.inputs.input: mean has 2 values"),
    (UPSCALE, ["net.model.inputs.input={mean: [1, 2, 3], channels: GRAY}"], N + "net.model.inputs.input: mean has 3 values"),
    (UPSCALE, ["net.model.inputs.input={std: 0}"], N + "net.model.inputs.input.std: 0.0: values are divided by it, so it must not be 0"),
    (UPSCALE, ["net.model.inputs.input={dims: [N, 0, H, W]}"], N + "net.model.inputs.input.dims.1: 0: must be at least 1 or text (in quotes)"),
    (UPSCALE, ["net.model.window={frames: 3, outputs: [0, 2], step: 2}"], N + "net.model.window: outputs [0, 2] must be consecutive positions, such as [2, 3, 4]"),
    (UPSCALE, ["net.model.window={frames: 3, outputs: [3]}"], N + "net.model.window: outputs [3] must lie inside the window's positions 0..2"),
    (UPSCALE, ["net.model.window={frames: 3, outputs: [0, 1]}"], N + "net.model.window: step 1 with 2 outputs would emit frames twice or not at all"),
    (UPSCALE, ["net.model.window={frames: 3, outputs: []}"], N + "net.model.window.outputs: []: must be not empty"),
    (UPSCALE, ["net.model.window={frames: 3, pad: zero}"], N + "net.model.window.pad: 'zero' is not allowed; allowed: edge"),
    (UPSCALE, ["net.engine={batch: 0}"], N + "net.engine.batch: 0: must be at least 1"),
    (UPSCALE, ["net.engine=fp16"], N + "net.engine: 'fp16': must be a mapping"),
    (UPSCALE, ["net.engine={input_shapes: {input: [1, 3, -1, 4]}}"], N + "net.engine.input_shapes.input.2: -1: must be at least 1"),
    # how a model is run
    (UPSCALE, ["net.engine={precision: fp61}"], N + "net.engine.precision: 'fp61' is not allowed (did you mean 'fp16'?); allowed: fp32, tf32, fp16, bf16, int8"),
    (UPSCALE, ["net.engine={runtime: tensort}"], N + "net.engine.runtime: 'tensort' is not allowed (did you mean 'tensorrt'?); allowed: auto, tensorrt, tensorrt_rtx, onnxruntime, openvino"),
    (UPSCALE, ["net.engine={build: alwys}"], N + "net.engine.build: 'alwys' is not allowed (did you mean 'always'?); allowed: auto, never, always"),
    (UPSCALE, ["net.engine={builder: comand}"], N + "net.engine.builder: 'comand' is not allowed (did you mean 'command'?); allowed: python, command"),
    (UPSCALE, ["net.engine={verison: 3}"], N + f"net.engine.verison: unknown key (did you mean 'version'?); allowed: {ENGINE_KEYS}"),
    (UPSCALE, ["net.engine={batch: 257}"], N + "net.engine.batch: 257: must be at most 256"),
    (UPSCALE, ["net.engine={streams: 17}"], N + "net.engine.streams: 17: must be at most 16"),
    (UPSCALE, ["net.engine={cuda_graph: maybe}"], N + "net.engine.cuda_graph: 'maybe': must be true or false"),
    (UPSCALE, ["net.engine={workspace: 0}"], N + "net.engine.workspace: 0: must be at least 1"),
    (UPSCALE, ["net.engine={optimization_level: 6}"], N + "net.engine.optimization_level: 6: must be at most 5"),
    (UPSCALE, ["net.engine={tactic_sources: JIT}"], N + "net.engine.tactic_sources: 'JIT': must be a list"),
    (UPSCALE, ["net.engine={calibration_frames: 0}"], N + "net.engine.calibration_frames: 0: must be at least 1"),
    (UPSCALE, ["net.engine={path: ''}"], N + "net.engine.path: '': must be text that is not empty"),
    (UPSCALE, ["net.engine={store: ''}"], N + "net.engine.store: '': must be text that is not empty"),
    (UPSCALE, ["net.engine={input_shapes: {input: 1x3x}}"], N + "net.engine.input_shapes.input: '1x3x' is not a shape"),
    (UPSCALE, ["net.engine={input_shapes: {input: 5}}"], N + "net.engine.input_shapes.input: 5: must be a list"),
    (UPSCALE, ["net.engine={profiles: none}"], N + "net.engine.profiles: 'none' is not allowed; allowed: auto, a mapping"),
    (UPSCALE, ["net.engine={profiles: {input: 5}}"], N + "net.engine.profiles.input: 5: must be a mapping"),
    (UPSCALE, ["net.engine={profiles: {input: {min: 1x3x4x4, opt: 1x3x8x8}}}"], N + "net.engine.profiles.input.max: is missing"),
    (UPSCALE, ["net.engine={profiles: {input: {mni: 1x3x4x4, min: 1x3x4x4, opt: 1x3x8x8, max: 1x3x8x8}}}"], N + "net.engine.profiles.input.mni: unknown key (did you mean 'min'?); allowed: max, min, opt"),
    (UPSCALE, ["net.engine={profiles: {input: {min: 1x3xAx4, opt: 1x3x8x8, max: 1x3x8x8}}}"], N + "net.engine.profiles.input.min: '1x3xAx4' is not a shape"),
    (UPSCALE, ["net.engine={profiles: {input: {min: 0x3x4x4, opt: 1x3x8x8, max: 1x3x8x8}}}"], N + "net.engine.profiles.input.min: 0: must be at least 1"),
    (UPSCALE, ["net.engine={profiles: {input: {min: 1x3x4, opt: 1x3x8x8, max: 1x3x8x8}}}"], N + "net.engine.profiles.input: min [1, 3, 4], opt [1, 3, 8, 8] and max [1, 3, 8, 8] must have the same number of dims"),
    (UPSCALE, ["net.engine={profiles: {input: {min: 1x3x9x4, opt: 1x3x8x8, max: 1x3x8x8}}}"], N + "net.engine.profiles.input: dim 2: min 9, opt 8, max 8 must not decrease"),
    (UPSCALE, ["net.engine={profiles: {input: {min: 1x3x4x4, opt: 1x3x8x8, max: 1x3x8x4}}}"], N + "net.engine.profiles.input: dim 3: min 4, opt 8, max 4 must not decrease"),
    (UPSCALE, ["net.engine={builder: command}"], N + "net.engine: builder: command needs a program and its arguments in `command`"),
    (UPSCALE, ["net.engine={builder: command, command: trtexec}"], N + "net.engine.command: 'trtexec': must be a list"),
    (UPSCALE, ["net.engine={command: [trtexec]}"], N + "net.engine: `command` is given, but builder is python"),
    (UPSCALE, ["net.engine={builder: command, command: [trtexec], python: py}"], N + "net.engine: `python` and `command` are both given"),
    (UPSCALE, ["net.engine={path: x.plan, build: always}"], N + "net.engine: `path` names an engine that is used as it is"),
    # boxes
    (DETECT, ["net.model.decode.preset=ultrafase"], N + f"net.model.decode: 'ultrafase' is not a preset (did you mean 'ultraface'?); presets: {PRESETS}"),
    (DETECT, ["net.model.decode={task: detct}"], N + "net.model.decode.task: 'detct' is not allowed (did you mean 'detect'?); allowed: detect, classify, segment, map, read, embed"),
    (DETECT, ["net.model.decode.box=xyhw"], N + "net.model.decode.box: 'xyhw' is not allowed (did you mean 'xywh'?); allowed: cxcywh, xyxy, xywh, yxyx, ltrb"),
    (DETECT, ["net.model.decode.bxo=xyxy"], N + f"net.model.decode.bxo: unknown key (did you mean 'box'?); allowed: {DECODE_KEYS}"),
    (DETECT, ["net.model.decode.unit=cells"], N + "net.model.decode: unit cells and box xyxy need the grid's strides"),
    (DETECT, ["net.model.decode.labels=coco8"], N + "net.model.decode.labels: 'coco8' is not a set of labels (did you mean 'coco80'?); sets: ade20k150, cityscapes19, coco80, imagenet1k, voc21"),
    (DETECT, ["net.model.decode.labels='file:no.txt'"], N + "net.model.decode.labels: 'file:no.txt' cannot be read (No such file or directory)"),
    (DETECT, ["net.model.decode.classes=[fase]"], N + "net.model.decode: 'fase' is not one of the labels (did you mean 'face'?); labels: face"),
    (DETECT, ["net.model.outputs={scores: {fields: [scors]}}"], N + "net.model.outputs.scores.fields: 'scors' is not a field (did you mean 'scores'?); fields: box, cx, cy, w, h, angle, objectness, score, label, count, scores, distances:N, mask:N, keypoints:NxM, embedding:N, skip:N"),
    (DETECT, ["net.model.outputs={scores: {dims: [candidates, fields]}}"], N + "net.model.outputs.scores.dims: ['candidates', 'fields']: each dim has a name of its own, and the first is batch, or rows where the model counts its detections there"),
    (DETECT, ["net.model.decode.labels=[]"], N + "net.model.decode.labels: []: must be not empty"),
    (DETECT, ["faces.threshold=2"], N + "faces.threshold: 2: must be at most 1"),
    # overlay, records, encoder
    (DETECT, ["draw.color=[1, 2, 300]"], N + "draw.color.2: 300: must be at most 255"),
    (DETECT, ["table.path=''"], N + "table.path: '': must be text that is not empty"),
    (DETECT, ["table.format=xml"], N + "table.format: 'xml' is not allowed; allowed: jsonl, json, csv, parquet, coco, yolo"),
    (UPSCALE, ["sink.bit_rate=4Q"], N + "sink.bit_rate: '4Q' is not a bit rate"),
    (UPSCALE, ["sink.bit_rate=[1]"], N + "sink.bit_rate: [1]: must be a whole number or text (in quotes)"),
    (UPSCALE, ["sink.crf=64"], N + "sink.crf: 64: must be at most 63"),
    (UPSCALE, ["sink.codec=h264"], N + "sink.codec: 'h264' is not allowed (did you mean 'x264'?); allowed: x264, x265, svtav1, vp9, prores, ffv1, mpeg4, mjpeg, nvenc, hevc_nvenc, av1_nvenc, gif, webp, png, tiff, bmp, raw"),
    (UPSCALE, ["sink.container=mkv"], N + "sink.container: 'mkv' is an extension"),
    # edges
    (UPSCALE, ["sink.inputs=[restor]"], N + "sink.inputs.0: 'restor': there is no node 'restor' (did you mean 'restore'?); nodes: net, prepare, restore, sink, source, window"),
    (UPSCALE, ["sink.inputs=[source.vide]"], N + "sink.inputs.0: 'source.vide': node 'source' has no port 'vide' (did you mean 'video'?); ports: audio, video"),
    (UPSCALE, ["restore.inputs=[sink]"], N + "restore.inputs.0: 'sink': node 'sink' (encoder) has no output; nodes that have one: net, prepare, restore, source, window"),
    (UPSCALE, ["prepare.inputs=[restore]"], "pipeline.nodes: the graph has a cycle: prepare → restore → net → window → prepare"),
    (UPSCALE, ["prepare.inputs=[prepare]"], "pipeline.nodes: the graph has a cycle: prepare → prepare"),
]

SR_TENSOR = "uint8[1x3x48x64] NCHW RGB"
PLAN: list[tuple[str, list[str], str]] = [
    # what does not go together
    (UPSCALE, ["net.inputs=[source.video]"], N + "net: (inference) input 0 expects one tensor, but source.video produces frames 64x48 yuv420p bt601/limited? 25 fps on cpu\n  → put a node {kind: preprocess} between them"),
    (UPSCALE, ["sink.inputs=[prepare]"], N + f"sink: (encoder) input 0 expects frames, but prepare.out produces {SR_TENSOR}\n  → put a node {{kind: frames}} between them"),
    (DETECT, ["sink.inputs=[net]"], N + "sink: (encoder) input 0 expects frames, but net.out produces tensors scores float32[1x3x2], boxes float32[1x3x4]\n  → put a node {kind: frames} between them"),
    (DETECT, ["sink.inputs=[faces]"], N + "sink: (encoder) input 0 expects frames, but faces.out produces detections of face in 64x48\n  → put a node {kind: overlay} between them to draw the boxes"),
    (DETECT, ["table.inputs=[net]"], N + "table: (records) input 0 expects results, but net.out produces tensors scores float32[1x3x2], boxes float32[1x3x4]\n  → put a node such as {kind: detections} between them, by the task of the model"),
    (UPSCALE, ["sink.inputs=[source.audio]"], N + "sink: (encoder) input 0 expects frames, but source.audio produces audio aac 48000 Hz 1 ch\n  → connect source.video instead"),
    (UPSCALE, ["source.path=<silent>", "sink.inputs=[source.audio]"], N + "sink: its input source.audio is missing: the file of 'source' does not have it\n  → take the node out, or read a file that has it"),
    (DETECT, ["source.path=<silent>", "draw.inputs=[source.video, source.audio]"], N + "draw: its input source.audio is missing: the file of 'source' does not have it\n  → take the node out, or read a file that has it"),
    (UPSCALE, ["source.path=<silent>", "sink.inputs=[source.audio, restore]"], N + "sink: its input source.audio is missing: the file of 'source' does not have it\n  → take the node out, or read a file that has it"),
    (UPSCALE, ["net2={kind: inference, inputs: [prepare], model: {name: other, file: <negate>, inputs: {input: {}}}}"], N + "prepare: feeds 'net2', which needs input float32[batchx3xheightxwidth] NCHW RGB, and 'net', which needs input uint8[batchx3xheightxwidth] NCHW RGB\n  → give each of them a preprocess node of its own"),
    (UPSCALE, ["net2={kind: inference, inputs: [prepare], model: {name: other, file: <double>, inputs: {input: {multiple: 8}}}}"], N + "prepare: feeds 'net2', which needs input uint8[batchx3xheightxwidth] NCHW RGB with sides a multiple of 8, and 'net', which needs input uint8[batchx3xheightxwidth] NCHW RGB\n  → give each of them a preprocess node of its own"),
    # preprocess
    (UPSCALE, ["prepare.mean=3"], N + "prepare: normalised values (NCHW RGB (x-3)/1) do not fit dtype uint8\n  → set pipeline.nodes.prepare.dtype=float32, or leave mean and std out"),
    (UPSCALE, ["prepare.mean=[1, 2]"], N + "prepare: mean [1.0, 2.0] has 2 values, but RGB has 3 channel(s)\n  → set pipeline.nodes.prepare.mean to one value, or one for each channel"),
    (UPSCALE, ["prepare.fit=none", "prepare.size=[10, 20]"], N + "prepare: fit none keeps 64x48, but 20x10 is required\n  → set pipeline.nodes.prepare.fit to letterbox, stretch or crop"),
    (UPSCALE, ["net.model.file=<strings>"], N + "prepare: 'net' needs object; image tensors can be: uint8, int32, int64, float16, float32, float64\n  → put a Cast in front of the model's input"),
    # the model's tensors
    (UPSCALE, ["net.model.inputs.inpt={}"], N + "net: model.inputs.inpt: double.onnx has no such tensor (did you mean 'input'?); it has: input\n  → correct the names under model.inputs"),
    (UPSCALE, ["net.model.outputs.out={}"], N + "net: model.outputs.out: double.onnx has no such tensor (did you mean 'output'?); it has: output\n  → correct the names under model.outputs"),
    (UPSCALE, ["net.model={name: two, file: <two>}"], N + "net: model 'two' has 2 input(s) (a, b), but 1 edge(s) are connected\n  → list one edge for each under pipeline.nodes.net.inputs, in that order; an input that is no picture takes its values from model.inputs.NAME.feed"),
    (UPSCALE, ["net.model={name: flat, file: <flat>}"], N + "net: input input float32[Nx3xL] has 3 dims; images have 4 (NCHW)\n  → reshape inside the model"),
    (UPSCALE, ["net.model.inputs.input={dims: [N, 3, H]}"], N + "net: model.inputs.input.dims has 3 entries, but the file's input input uint8[Nx3xHxW] has 4\n  → give a size or a name for each dimension of the file's input"),
    (UPSCALE, ["prepare.dtype=float32"], N + "net: input input uint8[Nx3xHxW] expects uint8, but its source has dtype float32\n  → set dtype: uint8 on the preprocess node, or leave it out"),
    (UPSCALE, ["prepare.layout=NHWC"], N + "net: input input expects NCHW RGB, but its source is NHWC RGB\n  → leave layout, channels, mean and std of the preprocess node out, so that they follow the model"),
    (UPSCALE, ["prepare.channels=BGR"], N + "net: input input expects NCHW RGB, but its source is NCHW BGR\n  → leave layout, channels, mean and std of the preprocess node out, so that they follow the model"),
    (UPSCALE, ["restore.inputs=[net2]", "net2={kind: inference, inputs: [net], model: {name: other, file: <double>}}", "-net.model.outputs"], N + "net2: input input expects NCHW RGB, but its source is a tensor of unknown meaning\n  → describe the tensor under `outputs` in the config of the model that produces it"),
    (DETECT, ["prepare.size=[32, 32]"], N + "net: input input float32[1x3x48x64] does not fit the size of float32[1x3x32x32] NCHW RGB (x-127)/128\n  → set the preprocess node's `size` and `fit`, or choose another model"),
    (TEMPORAL, ["net.inputs=[prepare]"], N + "net: model 'tiny' works on a window of 7, outputs [2, 3, 4], step 3, pad edge, but its input is a window of 1, outputs [0], step 1, pad edge\n  → put a node {kind: window} between preprocess and inference"),
    (TEMPORAL, ["window.window={frames: 3, outputs: [1]}"], N + "net: model 'tiny' works on a window of 7, outputs [2, 3, 4], step 3, pad edge, but its input is a window of 3, outputs [1], step 1, pad edge\n  → leave the window node's own `window` out, so that it follows the model"),
    (TEMPORAL, ["window2={kind: window, inputs: [window]}", "net.inputs=[window2]"], N + "window2: expects one image per frame, not uint8[1x48x64x21] NHWC RGB\n  → one window node per model is enough"),
    (TEMPORAL, ["net.model.window={frames: 7, outputs: [2, 3], step: 2}"], N + "restore: output:0 (uint8[1x48x64x9] NHWC RGB) has 9 channels, but 2 RGB frame(s) of a window of 7, outputs [2, 3], step 2, pad edge need 6\n  → correct model.window.outputs or model.outputs"),
    (TEMPORAL, ["net.engine={batch: 4}"], N + "net: engine.batch 4: input input:0 uint8[1xHxWx21] accepts batches of 1 only\n  → set engine.batch=1, or export the model with a free batch dimension"),
    (UPSCALE, ["net.engine={input_shapes: {inputt: [1, 3, 48, 64]}}"], N + "net: engine.input_shapes.inputt: the model has no such input (did you mean 'input'?); it has: input\n  → correct the name under engine.input_shapes"),
    (UPSCALE, ["net.engine={input_shapes: {input: [3, 48, 64]}}"], N + "net: engine.input_shapes.input=[3, 48, 64]: the model accepts [N, 3, H, W]\n  → correct it, or leave engine.input_shapes out to take the shape from the frames"),
    (DETECT, ["net.engine={input_shapes: {input: [1, 3, 48, 65]}}"], N + "net: engine.input_shapes.input=[1, 3, 48, 65]: the model accepts [1, 3, 48, 64]\n  → correct it, or leave engine.input_shapes out to take the shape from the frames"),
    (UPSCALE, ["net.engine={input_shapes: {input: [2, 3, 48, 64]}}"], N + "net: engine.input_shapes.input=[2, 3, 48, 64], but the frames make [1, 3, 48, 64]\n  → set engine.batch=2"),
    (UPSCALE, ["prepare.size=[10, 20]", "net.engine={input_shapes: {input: [1, 3, 48, 64]}}"], N + "net: engine.input_shapes.input=[1, 3, 48, 64], but the frames make [1, 3, 10, 20]\n  → leave engine.input_shapes out to take the shape from the frames"),
    # several inputs
    (UPSCALE, ["net.inputs=[window, prepare]"], N + "net: model 'tiny' has 1 input(s) (input), but 2 edge(s) are connected\n  → list one edge for each under pipeline.nodes.net.inputs, in that order; an input that is no picture takes its values from model.inputs.NAME.feed"),
    (MIX, ["-net.engine", "net.inputs=[one]"], N + "net: model 'mix' has 2 input(s) (a, b), but 1 edge(s) are connected\n  → list one edge for each under pipeline.nodes.net.inputs, in that order; an input that is no picture takes its values from model.inputs.NAME.feed"),
    (MIX, ["net.engine={input_shapes: {b: [1, 3, 48, 64]}}"], N + "net: engine.input_shapes has no a; the model has the inputs a, b\n  → give each input its own shape, or leave engine.input_shapes out to take them from the frames"),
    (MIX, ["net.engine={input_shapes: {a: 1x3x48x64, b: 2x3x48x64}}"], N + "net: engine.input_shapes.b=[2, 3, 48, 64], but the frames make [1, 3, 48, 64]\n  → set engine.batch=2"),
    (MIX, ["two.channels=RGB"], N + "net: input b expects NCHW BGR, but its source is NCHW RGB\n  → leave layout, channels, mean and std of the preprocess node out, so that they follow the model"),
    (MIX, ["net.inputs=[one, one]"], N + "one: feeds 'net', which needs a float32[batchx3xheightxwidth] NCHW RGB, and 'net', which needs b float32[batchx3xheightxwidth] NCHW BGR\n  → give each of them a preprocess node of its own"),
    (MIX, ["two.fit=stretch", "two.size=[24, 32]"], N + "net: model 'mix': the network does not take a 1x3x48x64, b 1x3x24x32: (op_type:Add): Incompatible dimensions\n  → choose another size (`size` or `multiple` of the preprocess node), or correct model.inputs"),
    # frames
    (UPSCALE, ["-net.model.outputs"], N + "restore: output (uint8[1x3x96x128]) is not an image of a known size\n  → describe it under model.outputs.output: {layout: NCHW, channels: RGB}"),
    (UPSCALE, ["restore.tensor=outpt"], N + "restore: tensor 'outpt': the only tensor is 'output'\n  → set pipeline.nodes.restore.tensor=output, or leave it out"),
    (UPSCALE, ["restore.inputs=[source.video]"], N + "restore: expects tensors, not frames 64x48 yuv420p bt601/limited? 25 fps on cpu\n  → frames need no conversion: connect them directly"),
    (UPSCALE, ["restore.inputs=[source.audio]"], N + "restore: expects tensors, not audio aac 48000 Hz 1 ch\n  → connect it to an inference node"),
    (DETECT, ["restore={kind: frames, inputs: [net]}"], N + "restore: the model has 2 outputs (boxes, scores): name one\n  → set pipeline.nodes.restore.tensor to one of them"),
    (DETECT, ["restore={kind: frames, inputs: [net], tensor: score}"], N + "restore: the model has 2 outputs (boxes, scores): 'score' is not one of them (did you mean 'scores'?)\n  → set pipeline.nodes.restore.tensor to one of them"),
    # detections, overlay, records
    (DETECT, ["faces.inputs=[prepare]"], N + "faces: expects the outputs of a model, not float32[1x3x48x64] NCHW RGB (x-127)/128\n  → connect it to an inference node, whose output is described by dims and fields, not as a picture"),
    (DETECT, ["net.model.decode={task: read}"], N + "faces: reads the task detect, but model.decode.task is read\n  → use the node that reads the task read, or set model.decode, such as {preset: yolov8, labels: coco80}"),
    (DETECT, ["-net.model.decode"], N + "faces: the model's config does not describe how to read results from its outputs\n  → set model.decode, such as {preset: yolov8, labels: coco80}, or describe model.outputs as well"),
    (DETECT, ["net.model.decode.labels=[face, hand]"], N + "faces: decode.labels has 2 label(s), but scores scores 1 and a background (first)\n  → correct model.decode.labels, model.decode.background or the fields of the output"),
    (DETECT, ["net.model.outputs={boxes: {fields: [box, score]}}"], N + "faces: model.outputs.boxes: boxes (float32[1x3x4]): dim 2 holds 4 numbers, and the fields are 4 + 1\n  → correct `fields`, so that their widths add up"),
    (DETECT, ["net.model.decode={task: detect, labels: [face]}"], N + "faces: no output of the model has the field 'scores'; described: none; the model has: boxes, scores\n  → name the fields of its outputs under model.outputs"),
    (DETECT, ["other={kind: decoder, path: <big>}", "draw.inputs=[other.video, faces]"], N + "draw: detections of 64x48 frames do not fit frames of 96x64\n  → connect the frames that the model read"),
    (DETECT, ["table.path=out.txt"], N + "table: path 'out.txt': extension '.txt' has no known format; allowed: .jsonl, .ndjson, .json, .csv, .parquet, .zip\n  → set pipeline.nodes.table.format to jsonl, json, csv, parquet, coco or yolo"),
    # encoder
    (UPSCALE, ["-sink.path"], N + "sink: path is missing\n  → set pipeline.nodes.sink.path, or container: 'null'"),
    (UPSCALE, ["sink.path=out.xyz"], N + "sink: path 'out.xyz': extension '.xyz' has no known container; allowed: .mp4, .m4v, .mov, .mkv, .webm, .avi, .ts, .m3u8, .mpd, .gif, .webp, .png, .jpg, .jpeg, .tif, .tiff, .bmp, .nut, .y4m, .yuv, .rgb\n  → give the file one of them, or set pipeline.nodes.sink.container"),
    (UPSCALE, ["sink.path=out"], N + "sink: path 'out': extension '' has no known container; allowed: .mp4, .m4v, .mov, .mkv, .webm, .avi, .ts, .m3u8, .mpd, .gif, .webp, .png, .jpg, .jpeg, .tif, .tiff, .bmp, .nut, .y4m, .yuv, .rgb\n  → give the file one of them, or set pipeline.nodes.sink.container"),
    (UPSCALE, ["sink.path=out.webm", "sink.codec=x264"], N + "sink: webm files cannot hold codec x264; allowed: av1_nvenc, svtav1, vp9\n  → choose another codec (encoder=...) or another extension"),
    (UPSCALE, ["sink.codec=x265", "sink.path=out.avi"], N + "sink: avi files cannot hold codec x265; allowed: ffv1, mjpeg, mpeg4, raw, x264\n  → choose another codec (encoder=...) or another extension"),
    (UPSCALE, ["source.path=<variable>", "sink.path=out.avi"], N + "sink: an avi file has a constant frame rate, but these frames are unevenly spaced\n  → write .mkv or .mp4, or set decoder.fps"),
    (UPSCALE, ["sink.crf=52"], N + "sink: crf 52 is out of range for x264: 0..51\n  → set pipeline.nodes.sink.crf within it; a lower value is better and larger"),
    (UPSCALE, ["sink.codec=mpeg4", "sink.crf=3"], N + "sink: crf 3: codec mpeg4 has no constant quality\n  → set pipeline.nodes.sink.crf=null and a bit_rate, such as 4M"),
    (UPSCALE, ["sink.crf=20", "sink.bit_rate=4M"], N + "sink: crf 20 and bit_rate 4000000 are both set, and x264 supports only one\n  → set pipeline.nodes.sink.crf=null or pipeline.nodes.sink.bit_rate=null"),
    (UPSCALE, ["sink.codec=mpeg4", "sink.preset=fast"], N + "sink: preset fast: codec mpeg4 has no presets; only x264, x265, svtav1, vp9, prores, nvenc, hevc_nvenc, av1_nvenc have\n  → set pipeline.nodes.sink.preset=null"),
    (UPSCALE, ["sink.codec=mpeg4", "sink.pixel_format=yuv444p"], N + "sink: codec mpeg4 supports pixel_format yuv420p, not yuv444p\n  → set pipeline.nodes.sink.pixel_format to one of them, or to null"),
    (UPSCALE, ["prepare.size=[25, 32]", "-window", "-net", "restore.inputs=[prepare]", "prepare.fit=stretch"], N + "sink: yuv420p needs an even width and height, not 32x25\n  → set pipeline.nodes.sink.pixel_format=yuv444p"),
    (UPSCALE, ["prepare.size=[25, 33]", "-window", "-net", "restore.inputs=[prepare]", "prepare.fit=stretch", "sink.pixel_format=yuv422p"], N + "sink: yuv422p needs an even width, not 33x25\n  → set pipeline.nodes.sink.pixel_format=yuv444p"),
    (UPSCALE, ["prepare.size=[25, 32]", "-window", "-net", "restore.inputs=[prepare]", "prepare.fit=stretch", "sink.codec=mpeg4"], N + "sink: yuv420p needs an even width and height, not 32x25\n  → choose another codec (encoder=x264) with pixel_format=yuv444p"),
    (UPSCALE, ["sink.path=out.webm", "sink.codec=vp9", "sink.audio=aac"], N + "sink: webm files cannot hold audio aac; allowed: opus\n  → set pipeline.nodes.sink.audio=opus, or write .mkv"),
    (UPSCALE, ["sink.path=out.avi", "sink.audio=opus"], N + "sink: avi files cannot hold audio opus; allowed: aac, mp3, pcm\n  → set pipeline.nodes.sink.audio=aac, or write .mkv"),
    (UPSCALE, ["sink.audio=opus", "sink.backend=bmf"], N + "sink: audio opus: the back end bmf does not write it; it writes copy, aac, none\n  → set pipeline.nodes.sink.backend=pyav"),
    (UPSCALE, ["sink.codec=nvenc", "sink.crf=0"], N + "sink: crf 0 is out of range for nvenc: 1..51\n  → set pipeline.nodes.sink.crf within it; a lower value is better and larger"),
    (UPSCALE, ["sink.codec=nvenc", "sink.path=x.avi"], N + "sink: avi files cannot hold codec nvenc; allowed: ffv1, mjpeg, mpeg4, raw, x264\n  → choose another codec (encoder=...) or another extension"),
    (UPSCALE, ["sink.codec=nvenc", "sink.preset=fast"], N + "sink: preset fast: codec nvenc has no such preset; allowed: p1, p2, p3, p4, p5, p6, p7\n  → set pipeline.nodes.sink.preset=null"),
    (UPSCALE, ["sink.codec=nvenc", "sink.pixel_format=yuv420p10le"], N + "sink: codec nvenc supports pixel_format yuv420p, yuv444p, nv12, not yuv420p10le\n  → set pipeline.nodes.sink.pixel_format to one of them, or to null"),
    (UPSCALE, ["source.path=<full>", "source.hwaccel=cuda"], N + "source: hwaccel cuda decodes 4:2:0, and '<full>' is yuv444p\n  → set pipeline.nodes.source.hwaccel=none"),
    # the plan as a whole
    (UPSCALE, ["-sink"], N + "restore: (frames) its output is not connected\n  → connect it, or take it out with ~pipeline.nodes.restore"),
    (UPSCALE, ["idle={kind: window, inputs: [net]}", "-sink", "-restore"], N + "idle: (window) its output is not connected\n  → connect it, or take it out with ~pipeline.nodes.idle"),
    (DETECT, ["table.path=x.mp4", "table.format=csv", "sink.path=./x.mp4"], N + "sink: path './x.mp4' is also written by 'table'\n  → give pipeline.nodes.sink.path another name"),
    (UPSCALE, ["sink.path=<clip>"], N + "sink: path '<clip>' is read by 'source'\n  → write to another file"),
]

ENGINE: list[tuple[str, list[str], str]] = [
    (UPSCALE, ["net.model.file=no.onnx"], N + "net: model 'tiny': model file 'no.onnx' does not exist\n  → check the path, which is relative to the current folder"),
    (UPSCALE, ["net.model.file=<folder>"], N + "net: model 'tiny': '<folder>' is a folder\n  → name the ONNX file in it"),
    (UPSCALE, ["net.model.file=<clip>"], N + "net: model 'tiny': '<clip>' is not an ONNX model, or it is damaged\n  → fetch or export it again"),
    (UPSCALE, ["net.model.file=<empty>"], N + "net: model 'tiny': '<empty>' holds no network\n  → it may be cut off; fetch or export it again"),
    (UPSCALE, ["-net.model.file", "net.model.source=no.onnx"], N + "net: model 'tiny': 'no.onnx' does not exist\n  → check the path; a relative path starts in the current folder"),
    (UPSCALE, ["-net.model.file", "net.model.source=wheel:x"], N + "net: model 'tiny': 'wheel:x' is not a wheel source\n  → write wheel:NAME==VERSION/FILE"),
    (UPSCALE, ["-net.model.file", "net.model.source=package:nobody/x"], N + "net: model 'tiny': package 'nobody' is not installed\n  → pip install nobody"),
]

RUN: list[tuple[str, list[str], str]] = [
    (UPSCALE, ["source.path=no.mp4"], "node 'source' (decoder): input 'no.mp4' does not exist\n  → check the path; it is relative to this folder"),
    (UPSCALE, ["source.path=<folder>"], "node 'source' (decoder): input '<folder>' is a folder without pictures\n  → name a video file in it, or a folder of png, jpg, webp, bmp or tif files"),
    (UPSCALE, ["source.path=<double>"], "node 'source' (decoder): input '<double>' is not a video that FFmpeg can read (Invalid data found when processing input)\n  → it may be cut off, still being written, or not a media file; try to play it"),
    (UPSCALE, ["source.path=wheel:x"], "node 'source' (decoder): 'wheel:x' is not a wheel source\n  → write wheel:NAME==VERSION/FILE"),
    (UPSCALE, ["source.video=1"], "node 'source' (decoder): input '<clip>' has 1 video stream: there is no stream 1\n  → set `video` to one of: 0"),
    (UPSCALE, ["source.audio=1"], "node 'source' (decoder): input '<clip>' has 1 audio stream: there is no stream 1\n  → set `audio` to one of: 0"),
    (UPSCALE, ["source.start=3"], "node 'source' (decoder): start 3 s is after the end of '<clip>' (0.160 s)\n  → set pipeline.nodes.source.start below 0.160"),
]

# fmt: on
ROWS: list[tuple[type[BmfgraphError], str, list[str], str]] = [
    (kind, base, edits, text)
    for kind, rows in ((SpecError, SPEC), (PlanError, PLAN), (EngineError, ENGINE), (RunError, RUN))
    for base, edits, text in rows
]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the names in angle brackets stand for."""
    folder = tmp_path_factory.mktemp("paths")
    (folder / "empty.onnx").write_bytes(b"")
    found = {
        "clip": make_clip(folder / "clip.mp4", frames=4, audio="aac"),
        "silent": make_clip(folder / "silent.mp4", frames=4),
        "big": make_clip(folder / "big.mp4", frames=4, size=(96, 64)),
        "variable": make_clip(folder / "variable.mp4", times=[0, 0.04, 0.1, 0.3]),
        "full": make_clip(folder / "full.mp4", frames=2, pix_fmt="yuv444p"),
        "double": double_model(folder / "double.onnx"),
        "mix": mix_model(folder / "mix.onnx"),
        "middle": middle_model(folder / "middle.onnx"),
        "negate": negate_model(folder / "negate.onnx"),
        "detector": detector_model(folder / "detector.onnx"),
        "two": identity_model(folder / "two.onnx", "float32", {"a": ["N", 3, "H", "W"], "b": ["N"]}),
        "flat": identity_model(folder / "flat.onnx", "float32", {"input": ["N", 3, "L"]}),
        "strings": identity_model(
            folder / "strings.onnx", "string", {"input": ["N", 3, "H", "W"]}, {"output": ["N", 3, "H", "W"]}
        ),
        "empty": folder / "empty.onnx",
        "folder": folder,
    }
    return {name: str(path) for name, path in found.items()}


def filled(text: str, paths: dict[str, str]) -> str:
    for name, path in paths.items():
        text = text.replace(f"<{name}>", path)
    return text


def edited(base: str, edits: list[str], paths: dict[str, str]) -> Any:
    data = copy.deepcopy(yaml.safe_load(filled(base, paths)))
    for edit in edits:
        if edit.startswith("*"):
            return yaml.safe_load(edit[1:])
        where, _, value = edit.lstrip("-").partition("=")
        *parents, last = where.removeprefix("/").split(".") if "." in where else [where.removeprefix("/")]
        place = data if where.startswith("/") else data["nodes"]
        for parent in parents:
            place = place.setdefault(parent, {})
        if edit.startswith("-"):
            del place[last]
        else:
            place[last] = yaml.safe_load(filled(value, paths))
    return data


def compiled(data: Any) -> Any:
    return compile_pipeline(parse_pipeline(data))


@pytest.mark.parametrize("base", [UPSCALE, TEMPORAL, DETECT, MIX], ids=["upscale", "temporal", "detect", "mix"])
def test_the_pipelines_are_right_before_they_are_spoilt(base: str, paths: dict[str, str]) -> None:
    assert compiled(edited(base, [], paths))


@pytest.mark.parametrize(("kind", "base", "edits", "text"), ROWS, ids=["; ".join(row[2])[:70] for row in ROWS])
def test_message(kind: type[BmfgraphError], base: str, edits: list[str], text: str, paths: dict[str, str]) -> None:
    with pytest.raises(BmfgraphError) as caught:
        compiled(edited(base, edits, paths))
    # A node that a wrong edge leaves idle is told of, too.
    first, *others = getattr(caught.value, "errors", (caught.value,))
    assert str(first) == filled(text, paths)
    assert type(first) is kind
    assert all(problem.hint for problem in first.problems)
    assert [other.problems[0].code for other in others] == ["E304"] * len(others)


def test_a_wrong_checksum_names_the_model(paths: dict[str, str]) -> None:
    data = edited(UPSCALE, ["-net.model.file", "net.model.source=<double>"], paths)
    data["nodes"]["net"]["model"]["sha256"] = "0" * 64
    with pytest.raises(EngineError) as caught:
        compiled(data)
    assert str(caught.value).startswith(
        f"pipeline.nodes.net: model 'tiny': '{paths['double']}' is not the expected file: its sha256 is "
    )


def test_a_size_that_the_network_refuses(tmp_path: Path, paths: dict[str, str]) -> None:
    path = save_model(
        tmp_path / "seven.onnx",
        [helper.make_node("Add", ["input", "w"], ["output"])],
        [tensor_info("input", "float32", ["N", 3, "H", "W"])],
        [tensor_info("output", "float32", ["N", 3, "H", "W"])],
        {"w": np.ones((1, 3, 7, 9), np.float32)},
    )
    with pytest.raises(PlanError) as caught:
        compiled(edited(UPSCALE, [f"net.model.file={path}"], paths))
    assert str(caught.value) == (
        "pipeline.nodes.net: model 'tiny': the network does not take input 1x3x48x64: "
        "(op_type:Add): Incompatible dimensions\n"
        "  → choose another size (`size` or `multiple` of the preprocess node), or correct model.inputs"
    )
    assert compiled(
        edited(UPSCALE, [f"net.model.file={path}", "prepare.size=[7, 9]", "sink.pixel_format=yuv444p"], paths)
    )


def test_no_two_mistakes_give_the_same_text() -> None:
    same_mistake = {N + "sink.inputs: kind 'encoder' takes 1 to 2 input(s), not 0"}  # left out, or empty
    same_mistake |= {row[3] for row in ROWS if "does not have it" in row[3]}  # two orders of inputs
    texts = [row[3] for row in ROWS if row[3] not in same_mistake]
    assert len(texts) == len(set(texts))


def test_every_message_says_where_and_what_to_do() -> None:
    for kind, _, edits, text in ROWS:
        where = ("node '", "pipeline") if kind is RunError else ("pipeline",)
        assert text.startswith(where), edits
        if kind is not SpecError:
            assert "\n  → " in text, edits
