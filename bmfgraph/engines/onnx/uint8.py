"""Adapt uint8 networks to TensorRT, which has uint8 only at a network's inputs and outputs, next to a Cast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bmfgraph import error_codes as codes
from bmfgraph.engines.onnx.graph import attribute, element_types, replace_items
from bmfgraph.engines.onnx.model import OnnxError

__all__ = ["cast_uint8"]

_UINT8, _FLOAT, _FLOAT16, _INT32 = 2, 1, 10, 6
"""Values of ONNX's TensorProto.DataType."""

# Operators that move values and compute none, so that they treat whole numbers in float32 in the same way.
_MOVES = frozenset(
    {
        *("Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Pad"),
        *("Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
    }
)


def cast_uint8(model: Any) -> None:
    """Put a Cast behind every uint8 input and before every uint8 output; in between, uint8 becomes float32.

    Args:
        model: An ``onnx.ModelProto``, which is changed; a model that casts in these places already stays as it is.

    Raises:
        OnnxError: An operator computes with uint8 instead of moving values.
    """
    types = element_types(model)
    inputs = [value.name for value in model.graph.input if types.get(value.name) == _UINT8]
    outputs = [value.name for value in model.graph.output if types.get(value.name) == _UINT8]
    inner = {name for name, kind in types.items() if kind == _UINT8} - set(inputs) - set(outputs)
    if not inner and all(_is_float_cast(node, types) for node in _users(model, {*inputs, *outputs})):
        return
    for node in _users(model, {*inputs, *outputs, *inner}):
        _check_operator(node, types)
    _weights_to_float(model)
    renamed = {name: f"{name}_as_float" for name in (*inputs, *outputs)}
    nodes = [_cast(name, renamed[name], _FLOAT) for name in inputs]
    for node in model.graph.node:
        casts_to_uint8 = node.op_type == "Cast" and types.get(node.output[0]) == _UINT8
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
        if casts_to_uint8:
            # A Cast to int32 truncates as the Cast to uint8 did; without it, fractions would reach later nodes.
            (target,) = node.output
            whole = f"{target}_as_int32"
            nodes += [_cast(node.input[0], whole, _INT32), _cast(whole, target, _FLOAT)]
        else:
            nodes.append(node)
    nodes += [_cast(renamed[name], name, _UINT8) for name in outputs]
    replace_items(model.graph.node, nodes)
    replace_items(model.graph.value_info, [info for info in model.graph.value_info if types.get(info.name) != _UINT8])


def _check_operator(node: Any, types: Mapping[str, int]) -> None:
    """Raise OnnxError for an operator that computes with uint8."""
    moves = node.op_type in _MOVES or (node.op_type == "Resize" and attribute(node, "mode", b"nearest") == b"nearest")
    if moves or node.op_type in ("Cast", "Constant", "Shape", "Size"):
        return
    name = next(name for name in (*node.input, *node.output) if types.get(name) == _UINT8)
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        raise OnnxError(
            f"the network is quantised to uint8 ({_node_text(node)}), and TensorRT quantises to int8 only",
            "take the model before it was quantised, and set engine.precision=int8",
            code=codes.NETWORK_PREPARATION_FAILURE,
        )
    raise OnnxError(
        f"{_node_text(node)} computes with the uint8 tensor {name!r}, "
        "and TensorRT has uint8 at inputs and outputs only",
        f"export the model with a Cast to float32 before the {node.op_type}, or run it with engine.runtime=onnxruntime",
        code=codes.NETWORK_PREPARATION_FAILURE,
    )


def _users(model: Any, names: set[str]) -> Iterator[Any]:
    """Yield the nodes that read or produce one of the tensors."""
    return (node for node in model.graph.node if names & {*node.input, *node.output})


def _is_float_cast(node: Any, types: Mapping[str, int]) -> bool:
    """Return whether the node is a Cast between uint8 and a float type; TensorRT has no other Cast of uint8."""
    kinds = {types.get(name) for name in (*node.input, *node.output)} - {_UINT8}
    return node.op_type == "Cast" and len(kinds) == 1 and kinds <= {_FLOAT, _FLOAT16}


def _weights_to_float(model: Any) -> None:
    """Convert uint8 weights to float32."""
    from onnx import numpy_helper

    constants = [entry for node in model.graph.node if node.op_type == "Constant" for entry in node.attribute]
    for tensor in (*model.graph.initializer, *(entry.t for entry in constants if entry.name == "value")):
        if tensor.data_type == _UINT8:
            array = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _cast(source: str, target: str, kind: int) -> Any:
    from onnx import helper

    return helper.make_node("Cast", [source], [target], name=f"cast_to_{target}", to=kind)


def _node_text(node: Any) -> str:
    return f"node {node.name!r} ({node.op_type})" if node.name else f"the {node.op_type} that makes {node.output[0]!r}"
