"""Cache what ONNX files contain, by checksum, in the user's cache folder.

Reading a file needs onnx and NumPy, whose import takes a quarter of the time of ``check``. An entry holds valid
results only, and counts only for the versions of onnx and bmfgraph that wrote it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bmfgraph import __version__
from bmfgraph.engines.onnx.model import OnnxModel, OnnxTensor, checksum, infer_shapes, read_onnx
from bmfgraph.system.files import cache_folder, file_sha256, write_whole

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
        entry = json.loads(_file(digest).read_text(encoding="utf-8"))
        return entry if entry["by"] == _versions() else {}
    except (OSError, ValueError, KeyError, TypeError, importlib.metadata.PackageNotFoundError):
        return {}


def _write(digest: str, entry: dict[str, Any]) -> None:
    # A cache that cannot be written costs time only.
    with contextlib.suppress(OSError, importlib.metadata.PackageNotFoundError):
        _file(digest).parent.mkdir(parents=True, exist_ok=True)
        write_whole(_file(digest), json.dumps({**entry, "by": _versions()}))


def _versions() -> list[Any]:
    """Return the versions that an entry depends on. Raises PackageNotFoundError without onnx."""
    return [_SCHEMA, __version__, importlib.metadata.version("onnx")]
