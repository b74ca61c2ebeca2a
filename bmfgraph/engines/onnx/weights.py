"""Check the tensors that a model file holds, and read those that lie in files of their own."""

from __future__ import annotations

import errno
import hashlib
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from bmfgraph import error_codes as codes
from bmfgraph.errors import UnplacedError, short_repr
from bmfgraph.system.untrusted import open_regular

__all__ = ["OnnxError", "WeightFile", "checksum", "load_external", "model_beside", "tensors_of", "weight_files_of"]

_GAP = 1 << 16
"""Bytes between two used parts of a file that are read, too, so that a file has few parts."""
_FIELDS = {
    **dict.fromkeys(("INT32", "INT16", "INT8", "UINT16", "UINT8", "BOOL", "FLOAT16", "BFLOAT16"), ("int32_data", 1)),
    **dict.fromkeys(
        ("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT8E8M0"), ("int32_data", 1)
    ),
    **dict.fromkeys(("UINT4", "INT4", "FLOAT4E2M1", "UINT2", "INT2"), ("int32_data", 1)),
    **dict.fromkeys(("UINT32", "UINT64"), ("uint64_data", 1)),
    "FLOAT": ("float_data", 1),
    "COMPLEX64": ("float_data", 2),
    "INT64": ("int64_data", 1),
    "DOUBLE": ("double_data", 1),
    "COMPLEX128": ("double_data", 2),
    "STRING": ("string_data", 1),
}
"""Field with the values of a tensor without raw bytes, and its entries per element, or per byte of small elements."""
_BITS = {
    **dict.fromkeys(("INT8", "UINT8", "BOOL"), 8),
    **dict.fromkeys(("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT8E8M0"), 8),
    **dict.fromkeys(("INT16", "UINT16", "FLOAT16", "BFLOAT16"), 16),
    **dict.fromkeys(("INT32", "UINT32", "FLOAT"), 32),
    **dict.fromkeys(("INT64", "UINT64", "DOUBLE", "COMPLEX64"), 64),
    **dict.fromkeys(("UINT4", "INT4", "FLOAT4E2M1"), 4),
    **dict.fromkeys(("UINT2", "INT2"), 2),
    "COMPLEX128": 128,
}
"""Bits of an element, by element type."""


class OnnxError(UnplacedError):
    """A file is not a usable ONNX model; ``hint`` says what to do."""


@dataclass(frozen=True)
class WeightFile:
    """A file with weights of a model."""

    name: str
    """Its path, relative to the model's folder."""
    parts: tuple[tuple[int, int], ...]
    """Offset and length of the parts that the model uses, in order."""


def tensors_of(model: Any) -> Iterator[Any]:
    """Yield every ``TensorProto`` of a model: weights and attributes, in subgraphs and functions, too."""
    graphs = [model.graph, *(graph for info in model.training_info for graph in (info.initialization, info.algorithm))]
    nodes = [function.node for function in model.functions]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            yield from (tensor for sparse in graph.sparse_initializer for tensor in (sparse.values, sparse.indices))
            nodes.append(graph.node)
        for node in nodes.pop():
            for entry in node.attribute:
                yield from [entry.t] if entry.HasField("t") else []
                yield from entry.tensors
                sparse = [*([entry.sparse_tensor] if entry.HasField("sparse_tensor") else []), *entry.sparse_tensors]
                yield from (tensor for both in sparse for tensor in (both.values, both.indices))
                graphs += [*([entry.g] if entry.HasField("g") else []), *entry.graphs]


def weight_files_of(model: Any) -> tuple[WeightFile, ...]:
    """Check that every tensor of a model holds as many values as its shape says, and list its weight files.

    Args:
        model: An ``onnx.ModelProto``.

    Raises:
        OnnxError: A tensor has too few or too many values, or values outside of the model's folder.
    """
    parts: dict[str, list[tuple[int, int]]] = {}
    for tensor in tensors_of(model):
        size = _checked_size(tensor)
        if _is_external(tensor):
            name, offset = _location(tensor, size)
            parts.setdefault(name, []).append((offset, size))
    total = sum(length for used in parts.values() for _, length in _merged(used))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if total > memory:
        raise OnnxError(
            f"its weights have {total / 2**30:,.0f} GiB, and this machine has {memory / 2**30:,.0f} GiB of memory",
            "export the model again, or take a smaller one",
            code=codes.INVALID_ONNX_MODEL,
        )
    return tuple(WeightFile(name, _merged(parts[name])) for name in sorted(parts))


def _is_external(tensor: Any) -> bool:
    return bool(tensor.data_location == 1 or tensor.external_data)


def _checked_size(tensor: Any) -> int:
    """Return the bytes of a tensor; 0 for text. Raises OnnxError where its values do not fit its shape."""
    import onnx

    kind = next((name for name, number in onnx.TensorProto.DataType.items() if number == tensor.data_type), "UNDEFINED")
    if any(size < 0 for size in tensor.dims):
        raise _damaged(tensor, f"has the shape {short_repr(list(tensor.dims))}")
    if kind not in _FIELDS:
        raise _damaged(tensor, f"has the element type {tensor.data_type}, which onnx {onnx.__version__} does not know")
    count: int = math.prod(tensor.dims)
    bits = _BITS.get(kind, 0)
    size = (count * bits + 7) // 8
    field, entries = _FIELDS[kind]
    values, unit, expected = len(getattr(tensor, field)), "values", (size if 0 < bits < 8 else count) * entries
    if kind == "STRING" and (_is_external(tensor) or tensor.HasField("raw_data")):
        raise _damaged(tensor, "is text, and its values are not")
    if _is_external(tensor):
        return size
    if tensor.HasField("raw_data"):
        values, unit, expected = len(tensor.raw_data), "bytes", size
    if values != expected:
        raise _damaged(tensor, f"of {short_repr(list(tensor.dims))} needs {expected:,} {unit} and has {values:,}")
    return size


