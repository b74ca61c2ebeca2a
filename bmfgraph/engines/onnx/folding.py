"""Compute the sizes that a graph computes from known sizes, where ONNX's shape inference does not."""

from __future__ import annotations

from typing import Any

__all__ = ["fold_sizes", "sizes_of"]

_OPERATORS = frozenset({"Cast", "Slice", "Gather", "Concat", "Squeeze", "Unsqueeze", "Add", "Sub", "Mul", "Div"})
"""Operators that exporters use to compute the target of a Reshape."""
_MOST = 64
"""Numbers of the largest array that is computed; a shape has a few."""


def fold_sizes(model: Any) -> bool:
    """Replace nodes that compute sizes from known sizes by constants.

    ONNX's inference follows such values through few operators: through Slice, only since operator set 13.

    Args:
        model: A model after shape inference, which is changed. Infer its shapes again afterwards.

    Returns:
        Whether a node was replaced.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    graph = model.graph
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    sizes = {value.name: sizes_of(value) for value in (*graph.input, *graph.value_info)}
    values = {
        weight.name: numpy_helper.to_array(weight)
        for weight in graph.initializer
        if weight.data_type in (TensorProto.INT32, TensorProto.INT64) and 0 < len(weight.dims) < 2 and weight.raw_data
    }
    folded = False
    result: Any
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or len(node.output) != 1:
            continue
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            if len(node.attribute[0].t.dims) < 2:
                values[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            continue
        if node.op_type == "Shape" and not node.attribute:
            known = sizes.get(node.input[0], (None,))
            result = None if None in known else np.array(known, np.int64)
        elif node.op_type in _OPERATORS and all(name in values or not name for name in node.input):
            if sum(values[name].size for name in node.input if name) > _MOST:
                continue
            feeds = {name: values[name] for name in node.input if name}
            try:
                (result,) = ReferenceEvaluator(node, opsets=opsets).run(None, feeds)
            except Exception:
                # Some releases of ONNX evaluate some operators of old sets wrongly; the sizes then stay unknown.
                continue
        else:
            continue
        if result is not None and result.size <= _MOST:
            values[node.output[0]] = result
            tensor = numpy_helper.from_array(result, node.output[0])
            node.CopyFrom(helper.make_node("Constant", [], [node.output[0]], value=tensor))
            folded = True
    return folded


def sizes_of(value: Any) -> tuple[int | None, ...]:
    """Return the sizes of a graph's value; None for an unknown one, and (None,) where even their number is unknown."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return (None,)
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
