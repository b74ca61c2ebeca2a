"""Read what an ONNX file contains: its inputs, outputs and weight files; and change the dims of its inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from itertools import chain, islice
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.engines.onnx.graph import replace_items, subgraphs
from bmfgraph.engines.onnx.loading import check_file, damaged, loaded
from bmfgraph.engines.onnx.weights import OnnxError, WeightFile, checksum, weight_files_of
from bmfgraph.system.files import file_sha256

__all__ = [
    "OnnxError",
    "OnnxModel",
    "OnnxTensor",
    "Shape",
    "describe",
    "is_numeric",
    "read_onnx",
    "tensor_of",
    "with_free_dims",
]

Shape = tuple["int | str", ...]
_MOST_NODES = 250_000
"""More nodes than networks have; ONNX needs much memory and time for each."""
_MOST_NOTES, _LONGEST_NOTE, _ALL_NOTES = 128, 1 << 20, 2 << 20
"""Largest number of metadata entries, characters of one value, and characters of all; exporters stay far below."""


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
    """Checksum of the file and of the parts of its weight files that it uses."""
    inputs: tuple[OnnxTensor, ...]
    outputs: tuple[OnnxTensor, ...]
    """The numeric ones, unless all are text or sequences, which no node reads."""
    external: tuple[WeightFile, ...]
    """The files with weights."""
    weights_as_inputs: bool
    """Whether the file lists its weights as inputs, as old exporters did."""
    quantized: bool
    """Whether it holds QuantizeLinear nodes."""
    loops: bool = False
    """Whether an operator repeats a subgraph, so that one inference may take any time."""
    foreign: tuple[str, ...] = ()
    """Operators that are not ONNX's own, so that shapes behind them cannot be inferred: the first few."""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What the exporter noted; entries beyond the limits are left out."""

    def input(self, name: str) -> OnnxTensor | None:
        """Return the input of a name, or None."""
        return next((tensor for tensor in self.inputs if tensor.name == name), None)


def read_onnx(path: Path) -> OnnxModel:
    """Read what a model file contains.

    Raises:
        OnnxError: The file is missing, damaged or not an ONNX model.
    """
    check_file(path)
    model = describe(path)
    return replace(model, sha256=checksum(path, model.external, file_sha256(path)))


def describe(path: Path) -> OnnxModel:
    """Read what a model file contains, without its checksum.

    Raises:
        OnnxError: The file is damaged or not an ONNX model.
    """
    model = loaded(path)
    graph = model.graph
    try:
        problem = _problem(model)
        weights = {weight.name for weight in graph.initializer}
        external = weight_files_of(model)
    except OnnxError as error:
        raise OnnxError(f"{str(path)!r}: {error}", error.hint, code=error.code) from None
    if problem:
        raise damaged(path, problem)
    numeric = [value for value in graph.output if is_numeric(value)]
    return OnnxModel(
        path=path,
        sha256="",
        inputs=tuple(tensor_of(value) for value in graph.input if value.name not in weights),
        outputs=tuple(tensor_of(value) for value in numeric or graph.output),
        external=external,
        weights_as_inputs=any(value.name in weights for value in graph.input),
        quantized=any(node.op_type == "QuantizeLinear" for node in graph.node),
        loops=any(node.op_type in ("Loop", "Scan", "SequenceMap") for node in _all_nodes(model)),
        foreign=tuple(islice(dict.fromkeys(_foreign(model)), 5)),
        metadata=_metadata(model),
    )


def _metadata(model: Any) -> dict[str, str]:
    """Return the metadata of a model within the limits."""
    notes: dict[str, str] = {}
    room = _ALL_NOTES
    for entry in islice(model.metadata_props, _MOST_NOTES):
        key, value = entry.key, entry.value
        # protobuf returns bytes for text that is not UTF-8.
        if isinstance(key, str) and isinstance(value, str) and len(key) <= 256 and len(value) <= _LONGEST_NOTE:
            room -= len(key) + len(value)
            if room < 0:
                break
            notes[key] = value
    return notes


