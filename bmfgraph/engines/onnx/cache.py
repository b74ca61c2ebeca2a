"""Cache what ONNX files contain, by checksum, in the user's cache folder.

Reading a file needs onnx and NumPy, whose import takes a quarter of the time of ``check``. An entry holds valid
results only, and counts only for the versions of onnx and bmfgraph that wrote it. What is damaged, is a link or lies
in a folder that others can write to is ignored.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bmfgraph import __version__
from bmfgraph.engines.onnx.model import OnnxModel, OnnxTensor, checksum, infer_shapes, read_onnx
from bmfgraph.system.files import cache_folder, file_sha256
from bmfgraph.system.untrusted import check_private, make_private_folder, read_json, replace_file

__all__ = ["cached_model", "cached_output_shapes"]

_SCHEMA = 1
_MAX_SHAPES = 32
"""Number of input sizes whose output shapes are cached for a model; the newest stay."""


def cached_model(path: Path, sha256: str | None = None) -> OnnxModel:
    """Return what :func:`bmfgraph.engines.onnx.model.read_onnx` returns, from the cache if possible.

    Args:
        path: The model file.
        sha256: Checksum of the file, if the caller has just computed it.

    Raises:
        OnnxError: The file is not a usable ONNX model.
    """
    try:
        # Only files are read: a device or a pipe may have no end.
        digest = sha256 or (file_sha256(path) if path.is_file() else "")
    except OSError:
        digest = ""
    entry = _read(digest) if digest else {}
    try:
        return _model(path, digest, entry["model"])
    except (KeyError, TypeError):
        model = read_onnx(path)
    content = {key: value for key, value in asdict(model).items() if key not in ("path", "sha256")}
    # The file may have been replaced after its checksum was computed.
    if digest and model.sha256 == checksum(path, model.weight_files, digest):
        _write(digest, {**entry, "model": content})
    return model


def cached_output_shapes(model: OnnxModel, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int | None, ...]]:
    """Return what :func:`bmfgraph.engines.onnx.model.infer_shapes` returns, from the cache if possible.

    Args:
        model: The model.
        inputs: Shape of every input, batch included.

    Raises:
        OnnxError: The network does not accept these shapes.
    """
    entry = _read(model.sha256)
    cached = entry.get("shapes", {})
    question = " ".join(f"{name}={'x'.join(map(str, shape))}" for name, shape in inputs.items())
    try:
        return {name: tuple(dims) for name, dims in cached[question].items()}
    except (AttributeError, KeyError, TypeError):
        shapes = infer_shapes(model.path, inputs)
    cached = cached if isinstance(cached, dict) else {}
    newest = {key: cached[key] for key in list(cached)[1 - _MAX_SHAPES :] if key != question}
    with contextlib.suppress(OSError):
        if model.sha256 == checksum(model.path, model.weight_files, file_sha256(model.path)):
            _write(model.sha256, {**entry, "shapes": {**newest, question: shapes}})
    return shapes


def _model(path: Path, digest: str, content: Mapping[str, Any]) -> OnnxModel:
    """Restore a model. Raises KeyError or TypeError where the content has another form."""
    return OnnxModel(
        path=path,
        sha256=checksum(path, content["weight_files"], digest),
        inputs=_tensors(content["inputs"]),
        outputs=_tensors(content["outputs"]),
        weight_files=tuple(content["weight_files"]),
        weights_as_inputs=content["weights_as_inputs"],
        quantized=content["quantized"],
    )


def _tensors(content: Any) -> tuple[OnnxTensor, ...]:
    return tuple(OnnxTensor(tensor["name"], tensor["dtype"], tuple(tensor["dims"])) for tensor in content)


def _file(digest: str) -> Path:
    return cache_folder() / "onnx" / f"{digest}.json"


def _read(digest: str) -> dict[str, Any]:
    """Read an entry; empty where there is none, or an invalid one."""
    try:
        file = _file(digest)
        check_private(file.parent)
        entry: dict[str, Any] = read_json(file, follow=False)
        intact = entry.pop("sha256") == _checksum(entry)
        return entry if intact and entry["by"] == _versions() else {}
    except (
        OSError,
        AttributeError,
        KeyError,
        RecursionError,
        TypeError,
        ValueError,
        importlib.metadata.PackageNotFoundError,
    ):
        return {}


def _write(digest: str, entry: dict[str, Any]) -> None:
    # A cache that cannot be written costs time only.
    with contextlib.suppress(OSError, importlib.metadata.PackageNotFoundError):
        file = _file(digest)
        make_private_folder(file.parent)
        entry = {**entry, "by": _versions()}
        replace_file(file, json.dumps({**entry, "sha256": _checksum(entry)}).encode())


def _checksum(entry: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()


def _versions() -> list[Any]:
    """Return the versions that an entry depends on. Raises PackageNotFoundError without onnx."""
    return [_SCHEMA, __version__, importlib.metadata.version("onnx")]
