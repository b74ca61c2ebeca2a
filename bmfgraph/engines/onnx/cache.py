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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bmfgraph import __version__
from bmfgraph.engines.onnx.loading import check_file
from bmfgraph.engines.onnx.model import OnnxModel
from bmfgraph.engines.onnx.untrusted import model_from, read_limited, shapes_limited
from bmfgraph.engines.onnx.weights import OnnxError, WeightFile, checksum
from bmfgraph.system.files import cache_folder, file_sha256
from bmfgraph.system.machine import installed_version
from bmfgraph.system.untrusted import check_private, make_private_folder, read_json, replace_file

__all__ = ["cached_model", "cached_output_shapes", "note", "noted"]

_SCHEMA = 4
_MAX_NOTES = 32
"""Number of answers to questions of one kind that are cached for a model; the newest stay."""


def cached_model(path: Path, sha256: str | None = None) -> OnnxModel:
    """Return what :func:`bmfgraph.engines.onnx.model.read_onnx` returns, from the cache if possible.

    Args:
        path: The model file.
        sha256: Checksum of the file, if the caller has just computed it.

    Raises:
        OnnxError: The file is not a usable ONNX model.
    """
    check_file(path)
    try:
        digest = sha256 or file_sha256(path)
    except OSError:
        digest = ""
    entry = _read(digest) if digest else {}
    try:
        model = model_from(path, "", entry["model"])
    except (AttributeError, KeyError, TypeError, ValueError):
        model = read_limited(path)
    else:
        return replace(model, sha256=checksum(path, model.external, digest))
    content = {key: value for key, value in asdict(model).items() if key not in ("path", "sha256")}
    with contextlib.suppress(OSError):
        # The file may have been replaced after its checksum was computed.
        if digest and digest == file_sha256(path):
            _write(digest, {**entry, "model": content})
    return replace(model, sha256=checksum(path, model.external, digest))


def cached_output_shapes(model: OnnxModel, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int | None, ...]]:
    """Return what :func:`bmfgraph.engines.onnx.shapes.infer_shapes` returns, from the cache if possible.

    Args:
        model: The model.
        inputs: Shape of every input, batch included.

    Raises:
        OnnxError: The network does not accept these shapes.
    """
    question = " ".join(f"{name}={'x'.join(map(str, shape))}" for name, shape in inputs.items())
    try:
        return {name: tuple(dims) for name, dims in noted(model.sha256, "shapes", question).items()}
    except (AttributeError, TypeError):
        shapes = shapes_limited(model.path, inputs)
    note(model.path, model.sha256, model.external, "shapes", question, shapes)
    return shapes


def noted(sha256: str, kind: str, question: str) -> Any:
    """Return the cached answer to a question about a model; None if there is none.

    Args:
        sha256: The model's checksum.
        kind: ``shapes``, ``trials`` or ``speeds``.
        question: Everything that the answer depends on, besides the model.
    """
    answers = _read(sha256).get(kind)
    return answers.get(question) if isinstance(answers, dict) else None


def note(path: Path, sha256: str, external: Sequence[WeightFile], kind: str, question: str, answer: Any) -> None:
    """Cache the answer to a question about a model, unless its files have changed since the checksum.

    Args:
        path: The model file.
        sha256: As in :func:`noted`, like ``kind`` and ``question``.
        external: The model's weight files.
        kind: See above.
        question: See above.
        answer: A JSON value.
    """
    with contextlib.suppress(OSError, OnnxError):
        if sha256 != checksum(path, external, file_sha256(path)):
            return
        entry = _read(sha256)
        answers = entry.get(kind)
        answers = answers if isinstance(answers, dict) else {}
        newest = {key: answers[key] for key in list(answers)[1 - _MAX_NOTES :] if key != question}
        _write(sha256, {**entry, kind: {**newest, question: answer}})


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
    return [_SCHEMA, __version__, installed_version("onnx")]
