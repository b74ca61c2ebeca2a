"""Test reading ONNX files: their contents, their output shapes, and files that are not models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from bmfgraph.engines.onnx.cache import cached_model
from bmfgraph.engines.onnx.model import OnnxError, OnnxTensor, read_onnx, with_free_dims
from bmfgraph.engines.onnx.shapes import infer_shapes
from tests.tools import (
    detector_model,
    double_model,
    identity_model,
    middle_model,
    negate_model,
    save_model,
    shaped_model,
    tensor_info,
)


def test_a_models_contract(tmp_path: Path) -> None:
    path = double_model(tmp_path / "x.onnx")
    model = read_onnx(path)
    assert model.path == path
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert model.inputs == (OnnxTensor("input", "uint8", ("N", 3, "H", "W")),)
    assert model.outputs == (OnnxTensor("output", "uint8", ("N", 3, "H2", "W2")),)
    assert str(model.inputs[0]) == "input uint8[Nx3xHxW]"
    assert model.input("input") == model.inputs[0]
    assert model.input("nobody") is None
    assert not model.weights_as_inputs


def test_unnamed_dims_get_a_name(tmp_path: Path) -> None:
    path = identity_model(tmp_path / "x.onnx", "float32", {"a": [None, 3]})
    assert read_onnx(path).inputs[0].dims == ("dim0", 3)


def test_weights_listed_as_inputs_are_no_inputs(tmp_path: Path) -> None:
    path = negate_model(tmp_path / "x.onnx", weights_as_inputs=True)
    model = read_onnx(path)
    assert [tensor.name for tensor in model.inputs] == ["input"]
    assert model.weights_as_inputs
    freed = with_free_dims(path, {})
    assert [value.name for value in freed.graph.input] == ["input"]
    assert [weight.name for weight in freed.graph.initializer] == ["white"]


@pytest.mark.parametrize(
    ("make", "name", "shape", "out"),
    [
        (double_model, "input", (1, 3, 48, 64), {"output": (1, 3, 96, 128)}),
        (double_model, "input", (4, 3, 1, 1), {"output": (4, 3, 2, 2)}),
        (middle_model, "input:0", (1, 5, 6, 21), {"output:0": (1, 5, 6, 9)}),
        (detector_model, "input", (1, 3, 48, 64), {"scores": (1, 3, 2), "boxes": (1, 3, 4)}),
        (negate_model, "input", (7, 3, 2, 2), {"output": (7, 3, 2, 2)}),
    ],
)
def test_shapes_are_inferred(
    tmp_path: Path,
    make: Callable[[Path], Path],
    name: str,
    shape: tuple[int, ...],
    out: dict[str, tuple[int, ...]],
) -> None:
    assert infer_shapes(make(tmp_path / "x.onnx"), {name: shape}) == out


def test_inferred_shapes_are_those_that_onnx_runtime_gives(tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    path = double_model(tmp_path / "x.onnx")
    for shape in ((1, 3, 5, 7), (2, 3, 8, 8)):
        (got,) = ort.InferenceSession(str(path)).run(None, {"input": np.zeros(shape, np.uint8)})
        assert infer_shapes(path, {"input": shape})["output"] == got.shape


def test_a_fixed_export_can_be_freed(tmp_path: Path) -> None:
    path = negate_model(tmp_path / "x.onnx", shape=(10, 3, 32, 32))
    freed = with_free_dims(path, {"input": ("batch", 3, "height", "width")})
    onnx.checker.check_model(freed)
    dims = freed.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value or dim.dim_param for dim in dims] == ["batch", 3, "height", "width"]
    assert infer_shapes(path, {"input": (1, 3, 64, 96)}) == {"output": (1, 3, 64, 96)}
    # The file itself, and what was read of it before, stay as they are.
    assert read_onnx(path).inputs[0].dims == (10, 3, 32, 32)


def test_big_weights_do_not_disturb_shapes(tmp_path: Path) -> None:
    weights = np.ones((64, 3, 32, 32), np.float32)
    path = save_model(
        tmp_path / "x.onnx",
        [helper.make_node("Conv", ["input", "w"], ["output"])],
        [tensor_info("input", "float32", ["N", 3, "H", "W"])],
        [tensor_info("output", "float32", ["N", 64, "H2", "W2"])],
        {"w": weights},
    )
    assert infer_shapes(path, {"input": (1, 3, 40, 50)}) == {"output": (1, 64, 9, 19)}
    assert read_onnx(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_onnx_cannot_infer_is_none(tmp_path: Path) -> None:
    path = save_model(
        tmp_path / "x.onnx",
        [helper.make_node("NonZero", ["input"], ["output"])],
        [tensor_info("input", "float32", ["N", 3])],
        [helper.make_tensor_value_info("output", onnx.TensorProto.INT64, [2, "found"])],
    )
    assert infer_shapes(path, {"input": (4, 3)}) == {"output": (2, None)}


def test_a_size_that_does_not_fit(tmp_path: Path) -> None:
    path = save_model(
        tmp_path / "x.onnx",
        [helper.make_node("Add", ["input", "w"], ["output"])],
        [tensor_info("input", "float32", ["N", "M"])],
        [tensor_info("output", "float32", ["N", "M"])],
        {"w": np.ones((7,), np.float32)},
    )
    assert infer_shapes(path, {"input": (2, 7)}) == {"output": (2, 7)}
    with pytest.raises(OnnxError) as caught:
        infer_shapes(path, {"input": (2, 9)})
    assert str(caught.value) == "the network does not take input 2x9: (op_type:Add): Incompatible dimensions"


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = double_model(tmp_path / "x.onnx")
    assert read_onnx(path).outputs[0].dtype == "uint8"
    import os

    negate_model(path)
    os.utime(path, ns=(1, 1))
    assert read_onnx(path).outputs[0].dtype == "float32"


def test_files_that_are_no_model(tmp_path: Path) -> None:
    text, empty, cut = tmp_path / "a.json", tmp_path / "b.onnx", tmp_path / "c.onnx"
    text.write_text("{}")
    empty.write_bytes(b"")
    whole = negate_model(tmp_path / "whole.onnx").read_bytes()
    for path, content, message in (
        (text, b'{"a": 1}', "is not an ONNX model, or it is damaged"),
        (empty, b"", "holds no network"),
        (cut, whole[: len(whole) // 2], "is not an ONNX model, or it is damaged"),
    ):
        path.write_bytes(content)
        with pytest.raises(OnnxError) as caught:
            read_onnx(path)
        assert str(caught.value) == f"{str(path)!r} {message}"
        assert caught.value.hint


def test_paths_that_hold_no_file(tmp_path: Path) -> None:
    with pytest.raises(OnnxError, match="is a folder"):
        read_onnx(tmp_path)
    with pytest.raises(OnnxError, match="does not exist"):
        read_onnx(tmp_path / "no.onnx")


def test_an_input_that_is_no_tensor(tmp_path: Path) -> None:
    sequence = helper.make_tensor_sequence_value_info("input", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(
        [helper.make_node("ConcatFromSequence", ["input"], ["output"], axis=0)],
        "x",
        [sequence],
        [tensor_info("output", "float32", ["N"])],
    )
    path = tmp_path / "x.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    with pytest.raises(OnnxError, match="tensor 'input' has no element type"):
        read_onnx(path)


def test_the_shared_models(shared_models: Path) -> None:
    original = read_onnx(shared_models / "ultraface_rfb_640_original.onnx")
    cleaned = read_onnx(shared_models / "ultraface_rfb_640.onnx")
    assert original.weights_as_inputs
    assert not cleaned.weights_as_inputs
    assert original.inputs == cleaned.inputs == (OnnxTensor("input", "float32", (1, 3, 480, 640)),)
    temporal = shared_models / "vsr_x2_temporal.onnx"
    assert infer_shapes(temporal, {"input:0": (1, 36, 64, 21)}) == {"output:0": (1, 72, 128, 9)}


def test_metadata_are_read_within_limits(tmp_path: Path) -> None:
    notes = {"names": "{0: 'ä'}", "long": "x" * ((1 << 20) + 1), "k" * 257: "y", "empty": ""}
    path = shaped_model(tmp_path / "a.onnx", {"x": (1, 3, 8, 8)}, {"y": (1, 2)}, notes)
    assert read_onnx(path).metadata == {"names": "{0: 'ä'}", "empty": ""}
    assert cached_model(path) == cached_model(path) == read_onnx(path)
    many = {f"key {index}": "x" * 100_000 for index in range(200)}
    path = shaped_model(tmp_path / "b.onnx", {"x": (1, 3, 8, 8)}, {"y": (1, 2)}, many)
    assert list(read_onnx(path).metadata) == [f"key {index}" for index in range(20)]
    few = {f"key {index}": "" for index in range(200)}
    path = shaped_model(tmp_path / "c.onnx", {"x": (1, 3, 8, 8)}, {"y": (1, 2)}, few)
    assert len(read_onnx(path).metadata) == 128
    path.write_bytes(path.read_bytes().replace(b"key 77", b"key \xff7"))
    assert "key 76" in read_onnx(path).metadata
    assert len(read_onnx(path).metadata) == 127
