"""uint8 in ONNX networks for TensorRT, which has it at a network's inputs and outputs only, next to a Cast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bmfgraph.engines.onnx.model import OnnxError

__all__ = ["attribute", "cast_uint8", "copy_of", "types_of"]

_UINT8, _FLOAT, _FLOAT16, _INT32 = 2, 1, 10, 6
"""Of ONNX's TensorProto.DataType."""

# They move values and compute none, so that they do the same to whole numbers kept as float32.
_MOVES = frozenset(
    {
        *("Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Pad"),
        *("Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
    }
)


def cast_uint8(model: Any) -> None:
    """Put a Cast behind every uint8 input and before every uint8 output; between them, uint8 becomes float32."""
    types = types_of(model)
    inputs = [value.name for value in model.graph.input if types.get(value.name) == _UINT8]
    outputs = [value.name for value in model.graph.output if types.get(value.name) == _UINT8]
    inner = {name for name, kind in types.items() if kind == _UINT8} - set(inputs) - set(outputs)
    if not inner and all(_is_cast(node, types) for node in _touching(model, {*inputs, *outputs})):
        return
    for node in _touching(model, {*inputs, *outputs, *inner}):
        _check_uint8(node, types)
    _float_weights(model)
    renamed = {name: f"{name}_as_float" for name in (*inputs, *outputs)}
    nodes = [_cast(name, renamed[name], _FLOAT) for name in inputs]
    for node in model.graph.node:
        made = [name for name in node.output if types.get(name) == _UINT8]
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
        if node.op_type == "Cast" and made:
            # What a cast to uint8 cuts off is cut off here, or rounding would come later or never.
            (target,) = node.output
            whole = f"{target}_as_int32"
            nodes += [_cast(node.input[0], whole, _INT32), _cast(whole, target, _FLOAT)]
        else:
            nodes.append(node)
    nodes += [_cast(renamed[name], name, _UINT8) for name in outputs]
    copies = [copy_of(node) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    kept = [copy_of(value) for value in model.graph.value_info if types.get(value.name) != _UINT8]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)


def _check_uint8(node: Any, types: Mapping[str, int]) -> None:
    """Refuse an operator that computes with uint8."""
    moves = node.op_type in _MOVES or (node.op_type == "Resize" and attribute(node, "mode", b"nearest") == b"nearest")
    if moves or node.op_type in ("Cast", "Constant", "Shape", "Size"):
        return
    name = next(name for name in (*node.input, *node.output) if types.get(name) == _UINT8)
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        raise OnnxError(
            f"the network is quantised to uint8 ({_shown(node)}), and TensorRT quantises to int8 only",
            "take the model before it was quantised, and set engine.precision=int8",
            code="E617",
        )
    raise OnnxError(
        f"{_shown(node)} computes with the uint8 tensor {name!r}, and TensorRT has uint8 at inputs and outputs only",
        f"export the model with a Cast to float32 before the {node.op_type}, or run it with engine.runtime=onnxruntime",
        code="E617",
    )


def types_of(model: Any) -> dict[str, int]:
    """Element types of all tensors of the main graph, as far as ONNX can infer them."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*inferred.value_info, *inferred.output)}
    types |= {value.name: value.type.tensor_type.elem_type for value in inferred.input}
    return types | {weight.name: weight.data_type for weight in inferred.initializer}


def _touching(model: Any, names: set[str]) -> Iterator[Any]:
    return (node for node in model.graph.node if names & {*node.input, *node.output})


def _is_cast(node: Any, types: Mapping[str, int]) -> bool:
    """Whether the node is a Cast between uint8 and a float type, the only ones that TensorRT has."""
    kinds = {types.get(name) for name in (*node.input, *node.output)} - {_UINT8}
    return node.op_type == "Cast" and len(kinds) == 1 and kinds <= {_FLOAT, _FLOAT16}


def _float_weights(model: Any) -> None:
    """Turn uint8 weights into float32 ones."""
    from onnx import numpy_helper

    attributes = [one for node in model.graph.node if node.op_type == "Constant" for one in node.attribute]
    for tensor in (*model.graph.initializer, *(one.t for one in attributes if one.name == "value")):
        if tensor.data_type == _UINT8:
            array = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _cast(source: str, target: str, kind: int) -> Any:
    from onnx import helper

    return helper.make_node("Cast", [source], [target], name=f"cast_to_{target}", to=kind)


def copy_of(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def attribute(node: Any, name: str, default: Any) -> Any:
    from onnx import helper

    return next((helper.get_attribute_value(one) for one in node.attribute if one.name == name), default)


def _shown(node: Any) -> str:
    return f"node {node.name!r} ({node.op_type})" if node.name else f"the {node.op_type} that makes {node.output[0]!r}"
