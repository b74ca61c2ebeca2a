"""Find the outputs of a network that need float32: those whose tails compute probabilities or sizes.

A tail is the part of the network from the last convolutions or matrix products to an output. Near 1, float16 has steps
of 0.0005, and scores that differ by less decide which of two boxes survives. A tail costs next to nothing, so
sensitive tails stay in float32.
"""

from __future__ import annotations

from typing import Any

__all__ = ["precision_sensitive_outputs", "tail"]

HEAVY = frozenset(
    {
        *("Conv", "ConvTranspose", "DeformConv", "Einsum", "Gemm", "GRU", "LSTM", "MatMul", "RNN"),
        *("ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"),
    }
)
"""Operators that end a tail. The layer types of TensorRT stand in trt_network.py."""
_SENSITIVE = frozenset({"Exp", "Log", "LogSoftmax", "Pow", "Sigmoid", "Softmax", "Softplus", "Sqrt"})


def precision_sensitive_outputs(model: Any) -> list[str]:
    """Return the names of the outputs of an ``onnx.ModelProto`` whose tails hold a sensitive operator."""
    return [
        value.name
        for value in model.graph.output
        if any(model.graph.node[index].op_type in _SENSITIVE for index in tail(model, value.name))
    ]


def tail(model: Any, output: str) -> list[int]:
    """Return the indices of the nodes between the last heavy nodes and an output, in the order of the graph."""
    producers = {name: index for index, node in enumerate(model.graph.node) for name in node.output}
    indices: set[int] = set()
    pending = [output]
    while pending:
        index = producers.get(pending.pop())
        if index is None or index in indices or model.graph.node[index].op_type in HEAVY:
            continue
        indices.add(index)
        pending += model.graph.node[index].input
    return sorted(indices)
