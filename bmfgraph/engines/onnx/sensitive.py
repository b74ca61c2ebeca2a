"""The tails of a network's outputs: what comes after the last convolution or matrix product on the way to them.

Where a tail makes probabilities or sizes of logits, 16 bits are too few: near 1 float16 has steps of 0.0005, and scores
that differ by less decide which of two boxes stays. A tail costs next to nothing, so such tails are kept in float32.
"""

from __future__ import annotations

from typing import Any

__all__ = ["precision_sensitive_outputs", "tail"]

_HEAVY = frozenset(
    {
        *("Conv", "ConvTranspose", "DeformConv", "Einsum", "Gemm", "GRU", "LSTM", "MatMul", "RNN"),
        *("ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"),
    }
)
_SENSITIVE = frozenset({"Exp", "Log", "LogSoftmax", "Pow", "Sigmoid", "Softmax", "Softplus", "Sqrt"})


def precision_sensitive_outputs(model: Any) -> list[str]:
    """Names of the outputs of an ``onnx.ModelProto`` whose tails compute what 16 bits are too few for."""
    return [
        value.name
        for value in model.graph.output
        if any(model.graph.node[index].op_type in _SENSITIVE for index in tail(model, value.name))
    ]


def tail(model: Any, output: str) -> list[int]:
    """Indices of the nodes from the last heavy ones, without them, to that output."""
    maker = {name: index for index, node in enumerate(model.graph.node) for name in node.output}
    found: set[int] = set()
    waiting = [output]
    while waiting:
        index = maker.get(waiting.pop())
        if index is None or index in found or model.graph.node[index].op_type in _HEAVY:
            continue
        found.add(index)
        waiting += model.graph.node[index].input
    return sorted(found)
