"""Read an ONNX file's inputs and outputs, and infer the output shapes for given input shapes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.engines.onnx.graph import default_opset, replace_items
from bmfgraph.errors import UnplacedError
from bmfgraph.system.files import file_sha256

__all__ = ["OnnxError", "OnnxModel", "OnnxTensor", "checksum", "infer_shapes", "read_onnx", "with_free_dims"]

Shape = tuple["int | str", ...]


class OnnxError(UnplacedError):
    """A file is not a usable ONNX model; ``hint`` says what to do."""


@dataclass(frozen=True)
class OnnxTensor:
    """An input or output. Dims are sizes, or names where free; ``dtype`` is NumPy's name."""

    name: str
    dtype: str
    dims: Shape

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}[{'x'.join(map(str, self.dims))}]"


@dataclass(frozen=True)
class OnnxModel:
    """The description of an ONNX file without its network."""

    path: Path
    sha256: str
    """Checksum of the file and of its weight files."""
    inputs: tuple[OnnxTensor, ...]
    outputs: tuple[OnnxTensor, ...]
    weight_files: tuple[str, ...]
    """Names of files with weights, relative to the model's folder."""
    weights_as_inputs: bool
    """Whether the file lists its weights as inputs, as old exporters did."""
    quantized: bool
    """Whether it holds QuantizeLinear nodes."""

    def input(self, name: str) -> OnnxTensor | None:
        """Return the input of a name, or None."""
        return next((tensor for tensor in self.inputs if tensor.name == name), None)


@lru_cache(maxsize=8)
def _load(path: Path, _modified: int) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise OnnxError(
            f"{str(path)!r} cannot be read ({error.strerror})",
            "check who may read it",
            code=codes.UNREADABLE_MODEL_FILE,
        ) from None
    except DecodeError:
        raise OnnxError(
            f"{str(path)!r} is not an ONNX model, or it is damaged",
            "fetch or export it again",
            code=codes.INVALID_ONNX_MODEL,
        ) from None
    newest, needed = onnx.defs.onnx_opset_version(), default_opset(model)
    if needed > newest or model.ir_version > onnx.IR_VERSION:
        version = f"operator set {needed}" if needed > newest else f"IR version {model.ir_version}"
        latest = newest if needed > newest else onnx.IR_VERSION
        raise OnnxError(
            f"{str(path)!r} is of ONNX's {version}, and onnx {onnx.__version__} knows them up to {latest}",
            "pip install -U onnx onnxruntime, or export the model with an older one",
            code=codes.UNSUPPORTED_ONNX_VERSION,
        )
    if not model.graph.node or not model.graph.output:
        raise OnnxError(
            f"{str(path)!r} holds no network",
            "it may be cut off; fetch or export it again",
            code=codes.INVALID_ONNX_MODEL,
        )
    return model


def _loaded(path: Path) -> Any:
    return _load(path, path.stat().st_mtime_ns)


def read_onnx(path: Path) -> OnnxModel:
    """Read what a model file contains.

    Raises:
        OnnxError: The file is missing, damaged or not an ONNX model.
    """
    if path.is_dir():
        raise OnnxError(f"{str(path)!r} is a folder", "name the ONNX file in it", code=codes.UNREADABLE_MODEL_FILE)
    if not path.is_file():
        raise OnnxError(
            f"model file {str(path)!r} does not exist",
            "check the path, which is relative to the current folder",
            code=codes.UNREADABLE_MODEL_FILE,
        )
    graph = _loaded(path).graph
    weights = {weight.name for weight in graph.initializer}
    files = {entry.value for weight in graph.initializer for entry in weight.external_data if entry.key == "location"}
    return OnnxModel(
        path=path,
        sha256=checksum(path, sorted(files), file_sha256(path)),
        inputs=tuple(_tensor(value) for value in graph.input if value.name not in weights),
        outputs=tuple(_tensor(value) for value in graph.output),
        weight_files=tuple(sorted(files)),
        weights_as_inputs=any(value.name in weights for value in graph.input),
        quantized=any(node.op_type == "QuantizeLinear" for node in graph.node),
    )


