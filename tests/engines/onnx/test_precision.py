"""Test the networks that builders get: where they use uint8, and their precision."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from bmfgraph.engines.build import ensure_engine
from bmfgraph.engines.key import Profile
from bmfgraph.engines.onnx.model import OnnxError
from bmfgraph.engines.onnx.precision import prepare_network
from bmfgraph.errors import InstallError
from tests.engines.engine_tools import build, picture_model, rtx as rtx
from tests.tools import double_model, middle_model, save_model, tensor_info

Array = NDArray[Any]
RNG = np.random.default_rng


def run(model: Any, inputs: Mapping[str, Array]) -> list[Array]:
    """Run a model with ONNX Runtime, and return its outputs."""
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    data = model if isinstance(model, str) else model.SerializeToString()
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(inputs)))


def psnr(one: Array, other: Array, peak: float = 255) -> float:
    error = np.square(one.astype(np.float64) - other.astype(np.float64)).mean()
    return float(10 * np.log10(peak**2 / error)) if error else np.inf


def smooth(shape: tuple[int, ...], seed: int) -> Array:
    """Return an image of slow waves, uint8 [batch, 3, height, width]."""
    phase = RNG(seed).random((shape[0], shape[1], 1, 1)) * 6
    y, x = np.mgrid[: shape[2], : shape[3]] / 9
    wave: Array = (np.sin(x + phase) * np.cos(y - phase) * 110 + 128).astype(np.uint8)
    return wave


def takes(path: Path, tmp_path: Path, shape: tuple[int, ...], **changes: Any) -> None:
    """Assert that TensorRT-RTX builds the model."""
    name = onnx.load(str(path), load_external_data=False).graph.input[0].name
    order = build(tmp_path / "engines", profiles=((name, Profile(shape, shape, shape)),), **changes)
    entry = ensure_engine("n", order, path, tmp_path / "engines", say=lambda _: None)
    assert entry.damage() == ""


# ------------------------------------------------------------------------------------------------------- uint8

INTS: dict[str, Array] = {
    "begin": np.array([1], np.int64),
    "end": np.array([3], np.int64),
    "axis": np.array([1], np.int64),
    "flat": np.array([0, -1], np.int64),
    "two": np.array([1, 1, 2, 2], np.int64),
    "blue": np.array([2, 1, 0], np.int64),
}
GREY = np.full((1, 1, 6, 8), 77, np.uint8)


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


UINT8_GRAPHS: dict[str, tuple[list[onnx.NodeProto], str]] = {
    "sliced, then cast": (
        [node("Slice", "input begin end axis", "part"), node("Cast", "part", "output", to=1)],
        "float32",
    ),
    "split, put together in another order, turned": (
        [
            node("Split", "input", "r g b", axis=1),
            node("Concat", "b g r", "bgr", axis=1),
            node("Transpose", "bgr", "turned", perm=[0, 2, 3, 1]),
            node("Cast", "turned", "output", to=1),
        ],
        "float32",
    ),
    "gathered, repeated, flattened": (
        [
            node("Gather", "input blue", "bgr", axis=1),
            node("Tile", "bgr two", "four"),
            node("Reshape", "four flat", "flattened"),
            node("Cast", "flattened", "output", to=1),
        ],
        "float32",
    ),
    "with a grey plane put to it": (
        [node("Concat", "input grey", "more", axis=1), node("Cast", "more", "output", to=1)],
        "float32",
    ),
    "with a constant plane put to it": (
        [
            node("Constant", "", "plane", value=numpy_helper.from_array(GREY)),
            node("Concat", "input plane", "more", axis=1),
            node("Cast", "more", "output", to=1),
        ],
        "float32",
    ),
    "cast twice, once to a whole number": (
        [
            node("Cast", "input", "whole", to=6),
            node("Cast", "input", "real", to=1),
            node("Cast", "whole", "again", to=1),
            node("Add", "again real", "output"),
        ],
        "float32",
    ),
    "asked for its shape": (
        [
            node("Shape", "input", "sizes"),
            node("Cast", "input", "real", to=1),
            node("Neg", "real", "negative"),
            node("Reshape", "negative sizes", "output"),
        ],
        "float32",
    ),
    "never cast": ([node("Transpose", "input", "output", perm=[0, 1, 3, 2])], "uint8"),
    "handed on": ([node("Identity", "input", "output")], "uint8"),
    "cast back too early": (
        [
            node("Cast", "input", "real", to=1),
            node("Mul", "real third", "less"),
            node("Cast", "less", "cut", to=2),
            node("Transpose", "cut", "output", perm=[0, 2, 3, 1]),
        ],
        "uint8",
    ),
    "cast back, and the cut value used again": (
        [
            node("Cast", "input", "real", to=1),
            node("Mul", "real third", "less"),
            node("Cast", "less", "cut", to=2),
            node("Cast", "cut", "whole", to=1),
            node("Sub", "real whole", "output"),
        ],
        "float32",
    ),
}


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", UINT8_GRAPHS)
def test_uint8_is_moved_about_as_before(tmp_path: Path, rtx: str, name: str) -> None:
    nodes, dtype = UINT8_GRAPHS[name]
    used = {one for some in nodes for one in some.input}
    weights = {**INTS, "grey": GREY, "third": np.array(1 / 3, np.float32)}
    path = save_model(
        tmp_path / "x.onnx",
        nodes,
        [tensor_info("input", "uint8", [1, 3, 6, 8])],
        [tensor_info("output", dtype, [None] * (2 if "flat" in used else 4))],
        {name: array for name, array in weights.items() if name in used},
    )
    frame = RNG(1).integers(0, 256, (1, 3, 6, 8), dtype=np.uint8)
    (expected,) = run(str(path), {"input": frame})
    model = prepare_network(path, {}, "fp32", strongly_typed=True)
    onnx.checker.check_model(model, full_check=True)
    (got,) = run(model, {"input": frame})
    assert (got == expected).all()
    assert got.dtype == expected.dtype
    takes(path, tmp_path, (1, 3, 6, 8), precision="fp32")
    takes(path, tmp_path, (1, 3, 6, 8), precision="fp16")


@pytest.mark.parametrize("make", [double_model, middle_model])
def test_networks_of_uint8_only(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path / "x.onnx")
    name = onnx.load(str(path)).graph.input[0].name
    shape = (1, 6, 8, 21) if make is middle_model else (1, 3, 6, 8)
    frame = RNG(1).integers(0, 256, shape, dtype=np.uint8)
    (expected,) = run(str(path), {name: frame})
    (got,) = run(prepare_network(path, {}, "fp32", strongly_typed=True), {name: frame})
    assert (got == expected).all()


def test_a_network_that_casts_already_stays_as_it_is(tmp_path: Path) -> None:
    path = picture_model(tmp_path / "x.onnx")
    model = prepare_network(path, {}, "fp32", strongly_typed=True)
    assert model.graph == onnx.load(str(path)).graph


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ([node("Max", "input grey", "sum"), node("Cast", "sum", "output", to=1)], "the Max that makes 'sum' computes"),
        (
            [node("Resize", "input  two", "big", mode="linear", name="up"), node("Cast", "big", "output", to=1)],
            "node 'up' (Resize) computes with the uint8 tensor 'input'",
        ),
        (
            [
                node("Cast", "input", "real", to=1),
                node("QuantizeLinear", "real third zero", "small", name="q"),
                node("DequantizeLinear", "small third zero", "output"),
            ],
            "the network is quantised to uint8 (node 'q' (QuantizeLinear))",
        ),
    ],
)
def test_uint8_that_is_computed_with_is_refused(tmp_path: Path, nodes: list[onnx.NodeProto], told: str) -> None:
    for one in nodes:
        if one.op_type == "Resize":
            one.input[:] = ["input", "", "scales"]
    weights: dict[str, Array] = {
        "grey": GREY,
        "third": np.array(1 / 3, np.float32),
        "zero": np.array(0, np.uint8),
        "scales": np.array([1, 1, 2, 2], np.float32),
    }
    used = {name for one in nodes for name in one.input}
    path = save_model(
        tmp_path / "x.onnx",
        nodes,
        [tensor_info("input", "uint8", [1, 3, 6, 8])],
        [tensor_info("output", "float32", [None] * 4)],
        {name: array for name, array in weights.items() if name in used},
    )
    with pytest.raises(OnnxError) as caught:
        prepare_network(path, {}, "fp32", strongly_typed=False)
    assert told in str(caught.value)
    assert caught.value.hint


# ------------------------------------------------------------------------------------------------- float types


def kinds(model: Any) -> set[int]:
    return {weight.data_type for weight in model.graph.initializer}


def test_weakly_typed_builders_get_the_network_in_fp32(tmp_path: Path) -> None:
    path = picture_model(tmp_path / "x.onnx")
    for precision in ("fp32", "tf32", "fp16", "bf16"):
        assert prepare_network(path, {}, precision, strongly_typed=False).graph == onnx.load(str(path)).graph
    for precision in ("fp32", "tf32"):
        assert prepare_network(path, {}, precision, strongly_typed=True).graph == onnx.load(str(path)).graph


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_fp16_comes_close_to_fp32(tmp_path: Path, dtype: str) -> None:
    path = picture_model(tmp_path / "x.onnx", dtype=dtype)
    model = prepare_network(path, {}, "fp16", strongly_typed=True)
    onnx.checker.check_model(model, full_check=True)
    assert kinds(model) == {TensorProto.FLOAT16}
    frame = smooth((1, 3, 24, 32), 3).astype(dtype)
    (expected,), (got,) = run(str(path), {"input": frame}), run(model, {"input": frame})
    assert got.dtype == expected.dtype == dtype
    assert 50 < psnr(got, expected) < np.inf


@pytest.mark.parametrize("name", ["vsr_x2_fast", "vsr_x2_temporal", "bmf_v1_contract_x2", "realesr_animevideov3_x2"])
def test_fp16_of_real_models(shared_models: Path, name: str) -> None:
    path = shared_models / f"{name}.onnx"
    (value,) = onnx.load(str(path)).graph.input
    channels_last = len(value.type.tensor_type.shape.dim) == 4 and value.type.tensor_type.shape.dim[3].dim_value == 21
    frame = smooth((1, 21, 32, 48), 1).transpose(0, 2, 3, 1) if channels_last else smooth((1, 3, 32, 48), 1)
    real = value.type.tensor_type.elem_type == TensorProto.FLOAT
    inputs = {value.name: (frame / 255).astype(np.float32) if real else np.ascontiguousarray(frame)}
    (expected,) = run(str(path), inputs)
    (got,) = run(prepare_network(path, {}, "fp16", strongly_typed=True), inputs)
    assert psnr(got, expected, 1 if real else 255) > 55


def test_weights_that_float16_cannot_hold_stay_as_they_are(tmp_path: Path, rtx: str) -> None:
    path = save_model(
        tmp_path / "x.onnx",
        [node("Mul", "input least", "little"), node("Mul", "little million", "output")],
        [tensor_info("input", "float32", [1, 8])],
        [tensor_info("output", "float32", [1, 8])],
        {"least": np.array(1e-3, np.float32), "million": np.array(1e6, np.float32)},
    )
    values = {"input": np.linspace(0, 20, 8, dtype=np.float32)[None]}
    model = prepare_network(path, {}, "fp16", strongly_typed=True)
    weights = {weight.name: numpy_helper.to_array(weight) for weight in model.graph.initializer}
    assert weights["million"] == 1e6
    assert weights["least"].dtype == np.float16
    assert run(model, values)[0] == pytest.approx(run(str(path), values)[0], rel=2e-3)
    takes(path, tmp_path, (1, 8))


def test_bf16_weights_are_rounded_once(tmp_path: Path) -> None:
    # Through float16 the first would become a tie, and 1 instead of 1 + 2^-7; float16 cannot hold the second at all.
    values = np.array([1 + 2**-8 + 2**-12, 1e9, -3e-12, 1 + 2**-8, 1 + 3 * 2**-8, 0], np.float32)
    path = save_model(
        tmp_path / "x.onnx",
        [
            node("Constant", "", "again", value=numpy_helper.from_array(values)),
            node("Mul", "input w", "product"),
            node("Mul", "product again", "output"),
        ],
        [tensor_info("input", "float32", ["N", 6])],
        [tensor_info("output", "float32", ["N", 6])],
        {"w": values},
    )
    model = prepare_network(path, {}, "bf16", strongly_typed=True)
    torch = pytest.importorskip("torch")
    expected = torch.from_numpy(values).to(torch.bfloat16).view(torch.int16).numpy().tobytes()
    (weight,) = model.graph.initializer
    assert (weight.data_type, weight.raw_data) == (TensorProto.BFLOAT16, expected)
    (constant,) = (one for one in model.graph.node if one.op_type == "Constant")
    assert (constant.attribute[0].t.data_type, constant.attribute[0].t.raw_data) == (TensorProto.BFLOAT16, expected)


def test_bf16_computes_the_same_less_precisely(tmp_path: Path, rtx: str) -> None:
    weights = RNG(0).normal(0, 0.3, (8, 5)).astype(np.float32)
    path = save_model(
        tmp_path / "x.onnx",
        [node("MatMul", "input w", "product"), node("Add", "product b", "sum"), node("Relu", "sum", "output")],
        [tensor_info("input", "float32", [4, 8])],
        [tensor_info("output", "float32", [4, 5])],
        {"w": weights, "b": np.arange(5, dtype=np.float32)},
    )
    model = prepare_network(path, {}, "bf16", strongly_typed=True)
    assert kinds(model) == {TensorProto.BFLOAT16}
    values = {"input": RNG(1).normal(0, 1, (4, 8)).astype(np.float32)}
    (got,) = np.asarray(ReferenceEvaluator(model).run(None, values))
    (expected,) = run(str(path), values)
    assert got.dtype == np.float32
    assert got == pytest.approx(expected, abs=0.05)
    assert abs(got - expected).max() > 1e-4
    takes(path, tmp_path, (4, 8), precision="bf16")


def test_bf16_leaves_out_what_tensorrt_cannot_build_in_it(tmp_path: Path, rtx: str) -> None:
    path = save_model(
        tmp_path / "x.onnx",
        [node("ConvTranspose", "input w", "big", strides=[2, 2]), node("Relu", "big", "output")],
        [tensor_info("input", "float32", [1, 24, 6, 8])],
        [tensor_info("output", "float32", [1, 24, 12, 16])],
        {"w": RNG(0).normal(0, 1, (24, 24, 2, 2)).astype(np.float32)},
    )
    model = prepare_network(path, {}, "bf16", strongly_typed=True)
    assert kinds(model) == {TensorProto.FLOAT}
    takes(path, tmp_path, (1, 24, 6, 8), precision="bf16")


def test_bf16_of_a_float16_network_is_refused(tmp_path: Path) -> None:
    path = save_model(
        tmp_path / "x.onnx",
        [node("Relu", "input", "output")],
        [tensor_info("input", "float16", [1, 3])],
        [tensor_info("output", "float16", [1, 3])],
    )
    with pytest.raises(OnnxError, match="holds float16 already") as caught:
        prepare_network(path, {}, "bf16", strongly_typed=True)
    assert caught.value.hint == "set engine.precision=fp16"


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8"])
def test_without_onnx_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    for name in ("onnxruntime", "onnxruntime.transformers.float16", "onnxruntime.quantization"):
        monkeypatch.setitem(sys.modules, name, None)
    path = picture_model(tmp_path / "x.onnx")
    with pytest.raises(InstallError) as caught:
        prepare_network(path, {}, precision, strongly_typed=True, calibration=[])
    assert caught.value.hint == "pip install onnxruntime"
    assert prepare_network(path, {}, "fp32", strongly_typed=True).graph.node


# -------------------------------------------------------------------------------------------------------- int8


def samples(count: int = 4) -> Iterator[dict[str, Array]]:
    return ({"input": smooth((1, 3, 24, 32), seed)} for seed in range(count))


@pytest.mark.parametrize("strongly_typed", [False, True])
def test_int8_is_good_enough_for_pictures(tmp_path: Path, strongly_typed: bool) -> None:
    path = picture_model(tmp_path / "x.onnx")
    model = prepare_network(path, {}, "int8", strongly_typed=strongly_typed, calibration=samples())
    onnx.checker.check_model(model, full_check=True)
    frame = {"input": smooth((1, 3, 24, 32), 99)}
    (expected,), (got,) = run(str(path), frame), run(model, frame)
    assert got.dtype == np.uint8
    assert 30 < psnr(got, expected) < 60


@pytest.mark.parametrize("strongly_typed", [False, True])
def test_int8_is_said_as_tensorrt_wants_it(tmp_path: Path, strongly_typed: bool) -> None:
    path = picture_model(tmp_path / "x.onnx")
    model = prepare_network(path, {}, "int8", strongly_typed=strongly_typed, calibration=samples())
    weights = {weight.name: numpy_helper.to_array(weight) for weight in model.graph.initializer}
    made = {name: one for one in model.graph.node for name in one.output}
    quantised = [one for one in model.graph.node if one.op_type == "QuantizeLinear"]
    assert len(quantised) == 4
    for one in quantised:
        scale, zero = weights[one.input[1]], weights[one.input[2]]
        assert scale.dtype == (np.float16 if strongly_typed else np.float32)
        assert zero.dtype == np.int8
        assert not zero.any()
    for convolution in (one for one in model.graph.node if one.op_type == "Conv"):
        assert [made[name].op_type for name in convolution.input[:2]] == ["DequantizeLinear"] * 2
        # A scale for each channel of the weights, and the bias as it is.
        assert weights[made[convolution.input[1]].input[1]].shape == (8 if convolution.name == "first" else 3,)
        assert all(name in weights for name in convolution.input[2:])


def test_int8_convolutions_say_their_kernels(tmp_path: Path) -> None:
    path = picture_model(tmp_path / "x.onnx")
    model = onnx.load(str(path))
    (convolution,) = [node for node in model.graph.node if node.op_type == "Conv"][:1]
    kept = [attribute for attribute in convolution.attribute if attribute.name != "kernel_shape"]
    del convolution.attribute[:]
    convolution.attribute.extend(kept)
    onnx.save(model, str(path))
    shape = next(list(one.dims)[2:] for one in model.graph.initializer if one.name == convolution.input[1])
    made = prepare_network(path, {}, "int8", strongly_typed=False, calibration=samples())
    found = [
        list(attribute.ints)
        for node in made.graph.node
        if node.op_type == "Conv"
        for attribute in node.attribute
        if attribute.name == "kernel_shape"
    ]
    assert len(found) == sum(node.op_type == "Conv" for node in made.graph.node)
    assert shape in found


@pytest.mark.wide
def test_int8_of_an_old_export(shared_models: Path) -> None:
    path = shared_models / "ultraface_rfb_320.onnx"
    assert onnx.load(str(path)).opset_import[0].version < 13
    frames = [{"input": RNG(seed).normal(0, 0.5, (1, 3, 240, 320)).astype(np.float32)} for seed in range(2)]
    for strongly_typed in (False, True):
        model = prepare_network(path, {}, "int8", strongly_typed=strongly_typed, calibration=iter(frames))
        for got, expected in zip(run(model, frames[0]), run(str(path), frames[0]), strict=True):
            assert abs(got - expected).mean() < 0.02


def test_a_network_that_is_quantised_already_needs_no_samples(tmp_path: Path) -> None:
    path = picture_model(tmp_path / "x.onnx")
    onnx.save(prepare_network(path, {}, "int8", strongly_typed=False, calibration=samples()), str(path))
    again = prepare_network(path, {}, "int8", strongly_typed=False)
    assert again.graph == onnx.load(str(path)).graph


@pytest.mark.parametrize("calibration", [None, [], iter(())])
def test_int8_without_samples(tmp_path: Path, calibration: Any) -> None:
    path = picture_model(tmp_path / "x.onnx")
    with pytest.raises(OnnxError, match="int8 needs frames to measure its ranges over") as caught:
        prepare_network(path, {}, "int8", strongly_typed=True, calibration=calibration)
    assert "engine.calibration" in caught.value.hint


def test_conversion_is_quiet(tmp_path: Path) -> None:
    path = picture_model(tmp_path / "x.onnx")
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from bmfgraph.engines.onnx.precision import prepare_network\n"
        "frame = {'input': np.random.default_rng(0).integers(0, 256, (1, 3, 24, 32), dtype=np.uint8)}\n"
        "for precision in ('fp16', 'bf16', 'int8'):\n"
        "    prepare_network(Path(sys.argv[1]), {}, precision, strongly_typed=True, calibration=[frame])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


# --------------------------------------------------------------------------------------------- dims and weights


def test_freed_dims_take_other_sizes(tmp_path: Path, rtx: str) -> None:
    path = save_model(
        tmp_path / "x.onnx",
        [node("Conv", "input w", "output", pads=[1, 1, 1, 1])],
        [tensor_info("input", "float32", [10, 3, 32, 32])],
        [tensor_info("output", "float32", [10, 4, 32, 32])],
        {"w": RNG(0).normal(0, 1, (4, 3, 3, 3)).astype(np.float32)},
        weights_as_inputs=True,
    )
    free = {"input": ("batch", 3, "height", "width")}
    model = prepare_network(path, free, "fp16", strongly_typed=True)
    assert [value.name for value in model.graph.input] == ["input"]
    assert run(model, {"input": np.zeros((2, 3, 16, 24), np.float32)})[0].shape == (2, 4, 16, 24)
    takes(path, tmp_path, (2, 3, 16, 24), dims=tuple(free.items()))


def external_model(path: Path) -> Path:
    """Save a model that adds to ``input`` [1, 4096] a weight in ``weights.bin`` next to the model."""
    save_model(
        path,
        [node("Add", "input w", "output")],
        [tensor_info("input", "float32", [1, 4096])],
        [tensor_info("output", "float32", [1, 4096])],
        {"w": np.arange(4096, dtype=np.float32)[None]},
    )
    onnx.save(onnx.load(str(path)), str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def test_weights_in_a_file_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rtx: str) -> None:
    path = external_model(tmp_path / "x.onnx")
    model = prepare_network(path, {}, "fp32", strongly_typed=True)
    assert (run(model, {"input": np.ones((1, 4096), np.float32)})[0] == np.arange(1, 4097)).all()
    takes(path, tmp_path, (1, 4096))
    monkeypatch.chdir(tmp_path)
    assert prepare_network(Path("x.onnx"), {}, "fp32", strongly_typed=True).graph == model.graph
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(OnnxError, match=r"x.onnx' keeps weights in 'weights.bin', which is not beside it") as caught:
        prepare_network(path, {}, "fp32", strongly_typed=True)
    assert caught.value.code == "E503"


def test_more_weights_than_a_message_holds(tmp_path: Path) -> None:
    path = external_model(tmp_path / "x.onnx")
    model = onnx.load(str(path), load_external_data=False)
    (weight,) = model.graph.initializer
    del weight.dims[:]
    weight.dims.extend([20_000, 30_000])
    next(entry for entry in weight.external_data if entry.key == "length").value = str(4 * 20_000 * 30_000)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(OnnxError, match=r"holds 2\.2 GiB of weights; more than 2 GiB cannot be given") as caught:
        prepare_network(path, {}, "fp32", strongly_typed=True)
    assert "engine.path=FILE" in caught.value.hint
