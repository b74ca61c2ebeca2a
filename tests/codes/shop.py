"""Write the folder of the table's commands: good and bad clips and models, machines, third parties' kinds."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from PIL import Image

from bmfgraph.system.machine import Library, Machine
from tests.compile.machines import ADA_RTX, BARE, H200, HOPPER, HOPPER_LEAN, HOPPER_RTX, HOPPER_TRT
from tests.nodes.test_registry import make_pack
from tests.runner.command import clip as noise
from tests.runner.media_tools import Sound
from tests.runner.track_clips import Track, write_tracks
from tests.tools import (
    Shape,
    cut,
    detector_model,
    double_model,
    holed,
    identity_model,
    make_clip,
    middle_model,
    mix_model,
    negate_model,
    save_model,
    shaped_model,
    tensor_info,
)

__all__ = ["MACHINES", "fill"]

MACHINES = {
    "bare": BARE,
    "gpu": HOPPER,
    "trt": HOPPER_TRT,
    "trt_ada": Machine(ADA_RTX.gpu, "", HOPPER_TRT.libraries),
    "trt_new": Machine(H200, "", (Library("tensorrt", "tensorrt", "10.16.0", True),)),
    "lean": HOPPER_LEAN,
    "rtx": ADA_RTX,
    "rtx_hopper": HOPPER_RTX,
}
"""Machines for ``target=NAME.json``."""

_CONF = {
    "model/tiny_detector": """
        name: tiny
        file: detector.onnx
        inputs: {input: {mean: 127, std: 128}}
        decode: {preset: ultraface, threshold: 0.5, box: xyxy}
        """,
    "model/middle": """
        name: middle
        file: middle.onnx
        inputs: {"input:0": {layout: NHWC}}
        outputs: {"output:0": {layout: NHWC}}
        window: {frames: 7, outputs: [2, 3, 4], step: 3}
        """,
    "model/mix": """
        name: mix
        file: mix.onnx
        inputs: {a: {}, b: {channels: BGR}}
        outputs: {output: {}}
        """,
    "model/noted": """
        name: noted
        file: noted.onnx
        """,
    "pipeline/copy": """
        # @package pipeline
        name: copy
        nodes:
          source: {use: "${decoder}", path: "${input}"}
          sink: {kind: encoder, inputs: [source.video, source.audio], use: "${encoder}", path: "${output}"}
        """,
    "pipeline/mix": """
        # @package pipeline
        name: mix
        nodes:
          source: {use: "${decoder}", path: "${input}"}
          one: {kind: preprocess, inputs: [source.video]}
          two: {kind: preprocess, inputs: [source.video]}
          net: {kind: inference, inputs: [one, two], model: "${model}", engine: "${engine}"}
          restore: {kind: frames, inputs: [net]}
          sink: {kind: encoder, inputs: [restore, source.audio], use: "${encoder}", path: "${output}"}
        """,
    "pipeline/nameless": "nodes: {source: {kind: decoder, path: clip.mp4}}",
    "pipeline/calling": "name: x\nnodes: {}\nhydra: {callbacks: {x: {_target_: evil.Call}}}\n",
    "pipeline/unclosed": "name: x\nnodes: {source: {kind: decoder\n",
    "pipeline/tabbed": "name: x\n\tnodes: {}\n",
    "pipeline/doubled": "name: x\nname: y\n",
    "pipeline/defaults": "defaults: [override /model: centerface]\nname: x\n",
    "pipeline/astray": "# @package _global_\ndefaults: [override /modl: centerface]\npipeline: {name: x}\n",
    "pipeline/circle": "name: x\na: ${pipeline.b}\nb: ${pipeline.a}\n",
    "pipeline/brace": 'name: x\nnodes: {source: {kind: decoder, path: "${input"}}\n',
    "pipeline/bad_name": "name: x\nnodes: {my node: {kind: decoder, path: clip.mp4}}\n",
    "pipeline/list": "name: x\nnodes: [{kind: decoder}]\n",
}
_KINDS = '''
"""Define kinds that break the contract of a kind, each in another way."""

import os
import signal

from typing import Literal

from bmfgraph.nodes.base import NodeSpec
from bmfgraph.stages.base import Stage
from bmfgraph.plan.plan import Inferred
from bmfgraph.plan.types import Port, TensorSpec


class Handing(NodeSpec):
    """Passes its input on."""

    stage = "odd_kinds:Fails"

    def infer(self, node, inputs, requirement):
        return Inferred((Port("out", inputs[0]),), self.kind)


class TwoPorts(Handing):
    kind: Literal["two_ports"]

    def ports(self):
        return ("out", "other")


class NoJson(Handing):
    kind: Literal["no_json"]

    def infer(self, node, inputs, requirement):
        return Inferred((Port("out", inputs[0]),), {1, 2})


class NoStage(Handing):
    kind: Literal["no_stage"]
    stage = ""


class WrongStage(Handing):
    kind: Literal["wrong_stage"]
    stage = "odd_kinds:NoKind"


class Divides(Handing):
    kind: Literal["divides"]

    def infer(self, node, inputs, requirement):
        return 1 // 0


class Portless(Handing):
    kind: Literal["portless"]

    def ports(self):
        raise RuntimeError("the ports are being cleaned")


class Floating(Handing):
    """A tensor without the position of the source image."""

    kind: Literal["floating"]

    def accepts(self, index):
        return None

    def infer(self, node, inputs, requirement):
        return Inferred((Port("out", TensorSpec("input", requirement.tensor.dims, "float32", requirement.meaning)),))


class Breaking(Handing):
    kind: Literal["breaking"]


class Stopping(Handing):
    kind: Literal["stopping"]


class Fails(Stage):
    def process(self, frame):
        if frame.index == 2 and self.params == "breaking":
            raise ValueError("no more of these frames")
        if frame.index == 2 and self.params == "stopping":
            os.kill(os.getpid(), signal.SIGINT)
        return [frame]


class NoKind:
    def __init__(self, *words):
        pass
'''


def fill(folder: Path) -> None:
    """Write all files of the folder."""
    _clips(folder)
    _models(folder)
    for name, text in _CONF.items():
        path = folder / "conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
    for name, machine in MACHINES.items():
        (folder / f"{name}.json").write_text(json.dumps({"machine": asdict(machine)}))
    (folder / "latin" / "pipeline").mkdir(parents=True)
    (folder / "latin" / "pipeline" / "latin.yaml").write_bytes(b"name: x\n" * 2000 + "# größer\n".encode("latin-1"))
    newer = {"schema": 99, "machine": asdict(BARE)}
    (folder / "newer.json").write_text(json.dumps(newer))
    _packs(folder / "packs")
    (folder / "folder").mkdir()
    (folder / "foreign").mkdir()
    (folder / "foreign" / "report.html").write_text("a report of someone else")
    for name, side in {"gap_002": 16, "gap_004": 16, "size_1": 16, "size_2": 8}.items():
        Image.new("RGB", (side, side)).save(folder / f"{name}.png")
    (folder / "text.mp4").write_text("no video\n" * 200)
    (folder / "damaged.jpg").write_bytes(b"\xff\xd8 no picture")
    (folder / "list.mp4").write_text("ffconcat version 1.0\nfile clip.mp4\n")


def _clips(folder: Path) -> None:
    make_clip(folder / "clip.mp4", frames=4, audio="aac")
    make_clip(folder / "silent.mp4", frames=4)
    fast = Track(Sound("pcm_s16le", seconds=0.1, rate=192_000))
    write_tracks(folder / "rich.mkv", sounds=[fast], chapters=[(0, 80, "one"), (80, 160, "two")], frames=4)
    make_clip(folder / "big.mp4", frames=4, size=(96, 64))
    make_clip(folder / "twice.mp4", frames=3, size=(128, 96))
    make_clip(folder / "longer.mp4", frames=4, size=(128, 96))
    make_clip(folder / "tiny.mp4", frames=2, size=(2, 2))
    make_clip(folder / "odd.mkv", frames=2, size=(33, 48), pix_fmt="yuv444p")
    hdr = {"preset": "ultrafast", "x264-params": "transfer=smpte2084:colorprim=bt2020:colormatrix=bt2020nc"}
    make_clip(folder / "deep.mkv", frames=2, pix_fmt="yuv420p10le")
    make_clip(folder / "hdr.mkv", frames=2, pix_fmt="yuv420p10le", options=hdr)
    make_clip(folder / "av1.mp4", frames=1, size=(64, 64), codec="libsvtav1", options={"preset": "11"})
    make_clip(folder / "variable.mp4", times=[0, 0.04, 0.1, 0.3])
    make_clip(folder / "full.mp4", frames=2, pix_fmt="yuv444p")
    make_clip(folder / "fields.mp4", frames=2, options={"x264-params": "interlaced=1"})
    parts = [make_clip(folder / f"{width}.h264", frames=2, size=(width, 48)) for width in (64, 96)]
    (folder / "sizes.h264").write_bytes(b"".join(part.read_bytes() for part in parts))
    noise(folder / "sound.mp4", sound_only=True)
    noise(folder / "noise.mkv", frames=60)
    noise(folder / "index_first.mp4", frames=30, index_first=True)
    holed(folder / "noise.mkv", folder / "holed.mkv")
    make_clip(folder / "one.mpg", frames=10, codec="mpeg1video")
    (folder / "spliced.mpg").write_bytes((folder / "one.mpg").read_bytes() * 2)
    cut(folder / "index_first.mp4", folder / "cut.mp4", 0.6)
    data = (folder / "index_first.mp4").read_bytes()
    (folder / "frameless.mp4").write_bytes(data[: data.index(b"mdat") + 4])


def _models(folder: Path) -> None:
    notes = {"task": "detect", "names": "{0: 'cat', 1: 'dog'}", "stride": "32", "license": "AGPL-3.0 License"}
    for name, other in {"noted": {}, "shouted": {"names": "cat!"}, "dancing": {"task": "dance"}}.items():
        shaped_model(folder / f"{name}.onnx", {"images": (1, 3, 32, 32)}, {"output0": (1, 6, 21)}, notes | other)
    picture: dict[str, Shape] = {"input": ["N", 3, "H", "W"]}
    as_output: dict[str, Shape] = {"output": ["N", 3, "H", "W"]}
    double_model(folder / "double.onnx")
    mix_model(folder / "mix.onnx")
    middle_model(folder / "middle.onnx")
    negate_model(folder / "negate.onnx")
    negate_model(folder / "old.onnx", weights_as_inputs=True)
    detector_model(folder / "detector.onnx")
    identity_model(folder / "flat.onnx", "float32", {"input": ["N", 3, "L"]}, {"output": ["N", 3, "L"]})
    identity_model(folder / "strings.onnx", "string", picture, as_output)
    (folder / "many.txt").write_text("".join(f"class {number}\n" for number in range(256)))
    identity_model(folder / "grey.onnx", "float32", {"input": ["N", 1, "H", "W"]}, {"output": ["N", 1, "H", "W"]})
    (folder / "empty.onnx").touch()
    inputs, outputs = ([tensor_info(name, "uint8", ["N", 3, "H", "W"])] for name in ("input", "output"))
    stack = helper.make_node("Concat", ["input", "input"], ["output"], axis=0)
    save_model(folder / "stacked.onnx", [stack], inputs, [tensor_info("output", "uint8", ["N2", 3, "H", "W"])])
    add = helper.make_node("Add", ["input", "input"], ["output"], name="sum")
    save_model(folder / "sums.onnx", [add], inputs, outputs)
    inputs, outputs = ([tensor_info(name, "float32", ["N", 3, "H", "W"])] for name in ("input", "output"))
    pool = helper.make_node("AveragePool", ["input"], ["output"], kernel_shape=[2, 2], strides=[2, 2])
    save_model(folder / "half.onnx", [pool], inputs, [tensor_info("output", "float32", ["N", 3, "H2", "W2"])])
    add = helper.make_node("Add", ["input", "w"], ["output"])
    save_model(folder / "seven.onnx", [add], inputs, outputs, {"w": np.ones((1, 3, 7, 9), np.float32)})
    _raw_model(folder / "strange.onnx", ["N", 3, "H", "W"], domain="org.example")
    _bad_models(folder)
    _raw_model(folder / "future.onnx", ["N", 3, "H", "W"], opset=onnx.defs.onnx_opset_version() + 70)
    model = onnx.load(str(folder / "seven.onnx"))
    onnx.save(model, str(folder / "apart.onnx"), save_as_external_data=True, location="weights.bin", size_threshold=0)
    (folder / "weights.bin").unlink()


def _bad_models(folder: Path) -> None:
    """Write models that onnx or ONNX Runtime refuses, or that take too much of the machine."""
    inputs, outputs = ([tensor_info(name, "float32", ["N", 3, "H", "W"])] for name in ("input", "output"))
    keep = helper.make_node("Compress", ["input", "keep"], ["output"], axis=3)
    free = [tensor_info("output", "float32", ["N", 3, "H", "kept"])]
    save_model(folder / "ragged.onnx", [keep], inputs, free, {"keep": np.ones(7, np.bool_)})
    add = helper.make_node("Add", ["input", "w"], ["output"])
    save_model(folder / "mixed.onnx", [add], inputs, outputs, {"w": np.ones(1, np.float64)})
    negate_model(folder / "small.onnx", shape=(1, 3, 24, 32))
    many = np.array([90_000, 1, 1, 1, 1], np.int64)
    tail = [helper.make_node("ReduceMax", ["large"], ["most"], keepdims=0)]
    tail += [helper.make_node("Add", ["input", "most"], ["output"])]
    expand = helper.make_node("Expand", ["input", "many"], ["large"])
    save_model(folder / "growing.onnx", [expand, *tail], inputs, outputs, {"many": many})
    # Shape inference computes the values of shapes, and each node doubles their number.
    nodes = [helper.make_node("Shape", ["input"], ["s0"])]
    nodes += [helper.make_node("Concat", [f"s{step}"] * 2, [f"s{step + 1}"], axis=0) for step in range(40)]
    nodes += [helper.make_node("Cast", ["s40"], ["large"], to=onnx.TensorProto.FLOAT)]
    save_model(folder / "doubling.onnx", [*nodes, *tail], inputs, outputs)
    # One value in a tensor of 2 GiB.
    value = numpy_helper.from_array(np.ones(1, np.float32), "large")
    sparse = helper.make_sparse_tensor(value, numpy_helper.from_array(np.zeros(1, np.int64), "places"), [(1 << 29) - 1])
    graph = helper.make_graph(tail, "tiny", inputs, outputs, sparse_initializer=[sparse])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "sparse.onnx"))


def _raw_model(path: Path, shape: Shape, *, domain: str = "", opset: int = 17) -> None:
    """Write a model of one node, whose operator onnx does not check."""
    tensors = [tensor_info(name, "float32", shape) for name in ("input", "output")]
    node = helper.make_node("Relu" if not domain else "Wobble", ["input"], ["output"], domain=domain)
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    graph = helper.make_graph([node], "raw", tensors[:1], tensors[1:])
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))


def _packs(folder: Path) -> None:
    names = {
        **{"two_ports": "TwoPorts", "no_json": "NoJson", "no_stage": "NoStage", "wrong_stage": "WrongStage"},
        **{"divides": "Divides", "portless": "Portless", "floating": "Floating", "no_kind": "NoKind"},
        **{"breaking": "Breaking", "stopping": "Stopping"},
    }
    make_pack(folder / "odd", "odd-kinds", {kind: f"odd_kinds:{name}" for kind, name in names.items()})
    (folder / "odd" / "odd_kinds.py").write_text(_KINDS)
    make_pack(folder / "broken", "broken-pack", {"broken": "broken_pack:Broken"})
    (folder / "broken" / "broken_pack.py").write_text("import a_library_that_is_not_installed\n")
    make_pack(folder / "leaving", "leaving-pack", {"leaving": "leaving_pack:Leaving"})
    (folder / "leaving" / "leaving_pack.py").write_text("import sys\nsys.exit(0)\n")
    for name in ("first", "second"):
        make_pack(folder / name, f"{name}-pack", {"twice": f"{name}_pack:Twice"})
    # A decord without its libraries.
    make_pack(folder / "no_libraries", "decord", {})
