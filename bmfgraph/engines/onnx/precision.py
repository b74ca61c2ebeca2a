"""Prepare an ONNX network for a TensorRT builder: free dims, uint8, weights inside, and the precision.

Strongly typed builders (TensorRT-RTX, TensorRT from 11 on) take the precision from the network's own types, so weights
and tensors are converted here. Weakly typed builders take fp16 and bf16 as a flag. Both take int8 as QuantizeLinear
and DequantizeLinear nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmfgraph import error_codes as codes
from bmfgraph.engines.onnx.graph import attribute, drop_unused_weights, element_types, sort_nodes, subgraphs
from bmfgraph.engines.onnx.int8 import Samples, quantize
from bmfgraph.engines.onnx.model import OnnxError, with_free_dims
from bmfgraph.engines.onnx.sensitive import precision_sensitive_outputs, tail
from bmfgraph.engines.onnx.tools import import_tool, tool_errors_as_onnx_errors
from bmfgraph.engines.onnx.uint8 import cast_uint8
from bmfgraph.engines.onnx.weights import load_external, weight_files_of

__all__ = ["prepare_network"]

_FLOAT, _FLOAT16, _BFLOAT16 = 1, 10, 16
"""Values of ONNX's TensorProto.DataType."""
_FLOAT16_MAX = 65504.0
_MESSAGE_BYTES = (2 << 30) - 1
"""Size of the largest message that protobuf can write."""
_NO_BFLOAT16 = frozenset({"ConvTranspose"})
"""Operators that TensorRT-RTX parses in bfloat16, but cannot build."""


def prepare_network(
    path: Path,
    dim_overrides: Mapping[str, tuple[int | str, ...]],
    precision: str,
    *,
    strongly_typed: bool,
    calibration: Samples | None = None,
) -> Any:
    """Read a model file, and return the network to build as an ``onnx.ModelProto`` with its weights inside.

    Args:
        path: The model file.
        dim_overrides: By input name, the dims that replace those of the file: sizes, or names of free dims.
        precision: fp32, tf32, fp16, bf16 or int8.
        strongly_typed: Whether the builder takes the precision from the network's own types.
        calibration: Inputs over which int8 measures its ranges; not needed by other precisions.

    Raises:
        OnnxError: The file cannot be read, or the network cannot have that precision.
        InstallError: ONNX Runtime, whose tools convert to fp16, bf16 and int8, is not installed.
    """
    model = with_free_dims(path, dim_overrides)
    model.ir_version = max(model.ir_version, 4)  # Older versions require that weights are inputs, too.
    drop_unused_weights(model.graph)
    _load_weights(model, path)
    cast_uint8(model)
    if precision == "int8":
        # The dtype of the scales is the dtype of the dequantized tensors; float16 scales need operator set 19.
        model = quantize(model, calibration, opset=19 if strongly_typed else 13)
    if strongly_typed and precision in ("fp16", "int8"):
        return _to_float16(model, _float32_nodes(model))
    if strongly_typed and precision == "bf16":
        return _to_bfloat16(model)
    return model


def _load_weights(model: Any, path: Path) -> None:
    """Load the weights that lie in files of their own. Raises OnnxError where the network then exceeds 2 GiB."""
    files = weight_files_of(model)
    size = path.stat().st_size + sum(length for file in files for _, length in file.parts)
    if size > _MESSAGE_BYTES:
        raise OnnxError(
            f"{str(path)!r} holds {size / 2**30:.1f} GiB of weights; more than 2 GiB cannot be given to a builder here",
            "build the engine from the file with trtexec, and name it: engine.path=FILE",
            code=codes.NETWORK_PREPARATION_FAILURE,
        )
    load_external(model, path, files)


