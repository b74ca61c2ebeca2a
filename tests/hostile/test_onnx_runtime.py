"""Check models that ONNX's own tools take and the runtime does not, or the other way round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import bmfgraph as bg
from bmfgraph.engines.onnx.cache import cached_model
from bmfgraph.engines.trial import Trial, trial_request, try_model
from tests.runner.command import frames_in
from tests.tools import double_model, make_clip, negate_model, tensor_info

pytest.importorskip("onnxruntime")

Sizes = Sequence[int | str]
FREE: Sizes = (1, 3, "H", "W")
SCALES = {"scales": np.array([1, 1, 2, 2], np.float32)}
DOUBLE = helper.make_node("Resize", ["middle", "", "scales"], ["output"], mode="nearest")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty cache folder."""
    monkeypatch.setenv("BMFGRAPH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(
    path: Path,
    nodes: Sequence[Any],
    weights: Mapping[str, NDArray[Any]],
    *,
    sizes: Sizes = FREE,
    outputs: Sequence[Any] = (),
    opset: int = 17,
    ir_version: int = 8,
    domains: Sequence[str] = (),
    weights_as_inputs: bool = False,
) -> Path:
    """Write a model that onnx's checker may refuse."""
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    inputs = [tensor_info("input", "float32", sizes)]
    if weights_as_inputs:
        inputs += [helper.make_tensor_value_info(one.name, one.data_type, list(one.dims)) for one in tensors]
    outputs = outputs or [tensor_info("output", "float32", (1, 3, "H2", "W2"))]
    graph = helper.make_graph(list(nodes), "tiny", inputs, list(outputs), tensors)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=ir_version), str(path))
    return path


def job(path: Path, *overrides: str, **values: Any) -> bg.Job:
    """Return a job that runs the model on a clip of 64x48."""
    clip = make_clip(path.with_name("clip.mp4"), frames=2)
    return bg.compose(
        "super_resolution",
        "encoder.preset=ultrafast",
        "progress=false",
        f"model.file={path}",
        *overrides,
        input=str(clip),
        output=str(path.with_name("out.mp4")),
        **values,
    )


def problems(path: Path, *overrides: str) -> list[tuple[str, str, str]]:
    return [(one.code, one.message, one.hint) for one in job(path, *overrides).check().problems]


def result(path: Path, height: int = 48, width: int = 64) -> Trial:
    model = cached_model(path)
    dims = {"input": model.inputs[0].dims}
    return try_model(trial_request(model, {"input": (1, 3, height, width)}, dims, {"input": (2, 3)}))


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    "output",
    [
        helper.make_tensor_value_info("output", TensorProto.FLOAT, None),
        tensor_info("output", "float32", (1, 3, 48, 64)),
        tensor_info("output", "float32", (1, 3, 48)),
    ],
    ids=["none", "wrong size", "wrong rank"],
)
@pytest.mark.parametrize("sizes", [FREE, (1, 3, 48, 64)], ids=["free", "fixed"])
def test_an_output_with_no_shape_or_a_wrong_one(tmp_path: Path, output: Any, sizes: Sizes) -> None:
    nodes = [helper.make_node("Relu", ["input"], ["middle"]), DOUBLE]
    path = write(tmp_path / "x.onnx", nodes, SCALES, sizes=sizes, outputs=[output])
    assert problems(path) == []


@pytest.mark.wide
def test_an_operator_of_the_runtime(tmp_path: Path) -> None:
    gelu = helper.make_node("QuickGelu", ["input"], ["middle"], domain="com.microsoft")
    path = write(tmp_path / "x.onnx", [gelu, DOUBLE], SCALES, domains=["com.microsoft"])
    plan = job(path).plan()
    assert dict(plan.node("upscale").params.output_shapes) == {"output": (1, 3, 96, 128)}
    assert problems(path) == []


@pytest.mark.parametrize("sizes", [FREE, (1, 3, 48, 64)], ids=["free", "fixed"])
@pytest.mark.sample(1)
@pytest.mark.parametrize("operator", ["BatchedNMS_TRT", "FooBar"])
def test_an_operator_that_the_runtime_lacks_is_named(tmp_path: Path, sizes: Sizes, operator: str) -> None:
    output = tensor_info("output", "float32", (1, 3, 96, 128) if sizes != FREE else (1, 3, "H2", "W2"))
    nodes = [helper.make_node(operator, ["input"], ["middle"]), DOUBLE]
    ((code, message, hint),) = problems(write(tmp_path / "x.onnx", nodes, SCALES, sizes=sizes, outputs=[output]))
    assert (code, message.endswith(f" does not have its operator {operator}")) == ("E520", True)
    assert ("TensorRT" in hint) == operator.endswith("_TRT")


@pytest.mark.sample(1)
@pytest.mark.parametrize("constant", [False, True])
def test_weights_as_inputs_in_an_old_file(tmp_path: Path, constant: bool) -> None:
    """Files of IR version 3 list their weights as inputs, scales of Upsample included."""
    random = np.random.default_rng(1)
    weights: dict[str, NDArray[Any]] = {"w": random.random((3, 3, 3, 3), np.float32)}
    weights |= {name: np.ones(3, np.float32) for name in ("scale", "bias", "mean", "variance")}
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "scale", "bias", "mean", "variance"], ["middle"]),
        helper.make_node("Upsample", ["middle", "scales"], ["output"], mode="nearest"),
    ]
    if constant:
        value = numpy_helper.from_array(SCALES["scales"])
        nodes.insert(0, helper.make_node("Constant", [], ["scales"], value=value))
    else:
        weights |= SCALES
    path = write(tmp_path / "x.onnx", nodes, weights, opset=9, ir_version=3, weights_as_inputs=True)
    assert [code for code, *_ in problems(path)] == ["W101"]
    assert result(path).outputs == {"output": (1, 3, 96, 128)}


