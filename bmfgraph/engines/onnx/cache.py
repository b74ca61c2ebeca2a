"""What ONNX files say, noted by their checksums in the user's cache folder.

To read one takes the packages onnx and numpy, whose import is a quarter of what ``check`` would take. Only what was
found right is noted, and only for the versions of onnx and bmfgraph that found it so.
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

__all__ = ["cached_model", "noted_shapes"]

_SCHEMA = 1
_MOST_SHAPES = 32
"""Sizes of frames that are kept for a model, the latest ones."""


def cached_model(path: Path, sha256: str | None = None) -> OnnxModel:
    """The same as :func:`bmfgraph.engines.onnx.model.read_onnx`, from the notes if the file was read before.

    ``sha256``: of the file, if somebody has just computed it.
    """
    try:
        # Of a device or a pipe the end may never come.
        digest = sha256 or (file_sha256(path) if path.is_file() else "")
    except OSError:
        digest = ""
    note = _read(digest) if digest else {}
    try:
        return _model(path, digest, note["model"])
    except (KeyError, TypeError):
        model = read_onnx(path)
    told = {key: value for key, value in asdict(model).items() if key not in ("path", "sha256")}
    # Unless it was replaced in between.
    if digest and model.sha256 == checksum(path, model.weight_files, digest):
        _write(digest, {**note, "model": told})
    return model


def noted_shapes(model: OnnxModel, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int | None, ...]]:
    """As :func:`bmfgraph.engines.onnx.model.infer_shapes`, from the notes if these shapes were asked before."""
    note = _read(model.sha256)
    known = note.get("shapes", {})
    question = " ".join(f"{name}={'x'.join(map(str, shape))}" for name, shape in inputs.items())
    try:
        return {name: tuple(dims) for name, dims in known[question].items()}
    except (AttributeError, KeyError, TypeError):
        found = infer_shapes(model.path, inputs)
    known = known if isinstance(known, dict) else {}
    kept = {key: known[key] for key in list(known)[1 - _MOST_SHAPES :] if key != question}
    with contextlib.suppress(OSError):
        if model.sha256 == checksum(model.path, model.weight_files, file_sha256(model.path)):
            _write(model.sha256, {**note, "shapes": {**kept, question: found}})
    return found


def _model(path: Path, digest: str, told: Mapping[str, Any]) -> OnnxModel:
    """Raises KeyError and TypeError where that is no note of a model."""
    return OnnxModel(
        path=path,
        sha256=checksum(path, told["weight_files"], digest),
        inputs=tuple(OnnxTensor(one["name"], one["dtype"], tuple(one["dims"])) for one in told["inputs"]),
        outputs=tuple(OnnxTensor(one["name"], one["dtype"], tuple(one["dims"])) for one in told["outputs"]),
        weight_files=tuple(told["weight_files"]),
        weights_as_inputs=told["weights_as_inputs"],
        quantized=told["quantized"],
    )


def _place(digest: str) -> Path:
    return cache_folder() / "onnx" / f"{digest}.json"


def _read(digest: str) -> dict[str, Any]:
    """Empty where there is no note, or none that can be relied on."""
    try:
        note = json.loads(_place(digest).read_text(encoding="utf-8"))
        return note if note["by"] == _by() else {}
    except (OSError, ValueError, KeyError, TypeError, importlib.metadata.PackageNotFoundError):
        return {}


def _write(digest: str, note: dict[str, Any]) -> None:
    # A cache that cannot be written costs time and no more.
    with contextlib.suppress(OSError, importlib.metadata.PackageNotFoundError):
        _place(digest).parent.mkdir(parents=True, exist_ok=True)
        write_whole(_place(digest), json.dumps({**note, "by": _by()}))


def _by() -> list[Any]:
    """Who found it. Raises PackageNotFoundError."""
    return [_SCHEMA, __version__, importlib.metadata.version("onnx")]
