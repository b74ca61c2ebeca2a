"""Writes a folded network as an ONNX file with 8-bit input and output, and reads one back.

The files use opset 13 and IR version 8, which runtimes have read for years; every size is dynamic.  8-bit
tensors meet only a Cast, because not every runtime computes on them.  The picture stays on the scale 0..255
inside: 1/255 goes into the first weights and 255 into the last ones, so that a host has nothing to normalise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .folded import FoldedNetwork
from .resample import FloatArray

_OPSET = 13
_IR_VERSION = 8
# What the shipped files carry, kept so that exporting their weights again gives the same bytes.
_PRODUCER = "train_sr.py"
_TO_UNIT = 1 / 255.0
_FROM_UNIT = 255.0
_WINDOW_CHANNELS = 21
_FIRST_BASE_CHANNEL = 6  # window frames 2, 3 and 4, counted from 0, are the ones that come out
_FRAMES_OUT = 3


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
        padding, kernel_shape = [weight.shape[-1] // 2] * 4, list(weight.shape[2:])
        return self.node("Conv", inputs, output, layer, pads=padding, kernel_shape=kernel_shape)

    def relu(self, source: str, layer: str) -> str:
        return self.node("Relu", [source], f"{source}r", f"{layer}/relu")

    def add(self, left: str, right: str, output: str) -> str:
        return self.node("Add", [left, right], output, output)


def build_model(network: FoldedNetwork, name: str) -> onnx.ModelProto:
    """Builds the ONNX model of a folded network.

    Args:
        network: what ``fold`` gave.
        name: the graph's name.

    Returns:
        A checked model.  "fast" and "quality": ``input`` uint8 (N, 3, H, W) to ``output`` uint8 (N, 3, 2H,
        2W). "temporal": ``input:0`` uint8 (1, H, W, 21), seven RGB frames, to ``output:0`` uint8 (1, 2H, 2W,
        9), the frames at window positions 2, 3 and 4 counted from 0.  RGB, rounded to the nearest, halves to
        even.

    Raises:
        KeyError: the network lacks a layer.
        onnx.checker.ValidationError: the weights do not fit together.
    """
    temporal = network.kind == "temporal"
    input_name, output_name = ("input:0", "output:0") if temporal else ("input", "output")
    graph = _GraphBuilder()
    x = graph.node("Cast", [input_name], "x0", "to_float", to=TensorProto.FLOAT)
    if temporal:
        x = graph.node("Transpose", [x], "x", "to_nchw", perm=[0, 3, 1, 2])
    residual = (_fast_body if network.kind == "fast" else _residual_body)(graph, network, x)
    skip = _window_skip(network.tensors["skip"]) if temporal else network.tensors["skip"]
    base = graph.conv(x, "skip", "base", skip, bias=None)
    phases = graph.add(residual, base, "sum")
    picture = graph.node("DepthToSpace", [phases], "big", "shuffle", blocksize=2, mode="CRD")
    rounded = graph.node("Round", [picture], "rnd", "round")
    low, high = graph.scalar("lo", 0), graph.scalar("hi", 255)
    y = graph.node("Clip", [rounded, low, high], "clp", "clip")
    if temporal:
        y = graph.node("Transpose", [y], "nhwc", "to_nhwc", perm=[0, 2, 3, 1])
    graph.node("Cast", [y], output_name, "to_uint8", to=TensorProto.UINT8)

    in_shape: list[int | str | None] = [1, "H", "W", _WINDOW_CHANNELS] if temporal else ["N", 3, "H", "W"]
    out_shape: list[int | str | None] = [1, "2*H", "2*W", 9] if temporal else ["N", 3, "2*H", "2*W"]
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
    tensors = network.tensors
    for i in range(network.count("convs")):
        layer = f"convs.{i}"
        weight = tensors[f"{layer}.w"] * (_TO_UNIT if i == 0 else 1.0)
        x = graph.relu(graph.conv(x, layer, f"f{i}", weight, tensors[f"{layer}.b"]), layer)
    return _tail(graph, network, x)


def _residual_body(graph: _GraphBuilder, network: FoldedNetwork, x: str) -> str:
    tensors = network.tensors

    def conv(source: str, layer: str, output: str) -> str:
        return graph.conv(source, layer, output, tensors[f"{layer}.w"], tensors[f"{layer}.b"])

    shallow = features = graph.conv(x, "head", "h", tensors["head.w"] * _TO_UNIT, tensors["head.b"])
    joined = []
    for i in range(network.count("c1")):
        first = graph.relu(conv(features, f"c1.{i}", f"a{i}"), f"c1.{i}")
        features = graph.add(features, conv(first, f"c2.{i}", f"b{i}"), f"r{i}")
        if i + 1 in network.taps:
            joined.append(features)
    concatenated = graph.node("Concat", joined, "cat", "cat", axis=1)
    fused = graph.relu(conv(concatenated, "fuse", "fu"), "fuse")
    deep = conv(fused, "post", "po")
    return _tail(graph, network, graph.add(shallow, deep, "long"))


def _tail(graph: _GraphBuilder, network: FoldedNetwork, x: str) -> str:
    weight, bias = network.tensors["tail.w"], network.tensors["tail.b"]
    return graph.conv(x, "tail", "res", weight * _FROM_UNIT, bias * _FROM_UNIT)


def _window_skip(skip: FloatArray) -> FloatArray:
    """The bicubic-like kernels, (12, 3, 5, 5), spread over a window: (36, 21, 5, 5), zero for unused frames.

    So the base pictures come from one convolution, without slicing the window or reshaping its frames.
    """
    spread = np.zeros((12 * _FRAMES_OUT, _WINDOW_CHANNELS, *skip.shape[2:]), np.float32)
    for frame in range(_FRAMES_OUT):
        channel = _FIRST_BASE_CHANNEL + 3 * frame
        spread[12 * frame : 12 * frame + 12, channel : channel + 3] = skip
    return spread


def export(network: FoldedNetwork, path: Path) -> None:
    """Writes a folded network as an ONNX file whose graph is named after the file; see ``build_model``."""
    onnx.save(build_model(network, path.stem), path)


def read_folded(path: Path) -> FoldedNetwork:
    """Reads the folded weights back from an ONNX file that ``export`` wrote.

    Exporting them again gives equal initialisers, bit for bit.

    Args:
        path: an ONNX file of one of this project's networks.

    Raises:
        KeyError: the file lacks a layer, so it is none of this project's networks.
    """
    graph = onnx.load(path).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    joined = next((list(node.input) for node in graph.node if node.op_type == "Concat"), [])
    skip, first = tensors.pop("skip.w"), "convs.0" if "convs.0.w" in tensors else "head"
    for bound in ("lo", "hi"):
        del tensors[bound]
    tensors[f"{first}.w"] = _undo_scale(tensors[f"{first}.w"], _TO_UNIT)
    for name in ("tail.w", "tail.b"):
        tensors[name] = _undo_scale(tensors[name], _FROM_UNIT)
    tensors["skip"] = skip[:12, _FIRST_BASE_CHANNEL : _FIRST_BASE_CHANNEL + 3] if len(skip) > 12 else skip
    kind = "fast" if first == "convs.0" else "temporal" if len(skip) > 12 else "quality"
    taps = tuple(int(name.removeprefix("r")) + 1 for name in joined)
    return FoldedNetwork(kind, taps, tensors)


def _undo_scale(scaled: FloatArray, factor: float) -> FloatArray:
    """Finds float32 values whose product with ``factor`` is ``scaled``, bit for bit.

    Division alone can miss by a unit in the last place, so its neighbours are tried too.
    """
    quotient = (scaled / factor).astype(np.float32)
    result = quotient.copy()
    for direction in (np.float32(-np.inf), np.float32(np.inf)):
        neighbour = np.nextafter(quotient, direction)
        better = (result * factor != scaled) & (neighbour * factor == scaled)
        result[better] = neighbour[better]
    return result
