"""Infer the output shapes of a model for given input shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.engines.onnx.folding import fold_sizes, sizes_of
from bmfgraph.engines.onnx.loading import loaded
from bmfgraph.engines.onnx.model import OnnxError, Shape, is_numeric, tensor_of, with_free_dims
from bmfgraph.engines.onnx.weights import load_external, weight_files_of
from bmfgraph.errors import first_line

__all__ = ["infer_shapes"]

_SMALL = 1 << 16
"""Bytes of the largest weight whose values can matter to shapes."""


def infer_shapes(path: Path, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int | None, ...]]:
    """Infer the shapes of the outputs by ONNX's own shape inference.

    The shapes that the file declares for outputs count only where none can be inferred, because exporters leave them
    out or write wrong ones, and runtimes run such models.

    Args:
        path: The model file.
        inputs: Shape of every input, batch included.

    Returns:
        Shape of every numeric output; None where a size cannot be inferred.

    Raises:
        OnnxError: The network does not accept these shapes.
    """
    import onnx

    declared = {value.name: tensor_of(value).dims for value in loaded(path).graph.input if is_numeric(value)}
    model = with_free_dims(path, inputs)
    del model.graph.value_info[:]
    for value in model.graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
    load_external(model, path, weight_files_of(model), _SMALL)
    for weight in model.graph.initializer:
        # Shape inference copies the model, so large weights, whose values do not matter, are dropped first.
        if weight.ByteSize() > _SMALL:
            kept = (weight.name, weight.data_type, list(weight.dims))
            weight.Clear()
            weight.name, weight.data_type = kept[:2]
            weight.dims.extend(kept[2])
            weight.data_location = onnx.TensorProto.EXTERNAL
    try:
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        while any(None in sizes_of(value) for value in model.graph.output) and fold_sizes(model):
            model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        shapes = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in inputs.items())
        reason = re.sub(r"\[\w+\] |Inference error\(s\): ", "", first_line(error))
        raise OnnxError(
            f"the network does not take {shapes}: {reason}",
            "choose another size (`size` or `multiple` of the preprocess node), or correct model.inputs",
            code=codes.UNSUPPORTED_INPUT_SIZE,
        ) from None
    as_declared = all(shape == declared.get(name) for name, shape in inputs.items())
    shapes_of = {value.name: value for value in loaded(path).graph.output}
    result = {}
    for value in model.graph.output:
        if is_numeric(value) or not any(map(is_numeric, model.graph.output)):
            file_dims = tensor_of(shapes_of[value.name]).dims
            result[value.name] = _known_dims(value, file_dims, as_declared)
    return result


def _known_dims(value: Any, declared: Shape, trusted: bool) -> tuple[int | None, ...]:
    """Return the inferred sizes of an output, completed by the declared ones where they can be trusted."""
    tensor = value.type.tensor_type
    sizes = [size if trusted and isinstance(size, int) else None for size in declared]
    if not tensor.HasField("shape"):
        return tuple(sizes)
    inferred = sizes_of(value)
    if len(sizes) != len(inferred):
        sizes = [None] * len(inferred)
    return tuple(size if known is None else known for known, size in zip(inferred, sizes, strict=True))
