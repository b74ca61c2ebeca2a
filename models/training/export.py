"""Writes a folded network as an ONNX file with 8-bit input and output, and reads one back.

The files use opset 13 and IR version 8, which runtimes have read for years; every size is dynamic.  8-bit
tensors meet only a Cast, because not every runtime computes on them.  The picture stays on the scale 0..255
inside: 1/255 goes into the first weights and 255 into the last ones, so that a host has nothing to normalise.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .folded import FoldedNetwork
from .resample import FloatArray

_OPSET = 13
_IR_VERSION = 8
_PRODUCER = "bmfgraph"
_TO_UNIT = 1 / 255.0
_FROM_UNIT = 255.0
_WINDOW_CHANNELS = 21
_TRIPLETS = 5
_FRAMES_OUT = 3
_FIRST_OUT = 2  # window frames 2, 3 and 4, counted from 0, are the ones that come out


class _GraphBuilder:
    """Collects nodes and initialisers; each method adds one layer and returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: FloatArray) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def scalar(self, name: str, value: float) -> str:
        self.initializers.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=name, **attributes))
        return output

    def conv(self, source: str, layer: str, output: str, weight: FloatArray, bias: FloatArray | None) -> str:
        inputs = [source, self.constant(f"{layer}.w", weight)]
        if bias is not None:
            inputs.append(self.constant(f"{layer}.b", bias))
        stride = [2, 2] if layer.endswith("down") else [1, 1]
        padding, kernel_shape = [weight.shape[-1] // 2] * 4, list(weight.shape[2:])
        return self.node("Conv", inputs, output, layer, pads=padding, kernel_shape=kernel_shape, strides=stride)

    def relu(self, source: str, layer: str) -> str:
        return self.node("Relu", [source], f"{source}r", f"{layer}/relu")

    def add(self, left: str, right: str, output: str) -> str:
        return self.node("Add", [left, right], output, output)

    def concat(self, parts: list[str], output: str, axis: int) -> str:
        return self.node("Concat", parts, output, output, axis=axis)

    def part(self, source: str, first: int, last: int, axis: int, output: str) -> str:
        """The range ``first`` to ``last`` of an axis."""
        bounds = [self.integers(f"{output}.{name}", [value]) for name, value in (("from", first), ("to", last))]
        return self.node("Slice", [source, *bounds, self.integers(f"axis{axis}", [axis])], output, output)

    def cropped(self, source: str, like: str, output: str) -> str:
        """The upper left part of ``source``, as high and wide as ``like``."""
        shape = self.node("Shape", [like], f"{output}.shape", f"{output}.shape")
        size = self.part(shape, 2, 4, 0, f"{output}.size")
        inputs = [source, self.integers("origin", [0, 0]), size, self.integers("sides", [2, 3])]
        return self.node("Slice", inputs, output, output)

    def integers(self, name: str, values: list[int]) -> str:
        if all(tensor.name != name for tensor in self.initializers):
            self.initializers.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name


def build_model(network: FoldedNetwork, name: str) -> onnx.ModelProto:
    """Builds the ONNX model of a folded network.

    Args:
        network: what ``fold`` gave.
        name: the graph's name.

    Returns:
        A checked model.  For single pictures: ``input`` uint8 (N, 3, H, W) to ``output`` uint8 (N, 3, scale * H,
        scale * W).  "temporal": ``input:0`` uint8 (1, H, W, 21), seven RGB frames, to ``output:0`` uint8 (1, 2H,
        2W, 9), the frames at window positions 2, 3 and 4 counted from 0.  RGB, rounded to the nearest, halves to
        even.

    Raises:
        KeyError: the network lacks a layer.
        onnx.checker.ValidationError: the weights do not fit together.
    """
    temporal, scale = network.kind == "temporal", network.scale
    input_name, output_name = ("input:0", "output:0") if temporal else ("input", "output")
    graph = _GraphBuilder()
    x = graph.node("Cast", [input_name], "x0", "to_float", to=TensorProto.FLOAT)
    extra = None
    if temporal:
        window = graph.node("Transpose", [x], "x", "to_nchw", perm=[0, 3, 1, 2])
        extra = _window_features(graph, network, window)
        last = _FIRST_OUT + _FRAMES_OUT
        parts = [graph.part(window, 3 * i, 3 * i + 3, 1, f"frame{i}") for i in range(_FIRST_OUT, last)]
        x = graph.concat(parts, "frames", axis=0)
    residual = _fast_body(graph, network, x) if network.kind == "fast" else _residual_body(graph, network, x, extra)
    base = graph.conv(x, "skip", "base", network.tensors["skip"], bias=None)
    phases = graph.add(residual, base, "sum")
    picture = graph.node("DepthToSpace", [phases], "big", "shuffle", blocksize=scale, mode="CRD")
    rounded = graph.node("Round", [picture], "rnd", "round")
    low, high = graph.scalar("lo", 0), graph.scalar("hi", 255)
    y = graph.node("Clip", [rounded, low, high], "clp", "clip")
    if temporal:
        parts = [graph.part(y, i, i + 1, 0, f"out{i}") for i in range(_FRAMES_OUT)]
        joined = graph.concat(parts, "outs", axis=1)
        y = graph.node("Transpose", [joined], "nhwc", "to_nhwc", perm=[0, 2, 3, 1])
    graph.node("Cast", [y], output_name, "to_uint8", to=TensorProto.UINT8)

    in_shape: list[int | str | None] = [1, "H", "W", _WINDOW_CHANNELS] if temporal else ["N", 3, "H", "W"]
    height, width = f"{scale}*H", f"{scale}*W"
    out_shape: list[int | str | None] = [1, height, width, 9] if temporal else ["N", 3, height, width]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            name,
            [helper.make_tensor_value_info(input_name, TensorProto.UINT8, in_shape)],
            [helper.make_tensor_value_info(output_name, TensorProto.UINT8, out_shape)],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        producer_name=_PRODUCER,
    )
    model.ir_version = _IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model


