"""From a model file to the ONNX network that a builder is given: inputs freed, uint8 cast, precision put in.

Strongly typed builders (TensorRT-RTX, TensorRT from 11 on) take precision from the network's own types, so that weights
and tensors are converted here; weakly typed ones take it as a flag. int8 is said by QuantizeLinear and DequantizeLinear
to both kinds.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmfgraph.engines.onnx.model import OnnxError, with_free_dims
from bmfgraph.engines.onnx.sensitive import precision_sensitive_outputs, tail
from bmfgraph.engines.onnx.uint8 import attribute, cast_uint8, copy_of, types_of
from bmfgraph.errors import BmfgraphError, InstallError

__all__ = ["Samples", "prepared"]

Samples = Iterable[Mapping[str, NDArray[Any]]]
"""Inputs by name, as the model takes them, one mapping a run of the network."""

_FLOAT, _FLOAT16, _BFLOAT16 = 1, 10, 16
"""Of ONNX's TensorProto.DataType."""
_FLOAT16_MAX = 65504.0
_LARGEST = (2 << 30) - 1
"""Bytes of the largest message that protobuf writes."""

_NO_BFLOAT16 = frozenset({"ConvTranspose"})
"""Operators that TensorRT-RTX parses in bfloat16, and cannot build."""
_QUANTISED = ["Conv", "ConvTranspose", "Gemm", "MatMul"]


def prepared(
    path: Path,
    dim_overrides: Mapping[str, tuple[int | str, ...]],
    precision: str,
    *,
    strongly_typed: bool,
    calibration: Samples | None = None,
) -> Any:
    """The network to build, as an ``onnx.ModelProto`` with its weights inside.

    ``calibration``: what int8 measures its ranges over. Raises OnnxError, and InstallError without ONNX Runtime.
    """
    model = with_free_dims(path, dim_overrides)
    model.ir_version = max(model.ir_version, 4)  # From there on, weights need not be inputs.
    _drop_unused_weights(model)
    _with_weights(model, path)
    cast_uint8(model)
    if precision == "int8":
        # The scales of Q and DQ say what type the rest has, and are float16 from operator set 19 on.
        quantised = _quantised(_upgraded(model, 19 if strongly_typed else 13), calibration)
        return _as_float16(quantised, _kept(quantised)) if strongly_typed else quantised
    if strongly_typed and precision == "fp16":
        return _as_float16(model, _kept(model))
    if strongly_typed and precision == "bf16":
        return _as_bfloat16(model)
    return model


def _drop_unused_weights(model: Any) -> None:
    used = {value.name for value in model.graph.output} | set(_inputs_of(model.graph.node))
    kept = [copy_of(weight) for weight in model.graph.initializer if weight.name in used]
    if len(kept) < len(model.graph.initializer):
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)


def _inputs_of(nodes: Iterable[Any]) -> Iterator[str]:
    """Names that nodes take, and those of the graphs inside them."""
    for node in nodes:
        yield from node.input
        for one in node.attribute:
            for inner in (*([one.g] if one.HasField("g") else []), *one.graphs):
                yield from _inputs_of(inner.node)
                yield from (value.name for value in inner.output)


def _sort(graph: Any) -> None:
    """Put every node behind those that it takes from: the converter puts its casts at the end."""
    maker = {name: index for index, node in enumerate(graph.node) for name in node.output}
    takes = {
        index: [maker[name] for name in _inputs_of([node]) if name in maker] for index, node in enumerate(graph.node)
    }
    nodes = [copy_of(graph.node[index]) for index in TopologicalSorter(takes).static_order()]
    del graph.node[:]
    graph.node.extend(nodes)


