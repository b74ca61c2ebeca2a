"""Sizes that a graph computes by operators through which ONNX's shape inference does not follow them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from bmfgraph.engines.onnx.folding import fold_sizes
from bmfgraph.engines.onnx.shapes import infer_shapes
from tests.tools import tensor_info


def flattening(path: Path, opset: int, *more: Any) -> Path:
    """Write a model that joins height and width of ``x``, as Paddle's exporter writes it."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Cast", ["shape"], ["shape32"], to=onnx.TensorProto.INT32),
        *(
            helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(np.array([value]), name))
            for name, value in (("start", 0), ("end", 2), ("axis", 0), ("rest", -1))
        ),
        helper.make_node("Slice", ["shape32", "start", "end", "axis"], ["first32"]),
        helper.make_node("Cast", ["first32"], ["first"], to=onnx.TensorProto.INT64),
        helper.make_node("Concat", ["first", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["flat"]),
        *more,
    ]
    last = helper.make_tensor_value_info(nodes[-1].output[0], onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [tensor_info("x", "float32", ["N", 3, "H", "W"])], [last])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), str(path))
    return path


@pytest.mark.parametrize("opset", [11, 17])
def test_a_target_that_is_cut_from_a_shape_is_followed(tmp_path: Path, opset: int) -> None:
    model = flattening(tmp_path / "m.onnx", opset)
    assert infer_shapes(model, {"x": (1, 3, 4, 5)}) == {"flat": (1, 3, 20)}


def test_targets_behind_each_other_are_followed(tmp_path: Path) -> None:
    again = [
        helper.make_node("Shape", ["flat"], ["shape2"]),
        helper.make_node("Slice", ["shape2", "end", "three"], ["last"]),
        helper.make_node("Concat", ["rest", "last"], ["target2"], axis=0),
        helper.make_node("Reshape", ["flat", "target2"], ["out"]),
    ]
    three = helper.make_node("Constant", [], ["three"], value=onnx.numpy_helper.from_array(np.array([3]), "three"))
    model = flattening(tmp_path / "m.onnx", 11, three, *again)
    assert infer_shapes(model, {"x": (2, 3, 4, 5)}) == {"out": (6, 20)}


def test_sizes_that_depend_on_the_data_stay_free(tmp_path: Path) -> None:
    kept = helper.make_node("NonZero", ["flat"], ["places"])
    cast = helper.make_node("Cast", ["places"], ["out"], to=onnx.TensorProto.FLOAT)
    model = flattening(tmp_path / "m.onnx", 11, kept, cast)
    assert infer_shapes(model, {"x": (1, 3, 4, 5)}) == {"out": (3, None)}


def test_a_computation_that_cannot_be_done_leaves_the_sizes_free(tmp_path: Path) -> None:
    far = [
        helper.make_node("Constant", [], ["nine"], value=onnx.numpy_helper.from_array(np.array([9]), "nine")),
        helper.make_node("Gather", ["shape", "nine"], ["missing"], axis=0),
        helper.make_node("Expand", ["flat", "missing"], ["out"]),
    ]
    model = onnx.load(str(flattening(tmp_path / "m.onnx", 11, *far)))
    model.graph.input[0].CopyFrom(tensor_info("x", "float32", [1, 3, 4, 5]))
    assert fold_sizes(model)
    assert [node.op_type for node in model.graph.node if node.output[0] in ("first", "missing")] == [
        "Constant",
        "Gather",
    ]
