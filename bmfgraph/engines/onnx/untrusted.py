"""Read models and infer shapes in a child process, because a file can make these steps crash or never end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.engines.limited import Failure, available_memory, call_limited
from bmfgraph.engines.onnx.model import OnnxModel, OnnxTensor, describe
from bmfgraph.engines.onnx.shapes import infer_shapes
from bmfgraph.engines.onnx.weights import OnnxError, WeightFile
from bmfgraph.errors import UnplacedError

__all__ = ["model_from", "read_limited", "shapes_limited"]

_MEMORY, _SECONDS = 400 << 20, 20
"""Bytes and CPU seconds of a child, besides those for the size of its file."""


def read_limited(path: Path) -> OnnxModel:
    """Return what :func:`bmfgraph.engines.onnx.model.describe` returns.

    Raises:
        OnnxError: The file is not a usable ONNX model, or reading it takes too much memory or time.
    """
    content = _call("describe_json", path, {"path": str(path)})
    return describe(path) if content is None else model_from(path, "", content)


def shapes_limited(path: Path, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int | None, ...]]:
    """Return what :func:`bmfgraph.engines.onnx.shapes.infer_shapes` returns.

    Raises:
        OnnxError: The network does not accept these shapes, or inference takes too much memory or time.
    """
    shapes = _call("infer_json", path, {"path": str(path), "inputs": inputs})
    return infer_shapes(path, inputs) if shapes is None else {name: tuple(dims) for name, dims in shapes.items()}


def model_from(path: Path, sha256: str, content: Mapping[str, Any]) -> OnnxModel:
    """Restore a model from its JSON form. Raises AttributeError, KeyError, TypeError or ValueError for another form."""

    def tensors(entries: Any) -> tuple[OnnxTensor, ...]:
        return tuple(OnnxTensor(entry["name"], entry["dtype"], tuple(entry["dims"])) for entry in entries)

    return OnnxModel(
        path=path,
        sha256=sha256,
        inputs=tensors(content["inputs"]),
        outputs=tensors(content["outputs"]),
        external=tuple(
            WeightFile(entry["name"], tuple((offset, length) for offset, length in entry["parts"]))
            for entry in content["external"]
        ),
        weights_as_inputs=content["weights_as_inputs"],
        quantized=content["quantized"],
        loops=content["loops"],
        foreign=tuple(content["foreign"]),
        metadata={str(key): str(value) for key, value in content["metadata"].items()},
    )


def describe_json(request: Mapping[str, Any]) -> dict[str, Any]:
    """Read a model in the child."""
    return {key: value for key, value in asdict(describe(Path(request["path"]))).items() if key != "path"}


def infer_json(request: Mapping[str, Any]) -> dict[str, Any]:
    """Infer shapes in the child."""
    return dict(infer_shapes(Path(request["path"]), {name: tuple(dims) for name, dims in request["inputs"].items()}))


def _call(function: str, path: Path, request: Mapping[str, Any]) -> Any:
    """Call a function of this module in a child; None where no child can be had."""
    megabytes = path.stat().st_size >> 20
    memory, seconds = _MEMORY + (6 * megabytes << 20), _SECONDS + megabytes // 16
    try:
        result = call_limited(
            f"{__name__}:{function}", request, memory=memory, seconds=seconds, wall_seconds=60.0 + 20 * seconds
        )
    except UnplacedError as error:
        raise OnnxError(str(error), error.hint, code=error.code) from None
    if not isinstance(result, Failure):
        return result
    if result.kind == "absent" or (result.kind == "memory" and available_memory() < memory):
        return None
    reasons = {
        "memory": f"takes more than {memory >> 20:,} MiB of memory",
        "time": f"takes more than {seconds} s of CPU time",
        "crash": f"crashes onnx: the process {result.text}",
        "failed": f"cannot be finished: the process {result.text}",
        "killed": f"takes more memory than there is: the process {result.text}",
    }
    raise OnnxError(
        f"reading {str(path)!r} {reasons[result.kind]}",
        "the file is damaged or malicious; export the model again, and simplify it with onnxsim if it is huge",
        code=codes.COSTLY_MODEL,
    )