def _with_weights(model: Any, path: Path) -> None:
    """Load weights kept in files of their own."""
    import onnx
    from onnx.external_data_helper import load_external_data_for_model, uses_external_data

    outside = [weight for weight in model.graph.initializer if uses_external_data(weight)]
    width = {
        kind: np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)).itemsize for kind in {w.data_type for w in outside}
    }
    size = sum(int(np.prod(weight.dims, dtype=np.int64)) * width[weight.data_type] for weight in outside)
    size += path.stat().st_size
    if size > _LARGEST:
        raise OnnxError(
            f"{str(path)!r} holds {size / 2**30:.1f} GiB of weights; more than 2 GiB cannot be given to a builder here",
            "build the engine from the file with trtexec, and name it: engine.path=FILE",
            code="E617",
        )
    if not outside:
        return
    try:
        load_external_data_for_model(model, str(path.resolve().parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise OnnxError(
            f"the weights of {str(path)!r} cannot be read: {error}",
            "put the file of its weights beside the model",
            code="E617",
        ) from None


def _as_float16(model: Any, kept: list[str]) -> Any:
    """The network in float16, its inputs and outputs as they were; the nodes ``kept`` stay in float32."""
    float16 = _onnxruntime("transformers.float16", "fp16 and bf16")
    with _quiet(), _tool_errors_as_onnx_errors("16-bit floating point"):
        converted = float16.convert_float_to_float16(model, keep_io_types=True, node_block_list=kept)
    _sort(converted.graph)
    return converted


def _kept(model: Any) -> list[str]:
    """Names of the nodes that stay in float32: those with weights that float16 cannot hold, and fine tails."""
    big = {name for name, array in _floats(model) if array.size and np.abs(array).max() > _FLOAT16_MAX}
    sensitive = _precision_sensitive(model)
    return _named(model, lambda node: bool(big & {*node.input, *node.output}) or sensitive(node))


def _precision_sensitive(model: Any) -> Callable[[Any], bool]:
    """Tells the nodes of tails that want float32 from the others."""
    makes = {
        name
        for one in precision_sensitive_outputs(model)
        for index in tail(model, one)
        for name in model.graph.node[index].output
    }
    return lambda node: not makes.isdisjoint(node.output)


def _named(model: Any, chosen: Callable[[Any], bool]) -> list[str]:
    """Names of the chosen nodes; those without a name get one."""
    found = []
    for index, node in enumerate(model.graph.node):
        if chosen(node):
            node.name = node.name or f"{node.op_type}_{index}"
            found.append(node.name)
    return found


def _floats(model: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    """The float32 weights of the main graph: initializers, and Constants under the names of what they make."""
    from onnx import numpy_helper

    for weight in model.graph.initializer:
        if weight.data_type == _FLOAT:
            yield weight.name, numpy_helper.to_array(weight)
    for node in model.graph.node:
        value = attribute(node, "value", None) if node.op_type == "Constant" else None
        if value is not None and value.data_type == _FLOAT:
            yield node.output[0], numpy_helper.to_array(value)


def _as_bfloat16(model: Any) -> Any:
    """The network in bfloat16: what would be float16, with the weights rounded once, from float32."""
    if any(kind == _FLOAT16 for kind in types_of(model).values()):
        raise OnnxError(
            "the network holds float16 already, and cannot become bf16", "set engine.precision=fp16", code="E617"
        )
    weights = dict(_floats(model))
    sensitive = _precision_sensitive(model)
    converted = _as_float16(model, _named(model, lambda node: node.op_type in _NO_BFLOAT16 or sensitive(node)))
    _retype(converted.graph, weights)
    return converted


def _retype(graph: Any, weights: Mapping[str, NDArray[Any]]) -> None:
    """Make bfloat16 of all float16 in a graph and the graphs inside it."""
    for weight in graph.initializer:
        _retype_tensor(weight, weights.get(weight.name))
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == _FLOAT16:
            value.type.tensor_type.elem_type = _BFLOAT16
    for node in graph.node:
        for one in node.attribute:
            if one.name in ("to", "dtype") and one.i == _FLOAT16:
                one.i = _BFLOAT16
            if one.HasField("t"):
                _retype_tensor(one.t, weights.get(node.output[0]) if node.op_type == "Constant" else None)
            for inner in (*([one.g] if one.HasField("g") else []), *one.graphs):
                _retype(inner, weights)


def _retype_tensor(tensor: Any, original: NDArray[Any] | None) -> None:
    from onnx import numpy_helper

    if tensor.data_type != _FLOAT16:
        return
    array = numpy_helper.to_array(tensor) if original is None else original
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)  # To the nearest, ties to even.
    name, dims = tensor.name, list(tensor.dims)
    tensor.Clear()
    tensor.name, tensor.data_type, tensor.raw_data = name, _BFLOAT16, rounded.astype("<u2").tobytes()
    tensor.dims.extend(dims)


def _quantised(model: Any, calibration: Samples | None) -> Any:
    """The network with QuantizeLinear and DequantizeLinear at the inputs and weights of its heavy nodes."""
    import onnx

    tools = _onnxruntime("quantization", "int8")
    if any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in model.graph.node):
        return model
    samples = iter(calibration or ())
    first = next(samples, None)
    if first is None:
        raise OnnxError(
            "int8 needs frames to measure its ranges over, and there are none",
            "set engine.calibration to a clip like those that will be processed",
            code="E617",
        )

    class Reader(tools.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.first: Mapping[str, NDArray[Any]] | None = first

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            sample, self.first = self.first or next(samples, None), None
            return None if sample is None else dict(sample)

    _say_kernel_shapes(model)
    with tempfile.TemporaryDirectory() as folder, _quiet(), _tool_errors_as_onnx_errors("int8"):
        target = Path(folder) / "quantised.onnx"
        tools.quantize_static(
            model,
            target,
            Reader(),
            quant_format=tools.QuantFormat.QDQ,
            op_types_to_quantize=_QUANTISED,
            per_channel=True,
            activation_type=tools.QuantType.QInt8,
            weight_type=tools.QuantType.QInt8,
            extra_options={
                # What TensorRT takes: zero points of 0, float weights with both nodes behind them, biases as they are.
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "AddQDQPairToWeight": True,
                "QuantizeBias": False,
                # Outputs are quantised where the next heavy node takes them, so that activations are fused before.
                "OpTypesToExcludeOutputQuantization": _QUANTISED,
            },
        )
        return onnx.load(str(target))


def _say_kernel_shapes(model: Any) -> None:
    """Write down what convolutions may leave to their weights: TensorRT 8 does not look there behind Q/DQ."""
    import onnx

    weights = {weight.name: list(weight.dims) for weight in model.graph.initializer}
    for node in model.graph.node:
        said = any(attribute.name == "kernel_shape" for attribute in node.attribute)
        if node.op_type in ("Conv", "ConvTranspose") and not said and node.input[1] in weights:
            node.attribute.append(onnx.helper.make_attribute("kernel_shape", weights[node.input[1]][2:]))


def _upgraded(model: Any, opset: int) -> Any:
    """The model in that operator set at least: one scale per channel needs 13."""
    import onnx

    now = max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=1)
    if now >= opset:
        return model
    try:
        return onnx.version_converter.convert_version(model, opset)
    except Exception as error:  # The converter raises RuntimeError, and pybind11's own types.
        raise OnnxError(
            f"the network is in ONNX's operator set {now}, and int8 needs {opset}: {str(error).splitlines()[0]}",
            f"export the model with operator set {opset} or later, or take fp16",
            code="E617",
        ) from None


@contextlib.contextmanager
def _tool_errors_as_onnx_errors(precision: str) -> Iterator[None]:
    """Tell of what ONNX Runtime's tools cannot do."""
    try:
        yield
    except (OnnxError, BmfgraphError, KeyboardInterrupt):
        raise
    except Exception as error:
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise OnnxError(
            f"ONNX Runtime's tools cannot make the network {precision}: {first}",
            "choose another precision",
            code="E617",
        ) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the advice of ONNX Runtime's tools, which speak to those who write conversion scripts, from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _onnxruntime(part: str, what: str) -> Any:
    """A part of ONNX Runtime's tools. By name, as compiling must not depend on a runtime."""
    try:
        return importlib.import_module(f"onnxruntime.{part}")
    except ImportError:
        raise InstallError(
            f"ONNX Runtime is not installed, and {what} networks are prepared with it",
            hint="pip install onnxruntime",
            code="E705",
        ) from None