def _damaged(tensor: Any, problem: str) -> OnnxError:
    return OnnxError(
        f"its tensor {short_repr(tensor.name)} {problem}",
        "the file is damaged; fetch or export it again",
        code=codes.INVALID_ONNX_MODEL,
    )


def _location(tensor: Any, size: int) -> tuple[str, int]:
    """Return the file that holds a tensor's values, and where they begin in it."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    name = entries.get("location", "")
    if not isinstance(name, str) or not name or "\0" in name:
        raise _damaged(tensor, "has its values in a file without a valid name")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise OnnxError(
            f"it keeps weights in {short_repr(name)}, outside of its folder",
            "such a file is not opened; save the model with its weights beside it",
            code=codes.MISSING_EXTERNAL_WEIGHTS,
        )
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", size))
    except ValueError:
        raise _damaged(tensor, "has an offset or a length in its file that is not a number") from None
    if offset < 0 or length != size:
        raise _damaged(tensor, f"needs {size:,} bytes and has {length:,} at {offset:,} in {short_repr(name)}")
    return str(path), offset


def _merged(parts: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Join parts that overlap or nearly touch."""
    merged: list[tuple[int, int]] = []
    for offset, length in sorted(parts):
        if merged and offset <= sum(merged[-1]) + _GAP:
            begin, end = merged[-1][0], max(sum(merged[-1]), offset + length)
            merged[-1] = (begin, end - begin)
        else:
            merged.append((offset, length))
    return tuple(merged)


def model_beside(path: Path, names: Sequence[str]) -> Path:
    """Return the path of a model beside which its weight files lie.

    Args:
        path: The model file. If it is a link without them, the link's target is looked at, and so on.
        names: Names of the weight files.
    """
    step = path
    for _ in range(16):
        # Other than the method of Path, this takes names that are too long.
        if all(os.path.isfile(step.parent / name) for name in names):  # noqa: PTH113
            return step
        if not step.is_symlink():
            break
        step = step.parent / step.readlink()
    return path


def checksum(path: Path, files: Sequence[WeightFile], digest: str) -> str:
    """Return the sha256 (hex) of a model with the parts of its weight files that it uses.

    Args:
        path: The model file.
        files: Its weight files.
        digest: Sha256 of the model file alone.

    Raises:
        OnnxError: A weight file is missing, is not a file of the model's folder, or is too short.
    """
    if not files:
        return digest
    total = hashlib.sha256(digest.encode())
    for weights in files:
        with _opened(path, files, weights) as file:
            for offset, length in weights.parts:
                total.update(f"{weights.name} {offset} {length} ".encode())
                file.seek(offset)
                while length and (block := file.read(min(length, 1 << 20))):
                    total.update(block)
                    length -= len(block)
    return total.hexdigest()


def load_external(model: Any, path: Path, files: Sequence[WeightFile], limit: int | None = None) -> None:
    """Read the weights of a model that lie in files of their own into the model.

    Args:
        model: An ``onnx.ModelProto``, which is changed.
        path: Its file.
        files: Its weight files.
        limit: Size in bytes of the largest tensor to read; None: all.

    Raises:
        OnnxError: As :func:`checksum`.
    """
    by_name: dict[str, list[tuple[Any, int, int]]] = {}
    for tensor in tensors_of(model):
        if _is_external(tensor):
            size = _checked_size(tensor)
            name, offset = _location(tensor, size)
            if limit is None or size <= limit:
                by_name.setdefault(name, []).append((tensor, offset, size))
    for weights in files:
        with _opened(path, files, weights) as file:
            for tensor, offset, size in by_name.get(weights.name, ()):
                file.seek(offset)
                tensor.raw_data = file.read(size)
                tensor.data_location = 0
                del tensor.external_data[:]


def _opened(path: Path, files: Sequence[WeightFile], weights: WeightFile) -> IO[bytes]:
    """Open a weight file. Raises OnnxError as :func:`checksum`."""
    home = model_beside(path, [file.name for file in files])
    target = home.parent / weights.name
    subject = f"{str(path)!r} keeps weights in {short_repr(weights.name)}, which"
    try:
        real = Path(os.path.realpath(target))
        file = open_regular(target)
        length = os.fstat(file.fileno()).st_size
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
        reason = "is not beside it" if missing else f"cannot be read ({error.strerror or error})"
        raise OnnxError(
            f"{subject} {reason}", "copy that file there, too", code=codes.MISSING_EXTERNAL_WEIGHTS
        ) from None
    needed = sum(weights.parts[-1])
    # In a cache of blobs, the model and its weights are both links, to files in one other folder.
    folders = {Path(os.path.realpath(home.parent)), Path(os.path.realpath(home)).parent}
    if not any(real.is_relative_to(folder) for folder in folders):
        file.close()
        raise OnnxError(
            f"{subject} is a link to {str(real)!r}, outside of its folder",
            "such a file is not read; copy it there instead",
            code=codes.MISSING_EXTERNAL_WEIGHTS,
        )
    if length < needed:
        file.close()
        raise OnnxError(
            f"{subject} has {length:,} bytes of the {needed:,} that the model needs",
            "it is cut off; copy it again",
            code=codes.MISSING_EXTERNAL_WEIGHTS,
        )
    return file