def _fast_body(graph: _GraphBuilder, network: FoldedNetwork, x: str) -> str:
    for i in range(network.count("convs")):
        layer = f"convs.{i}"
        x = graph.relu(_conv(graph, network, x, layer, f"f{i}", _TO_UNIT if i == 0 else 1.0), layer)
    return _tail(graph, network, x, "tail")


def _residual_body(graph: _GraphBuilder, network: FoldedNetwork, x: str, extra: str | None) -> str:
    prefix = "" if extra is None else "trunk."
    shallow = _conv(graph, network, x, f"{prefix}head", "h", _TO_UNIT)
    if extra is not None:
        shallow = graph.add(shallow, extra, "told")
    features, joined = shallow, []
    for i in range(network.count(f"{prefix}c1")):
        features = _block(graph, network, features, prefix, i)
        if i + 1 in network.taps:
            joined.append(features)
    concatenated = graph.concat(joined, "cat", axis=1)
    fused = graph.relu(_conv(graph, network, concatenated, f"{prefix}fuse", "fu"), "fuse")
    deep = _conv(graph, network, fused, f"{prefix}post", "po")
    return _tail(graph, network, graph.add(shallow, deep, "long"), f"{prefix}tail")


def _window_features(graph: _GraphBuilder, network: FoldedNetwork, window: str) -> str:
    """The two stages of ``TemporalNetwork``; frames and triplets lie one after the other in the batch."""
    parts = [graph.part(window, 3 * i, 3 * i + 9, 1, f"three{i}") for i in range(_TRIPLETS)]
    triplets = graph.concat(parts, "threes", axis=0)
    entered = graph.relu(_conv(graph, network, triplets, "enter", "en", _TO_UNIT), "enter")
    near = _coarse_path(graph, network, entered, "near")
    seen = [graph.part(near, i, i + 1, 0, f"seen{i}") for i in range(_TRIPLETS)]
    fives = [graph.concat(seen[i : i + 3], f"five{i}", axis=1) for i in range(_FRAMES_OUT)]
    joined = graph.relu(_conv(graph, network, graph.concat(fives, "fives", axis=0), "join", "jo"), "join")
    return _conv(graph, network, _coarse_path(graph, network, joined, "far"), "merge", "me")


def _coarse_path(graph: _GraphBuilder, network: FoldedNetwork, x: str, layer: str) -> str:
    features = graph.relu(_conv(graph, network, x, f"{layer}.down", f"{layer}.d"), f"{layer}.down")
    for i in range(network.count(f"{layer}.c1")):
        features = _block(graph, network, features, f"{layer}.", i)
    phases = _conv(graph, network, features, f"{layer}.up", f"{layer}.u")
    large = graph.node("DepthToSpace", [phases], f"{layer}.large", f"{layer}.shuffle", blocksize=2, mode="CRD")
    return graph.add(x, graph.cropped(large, x, f"{layer}.cut"), f"{layer}.sum")


def _block(graph: _GraphBuilder, network: FoldedNetwork, x: str, prefix: str, i: int) -> str:
    first = graph.relu(_conv(graph, network, x, f"{prefix}c1.{i}", f"{prefix}a{i}"), f"{prefix}c1.{i}")
    return graph.add(x, _conv(graph, network, first, f"{prefix}c2.{i}", f"{prefix}b{i}"), f"{prefix}r{i}")


def _conv(graph: _GraphBuilder, network: FoldedNetwork, x: str, layer: str, output: str, gain: float = 1.0) -> str:
    tensors = network.tensors
    return graph.conv(x, layer, output, tensors[f"{layer}.w"] * gain, tensors[f"{layer}.b"])


def _tail(graph: _GraphBuilder, network: FoldedNetwork, x: str, layer: str) -> str:
    weight, bias = network.tensors[f"{layer}.w"], network.tensors[f"{layer}.b"]
    return graph.conv(x, layer, "res", weight * _FROM_UNIT, bias * _FROM_UNIT)


def export(network: FoldedNetwork, path: Path) -> None:
    """Writes a folded network as an ONNX file whose graph is named after the file; see ``build_model``."""
    onnx.save(build_model(network, path.stem), path)


def read_folded(path: Path, kind: str) -> FoldedNetwork:
    """Reads the network out of an ONNX file that ``export`` wrote, to train it on.

    Args:
        path: the file.
        kind: one of ``KINDS``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the kind is unknown, or the file is not one of the recipe's.
    """
    graph = onnx.load(path).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    layers = {name: tensor for name, tensor in tensors.items() if name.endswith((".w", ".b"))}
    if "skip.w" not in layers:
        raise ValueError(f"{path} is not a file that the recipe exported")
    layers["skip"] = layers.pop("skip.w")
    gains = {f"{layer}.w": _TO_UNIT for layer in ("convs.0", "head", "trunk.head", "enter")}
    gains |= {f"{layer}.{part}": _FROM_UNIT for layer in ("tail", "trunk.tail") for part in "wb"}
    folded = {name: (tensor / gains.get(name, 1)).astype(np.float32) for name, tensor in layers.items()}
    joins = [node for node in graph.node if node.output[0] == "cat"]
    blocks = [name.rpartition("r")[2] for node in joins for name in node.input]
    return FoldedNetwork(kind, tuple(int(block) + 1 for block in blocks), MappingProxyType(folded))
