"""Read ONNX files, which may be anything, into messages of the package onnx."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.engines.onnx.graph import default_opset
from bmfgraph.engines.onnx.weights import OnnxError
from bmfgraph.system.untrusted import read_bounded

__all__ = ["check_file", "damaged", "loaded"]

_LARGEST = (2 << 30) - 1
"""Bytes of the largest file: protobuf reads no larger message."""
_FIRST_BYTES = frozenset(b"\x08\x12\x1a\x22\x28\x32\x3a\x42\x72\xa2\xca")
"""First bytes of the fields of a ``ModelProto``."""


def check_file(path: Path) -> None:
    """Refuse a path that cannot be an ONNX file, without reading it whole.

    Raises:
        OnnxError: It is not a regular file, is too large, or begins like no model.
    """
    # Other than those of Path, these functions take names that are too long.
    if os.path.isdir(path):  # noqa: PTH112
        raise OnnxError(f"{str(path)!r} is a folder", "name the ONNX file in it", code=codes.UNREADABLE_MODEL_FILE)
    if not os.path.isfile(path):  # noqa: PTH113
        exists = os.path.lexists(path)
        raise OnnxError(
            f"{str(path)!r} is not a file" if exists else f"model file {str(path)!r} does not exist",
            "check the path, which is relative to the current folder",
            code=codes.UNREADABLE_MODEL_FILE,
        )
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            first = file.read(1)
    except OSError as error:
        raise _unreadable(path, error) from None
    if size > _LARGEST:
        raise OnnxError(
            f"{str(path)!r} has {size / 2**30:,.1f} GiB, and ONNX files have at most 2 GiB",
            "export it again, with its weights in a file of their own",
            code=codes.INVALID_ONNX_MODEL,
        )
    if first and first[0] not in _FIRST_BYTES:
        raise damaged(path)


def _unreadable(path: Path, error: OSError) -> OnnxError:
    return OnnxError(
        f"{str(path)!r} cannot be read ({error.strerror})", "check who may read it", code=codes.UNREADABLE_MODEL_FILE
    )


def damaged(path: Path, problem: str = "") -> OnnxError:
    """Return the error for a file that is not a valid model."""
    text = f"{str(path)!r} is not an ONNX model, or it is damaged" + (f": {problem}" if problem else "")
    return OnnxError(text, "fetch or export it again", code=codes.INVALID_ONNX_MODEL)


@lru_cache(maxsize=8)
def _load(path: Path, _modified: int) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(read_bounded(path, _LARGEST))
    except OSError as error:
        raise _unreadable(path, error) from None
    except DecodeError:
        raise damaged(path) from None
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


def loaded(path: Path) -> Any:
    """Return the ``onnx.ModelProto`` of a file, which must not be changed.

    Raises:
        OnnxError: The file cannot be read, or is not an ONNX model.
    """
    return _load(path, path.stat().st_mtime_ns)