def _problem(model: Any) -> str:
    """Return the first mistake in a model's names that no runtime survives; "" for none.

    Raises:
        OnnxError: The model has too many nodes.
    """
    graph = model.graph
    _check_count(sum(1 for _ in islice(_all_nodes(model), _MOST_NODES + 1)))
    tensors = (value.name for value in (*graph.input, *graph.output, *graph.initializer))
    of_nodes = (name for node in _all_nodes(model) for name in (node.op_type, node.domain, *node.input, *node.output))
    if not all(isinstance(name, str) for name in chain(tensors, of_nodes)):
        return "a name in it is not UTF-8"
    weights = {weight.name for weight in graph.initializer}
    names = Counter(value.name for value in graph.input if value.name not in weights)
    names.update(weights)
    names.update(name for node in graph.node for name in node.output if name)
    if twice := next((name for name, count in names.items() if count > 1), ""):
        return f"two of its nodes or tensors make {twice!r}"
    functions = {(function.domain, function.name): function for function in model.functions}
    calls = {
        key: Counter((node.domain, node.op_type) for node in _with_subgraphs(function.node))
        for key, function in functions.items()
    }
    sizes: dict[tuple[str, str], int] = {}
    try:
        for key in TopologicalSorter(calls).static_order():
            sizes[key] = sum(sizes[called] * count for called, count in calls[key].items()) if key in calls else 1
    except CycleError as error:
        return f"its function {error.args[1][0][1]!r} calls itself"
    _check_count(max(sizes.values(), default=0))
    return ""


def _check_count(nodes: int) -> None:
    if nodes > _MOST_NODES:
        raise OnnxError(
            f"it has more than {_MOST_NODES:,} nodes, or its functions stand for as many",
            "simplify the model, for example with onnxsim",
            code=codes.COSTLY_MODEL,
        )


def _all_nodes(model: Any) -> Iterator[Any]:
    """Yield the nodes of a model's graph, its subgraphs and its functions."""
    yield from _with_subgraphs(model.graph.node)
    for function in model.functions:
        yield from _with_subgraphs(function.node)


def _with_subgraphs(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from _with_subgraphs(graph.node)


def _foreign(model: Any) -> Iterator[str]:
    """Yield the operators that neither ONNX nor the model itself defines, with their domains."""
    import onnx

    own = {(function.domain, function.name) for function in model.functions}
    for node in _all_nodes(model):
        domain = "" if node.domain == "ai.onnx" else node.domain
        if (node.domain, node.op_type) not in own and not onnx.defs.has(node.op_type, domain):
            yield f"{domain}.{node.op_type}" if domain else node.op_type


def is_numeric(value: Any) -> bool:
    """Return whether a ``ValueInfoProto`` is a tensor of numbers, and not of text, a sequence or a map."""
    return value.type.HasField("tensor_type") and value.type.tensor_type.elem_type not in (0, 8)


def tensor_of(value: Any) -> OnnxTensor:
    """Return what a ``ValueInfoProto`` declares. Raises OnnxError if that is not a tensor."""
    import onnx

    tensor = value.type.tensor_type
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except KeyError:
        raise OnnxError(
            f"tensor {value.name!r} has no element type", "export the model again", code=codes.INVALID_ONNX_MODEL
        ) from None
    dims = tuple(
        # Exporters write -1 for a free dim, too.
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else dim.dim_param or f"dim{index}"
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
    model.CopyFrom(loaded(path))
    weights = {weight.name for weight in model.graph.initializer}
    if any(value.name in weights for value in model.graph.input):
        replace_items(model.graph.input, [value for value in model.graph.input if value.name not in weights])
        # Older versions require that weights are inputs, too.
        model.ir_version = max(model.ir_version, 4)
    for value in model.graph.input:
        if value.name in dims:
            _set_dims(value, dims[value.name])
    if dims:
        del model.graph.value_info[:]
        for value in model.graph.output:
            rank = len(value.type.tensor_type.shape.dim)
            # An output without a shape stays so: without dims, it would be a number.
            if value.type.tensor_type.HasField("shape"):
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
