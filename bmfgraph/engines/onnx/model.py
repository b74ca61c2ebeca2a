"""What an ONNX file says of itself: its inputs and outputs, and the output shapes that given inputs lead to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bmfgraph.errors import UnplacedError
from bmfgraph.system.files import file_sha256

__all__ = ["OnnxError", "OnnxModel", "OnnxTensor", "checksum", "infer_shapes", "read_onnx", "with_free_dims"]

Shape = tuple["int | str", ...]


class OnnxError(UnplacedError):
    """A file is no usable ONNX model; ``hint`` says what to do."""


@dataclass(frozen=True)
class OnnxTensor:
    """An input or output: dims are sizes, or names where free."""

    name: str
    dtype: str
    dims: Shape

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}[{'x'.join(map(str, self.dims))}]"


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX file's contract. ``weights_as_inputs``: it lists its weights as inputs, as old exporters did."""

    path: Path
    sha256: str
    """Of the file and, where weights lie in files of their own, of those too."""
    inputs: tuple[OnnxTensor, ...]
    outputs: tuple[OnnxTensor, ...]
    weight_files: tuple[str, ...]
    """Names of those, relative to its folder."""
    weights_as_inputs: bool
    quantized: bool
    """Whether it holds QuantizeLinear nodes."""

    def input(self, name: str) -> OnnxTensor | None:
        """The input of that name."""
        return next((tensor for tensor in self.inputs if tensor.name == name), None)


@lru_cache(maxsize=8)
def _load(path: Path, _modified: int) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise OnnxError(
            f"{str(path)!r} cannot be read ({error.strerror})", "check who may read it", code="E501"
        ) from None
    except DecodeError:
        raise OnnxError(
            f"{str(path)!r} is no ONNX model, or it is damaged", "fetch or export it again", code="E502"
        ) from None
    newest = onnx.defs.onnx_opset_version()
    needed = max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=1)
    if needed > newest or model.ir_version > onnx.IR_VERSION:
        what = f"operator set {needed}" if needed > newest else f"IR version {model.ir_version}"
        knows = newest if needed > newest else onnx.IR_VERSION
        raise OnnxError(
            f"{str(path)!r} is of ONNX's {what}, and onnx {onnx.__version__} knows them up to {knows}",
            "pip install -U onnx onnxruntime, or export the model with an older one",
            code="E505",
        )
    if not model.graph.node or not model.graph.output:
        raise OnnxError(f"{str(path)!r} holds no network", "it may be cut off; fetch or export it again", code="E502")
    return model


def _loaded(path: Path) -> Any:
    return _load(path, path.stat().st_mtime_ns)


def read_onnx(path: Path) -> OnnxModel:
    """Read a model's contract. Raises OnnxError when the file is missing, damaged or no ONNX model."""
    if path.is_dir():
        raise OnnxError(f"{str(path)!r} is a folder", "name the ONNX file in it", code="E501")
    if not path.is_file():
        raise OnnxError(
            f"model file {str(path)!r} does not exist",
            "check the path, which is relative to the current folder",
            code="E501",
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
    """Sha256 of a model whose own file has the sha256 ``digest``. Raises OnnxError where a weight file is missing."""
    if not weight_files:
        return digest
    whole = hashlib.sha256(digest.encode())
    for name in weight_files:
        if not (path.parent / name).is_file():
            raise OnnxError(
                f"{str(path)!r} keeps weights in {name!r}, which is not beside it",
                "copy that file there, too",
                code="E503",
            )
        whole.update(file_sha256(path.parent / name).encode())
    return whole.hexdigest()


def _tensor(value: Any) -> OnnxTensor:
    import onnx

    tensor = value.type.tensor_type
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except KeyError:
        raise OnnxError(f"tensor {value.name!r} has no element type", "export the model again", code="E502") from None
    dims = tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or f"dim{index}"
        for index, dim in enumerate(tensor.shape.dim)
    )
    return OnnxTensor(value.name, dtype, dims)


def with_free_dims(path: Path, dims: Mapping[str, Shape]) -> Any:
    """The model with the dims of some inputs replaced, its outputs' shapes then open, and no weights as inputs.

    For exports that fix a size which the network does not need. Returns an ``onnx.ModelProto``.
    """
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(_loaded(path))
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
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
        one = shape.dim.add()
        if isinstance(size, int):
            one.dim_value = size
        else:
            one.dim_param = size


def infer_shapes(path: Path, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int | None, ...]]:
    """Output shapes for the given input shapes, by ONNX's own shape inference; None where it cannot tell."""
    import onnx

    declared = {value.name: _tensor(value).dims for value in _loaded(path).graph.input}
    model = with_free_dims(path, {name: shape for name, shape in inputs.items() if declared.get(name) != shape})
    for weight in model.graph.initializer:
        # Big weights do not matter for shapes, and shape inference copies the model.
        if len(weight.raw_data) > 1 << 16:
            weight.raw_data = b""
            weight.data_location = onnx.TensorProto.EXTERNAL
    try:
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        shown = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in inputs.items())
        reason = re.sub(r"\[\w+\] |Inference error\(s\): ", "", str(error).splitlines()[0])
        raise OnnxError(
            f"the network does not take {shown}: {reason}",
            "choose another size (`size` or `multiple` of the preprocess node), or correct model.inputs",
            code="E510",
        ) from None
    return {
        value.name: tuple(
            dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim
        )
        for value in model.graph.output
    }
