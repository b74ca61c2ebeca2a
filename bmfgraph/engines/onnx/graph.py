"""Edit ONNX graphs: the few operations that the rewriting steps share.

All functions work on protobuf messages of the package onnx, and on the main graph of a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from typing import Any

__all__ = [
    "attribute",
    "copy_of",
    "default_opset",
    "drop_unused_weights",
    "element_types",
    "input_names",
    "replace_items",
    "sort_nodes",
    "subgraphs",
]


def replace_items(field: Any, messages: Iterable[Any]) -> None:
    """Replace the content of a repeated field; the messages may come from that field."""
    copies = [copy_of(message) for message in messages]
    del field[:]
    field.extend(copies)


def copy_of(message: Any) -> Any:
    """Return a copy of a protobuf message."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def attribute(node: Any, name: str, default: Any) -> Any:
    """Return the value of a node's attribute, or ``default``."""
    from onnx import helper

    return next((helper.get_attribute_value(entry) for entry in node.attribute if entry.name == name), default)


def subgraphs(node: Any) -> Iterator[Any]:
    """Yield the graphs in a node's attributes, such as the branches of If."""
    for entry in node.attribute:
        yield from [entry.g] if entry.HasField("g") else []
        yield from entry.graphs


def input_names(nodes: Iterable[Any]) -> Iterator[str]:
    """Yield the names of the tensors that nodes and their subgraphs read."""
    for node in nodes:
        yield from node.input
        for graph in subgraphs(node):
            yield from input_names(graph.node)
            yield from (value.name for value in graph.output)


def element_types(model: Any) -> dict[str, int]:
    """Return the element type (``TensorProto.DataType``) of every tensor, as far as ONNX can infer it."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.value_info, *graph.output, *graph.input)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {weight.name: weight.data_type for weight in graph.initializer}


def default_opset(model: Any) -> int:
    """Return the version of ONNX's own operator set that a model uses."""
    return max((opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")), default=1)


def drop_unused_weights(graph: Any) -> None:
    """Remove the weights that neither a node nor an output of the graph reads."""
    used = {value.name for value in graph.output} | set(input_names(graph.node))
    weights = [weight for weight in graph.initializer if weight.name in used]
    if len(weights) < len(graph.initializer):
        replace_items(graph.initializer, weights)


def sort_nodes(graph: Any) -> None:
    """Sort the nodes topologically: each behind the nodes whose results it reads."""
    producers = {name: index for index, node in enumerate(graph.node) for name in node.output}
    predecessors = {
        index: [producers[name] for name in input_names([node]) if name in producers]
        for index, node in enumerate(graph.node)
    }
    replace_items(graph.node, [graph.node[index] for index in TopologicalSorter(predecessors).static_order()])