def checksum(path: Path, weight_files: Sequence[str], digest: str) -> str:
    """Return the sha256 (hex) of a model with all its files.

    Args:
        path: The model file.
        weight_files: Names of its weight files, relative to its folder.
        digest: Sha256 of the model file alone.

    Raises:
        OnnxError: A weight file is missing.
    """
    if not weight_files:
        return digest
    total = hashlib.sha256(digest.encode())
    for name in weight_files:
        if not (path.parent / name).is_file():
            raise OnnxError(
                f"{str(path)!r} keeps weights in {name!r}, which is not beside it",
                "copy that file there, too",
                code=codes.MISSING_EXTERNAL_WEIGHTS,
            )
        total.update(file_sha256(path.parent / name).encode())
    return total.hexdigest()


def _tensor(value: Any) -> OnnxTensor:
    import onnx

    tensor = value.type.tensor_type
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except KeyError:
        raise OnnxError(
            f"tensor {value.name!r} has no element type", "export the model again", code=codes.INVALID_ONNX_MODEL
        ) from None
    dims = tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or f"dim{index}"
        for index, dim in enumerate(tensor.shape.dim)
    )
    return OnnxTensor(value.name, dtype, dims)


def with_free_dims(path: Path, dims: Mapping[str, Shape]) -> Any:
    """Read a model, and replace the dims of some inputs: for exports that fix a size which the network does not need.

    Args:
        path: The model file.
        dims: New dims by input name: sizes, or names of free dims. The shapes of all outputs become free.

    Returns:
        A copy as an ``onnx.ModelProto``. Weights are not listed as inputs.

    Raises:
        OnnxError: The file is not a usable ONNX model.
    """
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(_loaded(path))
    weights = {weight.name for weight in model.graph.initializer}
    replace_items(model.graph.input, [value for value in model.graph.input if value.name not in weights])
    for value in model.graph.input:
        if value.name in dims:
            _set_dims(value, dims[value.name])
    if dims:
        del model.graph.value_info[:]
        for value in model.graph.output:
            rank = len(value.type.tensor_type.shape.dim)
            _set_dims(value, tuple(f"{value.name}_{axis}" for axis in range(rank)))
    return model


def _set_dims(value: Any, dims: Shape) -> None:
    shape = value.type.tensor_type.shape
    del shape.dim[:]
    for size in dims:
        dim = shape.dim.add()
        if isinstance(size, int):
            dim.dim_value = size
        else:
            dim.dim_param = size


def infer_shapes(path: Path, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int | None, ...]]:
    """Infer the shapes of the outputs by ONNX's own shape inference.

    Args:
        path: The model file.
        inputs: Shape of every input, batch included.

    Returns:
        Shape of every output; None where a size cannot be inferred.

    Raises:
        OnnxError: The network does not accept these shapes.
    """
    import onnx

    declared = {value.name: _tensor(value).dims for value in _loaded(path).graph.input}
    model = with_free_dims(path, {name: shape for name, shape in inputs.items() if declared.get(name) != shape})
    for weight in model.graph.initializer:
        # Shape inference copies the model, so large weights, whose values do not matter, are dropped first.
        if len(weight.raw_data) > 1 << 16:
            weight.raw_data = b""
            weight.data_location = onnx.TensorProto.EXTERNAL
    try:
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        shapes = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in inputs.items())
        reason = re.sub(r"\[\w+\] |Inference error\(s\): ", "", str(error).splitlines()[0])
        raise OnnxError(
            f"the network does not take {shapes}: {reason}",
            "choose another size (`size` or `multiple` of the preprocess node), or correct model.inputs",
            code=codes.UNSUPPORTED_INPUT_SIZE,
        ) from None
    return {
        value.name: tuple(
            dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim
        )
        for value in model.graph.output
    }
