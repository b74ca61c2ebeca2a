"""Test which nodes behind a network's last convolution stay in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from bmfgraph.engines.onnx.graph import element_types
from bmfgraph.engines.onnx.precision import prepare_network
from bmfgraph.engines.onnx.sensitive import precision_sensitive_outputs, tail
from tests.engines.engine_tools import rtx as rtx
from tests.engines.onnx.test_precision import takes
from tests.tools import save_model, tensor_info

FLOAT = onnx.TensorProto.FLOAT
SHAPE = (1, 3, 8, 8)


def head(path: Path) -> Path:
    """Save a detector's head: probabilities, log sizes, and a plain map of the same convolution."""
    rng = np.random.default_rng(3)
    weights: dict[str, Any] = {
        "weight": rng.normal(0, 0.5, (2, 3, 3, 3)).astype(np.float32),
        "shape": np.array([1, 2, 64], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["input", "weight"], ["map"], pads=[1, 1, 1, 1]),
        helper.make_node("Reshape", ["map", "shape"], ["flat"]),
        helper.make_node("Softmax", ["flat"], ["scores"], axis=1),
        helper.make_node("Exp", ["map"], ["grown"]),
        helper.make_node("Add", ["grown", "grown"], ["sizes"]),
        helper.make_node("Relu", ["map"], ["picture"]),
    ]
    outputs = [
        tensor_info("scores", "float32", (1, 2, 64)),
        tensor_info("sizes", "float32", (1, 2, 8, 8)),
        tensor_info("picture", "float32", (1, 2, 8, 8)),
    ]
    return save_model(path, nodes, [tensor_info("input", "float32", SHAPE)], outputs, weights)


@pytest.fixture
def model(tmp_path: Path) -> Any:
    return onnx.load(str(head(tmp_path / "head.onnx")))


def operators(model: Any, output: str) -> list[str]:
    return [model.graph.node[index].op_type for index in tail(model, output)]


def test_a_tail_ends_at_the_last_convolution(model: Any) -> None:
    assert operators(model, "scores") == ["Reshape", "Softmax"]
    assert operators(model, "sizes") == ["Exp", "Add"]
    assert operators(model, "picture") == ["Relu"]
    assert operators(model, "input") == []


def test_probabilities_and_exponents_want_float32(model: Any) -> None:
    assert precision_sensitive_outputs(model) == ["scores", "sizes"]


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_such_tails_stay_in_float32(tmp_path: Path, rtx: str, precision: str) -> None:
    path = head(tmp_path / "head.onnx")
    converted = prepare_network(path, {}, precision, strongly_typed=True)
    types = element_types(converted)
    computed = {
        node.op_type: {types.get(name) for name in node.input if types.get(name) != onnx.TensorProto.INT64}
        for node in converted.graph.node
        if node.op_type != "Cast"
    }
    low = {"fp16": onnx.TensorProto.FLOAT16, "bf16": onnx.TensorProto.BFLOAT16}[precision]
    assert computed["Conv"] == computed["Relu"] == {low}
    for operator in ("Reshape", "Softmax", "Exp", "Add"):
        assert computed[operator] == {FLOAT}, operator
    takes(path, tmp_path, SHAPE, precision=precision)


def test_the_detectors_and_upscalers_at_hand(shared_models: Path) -> None:
    def sensitive(name: str) -> list[str]:
        return precision_sensitive_outputs(onnx.load(str(shared_models / f"{name}.onnx")))

    assert sensitive("ultraface_rfb_640") == ["scores", "boxes"]
    assert [sensitive(name) for name in ("realesr_animevideov3_x2", "vsr_x2_fast", "vsr_x2_temporal")] == [[], [], []]