@pytest.mark.wide
def test_a_packaged_model_with_weights_as_inputs_needs_no_warning(tmp_path: Path) -> None:
    path = negate_model(tmp_path / "x.onnx", weights_as_inputs=True)
    checked = job(path, "model.file=null", f"model.source={path}", "model.sha256=null").check()
    assert [problem.code for problem in checked.problems] == []


def blocks(size: int) -> tuple[list[Any], dict[str, NDArray[Any]]]:
    """Return nodes that take sides which ``size`` divides."""
    down = helper.make_node("SpaceToDepth", ["input"], ["small"], blocksize=size)
    up = helper.make_node("DepthToSpace", ["small"], ["middle"], blocksize=size)
    return [down, up, DOUBLE], dict(SCALES)


@pytest.mark.sample(1)
@pytest.mark.parametrize("size", [5, 32])
def test_sides_that_must_be_multiples(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "x.onnx", *blocks(size))
    ((code, message, hint),) = problems(path)
    assert (code, "does not take input 1x3x48x64: SpaceToDepth: " in message) == ("E510", True), message
    if size == 32:
        assert hint.endswith("set model.inputs.input.multiple=32")
        assert problems(path, "+model.inputs.input.multiple=32") == []


@pytest.mark.wide
def test_a_size_that_is_baked_in(tmp_path: Path) -> None:
    reshape = helper.make_node("Reshape", ["input", "shape"], ["middle"])
    weights: dict[str, NDArray[Any]] = {**SCALES, "shape": np.array([1, 3, 128, 128], np.int64)}
    path = write(tmp_path / "x.onnx", [reshape, DOUBLE], weights)
    ((code, _, hint),) = problems(path)
    assert (code, hint) == ("E510", "it takes 128x128 only: set 'model.inputs.input.dims=[1,3,128,128]'")


@pytest.mark.wide
def test_a_model_of_a_size_smaller_than_the_frames(tmp_path: Path) -> None:
    path = negate_model(tmp_path / "x.onnx", shape=(1, 3, 32, 32))
    ((code, message, _),) = problems(path)
    assert (code, message.startswith("the output is 32x24, smaller than its source of 64x48")) == ("W105", True)
    assert problems(negate_model(tmp_path / "y.onnx", shape=(1, 3, 96, 96))) == []


@pytest.mark.wide
def test_outputs_that_are_text_or_sequences_are_not_used(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["input"], ["middle"]),
        DOUBLE,
        helper.make_node("Constant", [], ["label"], value_string="face"),
        helper.make_node("SequenceConstruct", ["input"], ["parts"]),
    ]
    outputs = [
        tensor_info("output", "float32", (1, 3, "H2", "W2")),
        tensor_info("label", "string", ()),
        helper.make_tensor_sequence_value_info("parts", TensorProto.FLOAT, None),
    ]
    path = write(tmp_path / "x.onnx", nodes, SCALES, outputs=outputs)
    assert [tensor.name for tensor in cached_model(path).outputs] == ["output"]
    assert problems(path) == []
    job(path).run()
    assert frames_in(tmp_path / "out.mp4") == 2


def endless(path: Path) -> Path:
    """Write a model whose loop does not end."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("x", TensorProto.FLOAT, None)],
        [value("on", TensorProto.BOOL, []), value("y", TensorProto.FLOAT, None)],
    )
    nodes = [helper.make_node("Loop", ["count", "true", "input"], ["output"], body=body)]
    weights: dict[str, NDArray[Any]] = {"count": np.array(1 << 60, np.int64), "true": np.array(True)}
    return write(path, nodes, weights, sizes=(1, 3, 48, 64), outputs=[tensor_info("output", "float32", (1, 3, 48, 64))])


@pytest.mark.wide
def test_an_inference_without_end_is_stopped(tmp_path: Path) -> None:
    path = endless(tmp_path / "x.onnx")
    ((code, message, _),) = problems(path)
    assert (code, message.endswith("one inference takes more than 10 s")) == ("W106", True)


def test_a_result_is_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = double_model(tmp_path / "x.onnx")
    first, other = result(path), result(path, 2, 2)
    try_model.cache_clear()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a child is started")

    monkeypatch.setattr("bmfgraph.engines.trial.call_limited", refuse)
    assert (result(path), result(path, 2, 2)) == (first, other)
    with pytest.raises(AssertionError):
        result(path, 4, 4)


@pytest.mark.sample(1)
@pytest.mark.parametrize("made", [double_model, endless])
def test_a_child_that_cannot_work_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Callable[[Path], Path]
) -> None:
    path = made(tmp_path / "x.onnx")
    cached_model(path)
    monkeypatch.setattr("bmfgraph.engines.limited.python_command", lambda *_: ["/nowhere/python"])
    ((code, message, _),) = problems(path)
    assert (code, "not finished: its process ended" in message) == ("W106", True), message