def _to_float16(model: Any, float32_nodes: list[str]) -> Any:
    """Convert to float16; inputs, outputs and the nodes of these names stay in float32."""
    converter = import_tool("transformers.float16", "fp16 and bf16")
    with tool_errors_as_onnx_errors("16-bit floating point"):
        converted = converter.convert_float_to_float16(model, keep_io_types=True, node_block_list=float32_nodes)
    sort_nodes(converted.graph)  # The converter appends its Casts behind the nodes that read them.
    return converted


def _float32_nodes(model: Any) -> list[str]:
    """Name the nodes that float16 cannot hold the weights of, and those of precision-sensitive tails."""
    large = {name for name, array in _float_weights(model) if array.size and np.abs(array).max() > _FLOAT16_MAX}
    is_sensitive = _sensitivity(model)
    return _names(model, lambda node: bool(large & {*node.input, *node.output}) or is_sensitive(node))


def _sensitivity(model: Any) -> Callable[[Any], bool]:
    """Return a test for the nodes in precision-sensitive tails.

    It goes by the tensors that nodes produce, because nodes may have no name.
    """
    results = {
        name
        for output in precision_sensitive_outputs(model)
        for index in tail(model, output)
        for name in model.graph.node[index].output
    }
    return lambda node: not results.isdisjoint(node.output)


def _names(model: Any, is_chosen: Callable[[Any], bool]) -> list[str]:
    """Return the names of the chosen nodes, and name those that have none."""
    names = []
    for index, node in enumerate(model.graph.node):
        if is_chosen(node):
            node.name = node.name or f"{node.op_type}_{index}"
            names.append(node.name)
    return names


def _float_weights(model: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the float32 weights of the main graph: initializers, and Constants by the name of their output."""
    from onnx import numpy_helper

    for weight in model.graph.initializer:
        if weight.data_type == _FLOAT:
            yield weight.name, numpy_helper.to_array(weight)
    for node in model.graph.node:
        value = attribute(node, "value", None) if node.op_type == "Constant" else None
        if value is not None and value.data_type == _FLOAT:
            yield node.output[0], numpy_helper.to_array(value)


def _to_bfloat16(model: Any) -> Any:
    """Convert to bfloat16 by way of float16, and round the weights once, from float32."""
    if _FLOAT16 in element_types(model).values():
        raise OnnxError(
            "the network holds float16 already, and cannot become bf16",
            "set engine.precision=fp16",
            code=codes.NETWORK_PREPARATION_FAILURE,
        )
    weights = dict(_float_weights(model))
    is_sensitive = _sensitivity(model)
    converted = _to_float16(model, _names(model, lambda node: node.op_type in _NO_BFLOAT16 or is_sensitive(node)))
    _float16_to_bfloat16(converted.graph, weights)
    return converted


def _float16_to_bfloat16(graph: Any, weights: Mapping[str, NDArray[Any]]) -> None:
    """Replace float16 by bfloat16 in a graph and its subgraphs; ``weights`` are the float32 originals."""
    for weight in graph.initializer:
        _round_tensor(weight, weights.get(weight.name))
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == _FLOAT16:
            value.type.tensor_type.elem_type = _BFLOAT16
    for node in graph.node:
        for entry in node.attribute:
            if entry.name in ("to", "dtype") and entry.i == _FLOAT16:
                entry.i = _BFLOAT16
            if entry.HasField("t"):
                _round_tensor(entry.t, weights.get(node.output[0]) if node.op_type == "Constant" else None)
        for inner in subgraphs(node):
            _float16_to_bfloat16(inner, weights)


def _round_tensor(tensor: Any, original: NDArray[Any] | None) -> None:
    """Round a float16 tensor, or its float32 original, to bfloat16: to nearest, ties to even."""
    from onnx import numpy_helper

    if tensor.data_type != _FLOAT16:
        return
    array = numpy_helper.to_array(tensor) if original is None else original
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    name, dims = tensor.name, list(tensor.dims)
    tensor.Clear()
    tensor.name, tensor.data_type, tensor.raw_data = name, _BFLOAT16, rounded.astype("<u2").tobytes()
    tensor.dims.extend(dims)
