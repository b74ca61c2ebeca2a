"""Read and write the manifest of a stored engine: its key, its tensors and its checksum."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bmfgraph.engines.key import EngineKey
from bmfgraph.errors import short_repr
from bmfgraph.system.files import file_sha256
from bmfgraph.system.untrusted import has_form, is_real_folder, open_regular, read_json

__all__ = [
    "DIGITS",
    "ENGINE",
    "LOG",
    "MANIFEST",
    "SCHEMA",
    "TENSORS",
    "BuildResult",
    "StoredEngine",
    "is_entry",
    "make_manifest",
    "mark_used",
    "read_entry",
    "size_of",
]

ENGINE, MANIFEST, LOG = "engine.plan", "manifest.json", "build.log"
_USED = "used"
"""A file whose modification time is the time of the engine's last use."""
SCHEMA = 1
"""Version of the manifest's form."""
DIGITS = 16
"""Number of the key's hex digits that name an engine's folder."""
_KEY_NAME = re.compile(rf"[0-9a-f]{{{DIGITS}}}")
_PROFILE = {"min": [int], "opt": [int], "max": [int]}
TENSORS = [{"name": str, "mode": str, "dtype": str, "dims": [int], "profile?": _PROFILE}]
"""Form of :attr:`BuildResult.tensors`."""
_FIELDS: dict[str, Any] = {
    "model": str,
    "key": {
        **dict.fromkeys(("precision", "runtime", "version", "gpu", "compute_capability"), str),
        "profiles": {"*": _PROFILE},
        "flags": dict,
    },
    "digest": str,
    "tensors": [dict],
    "file": {"bytes": int, "sha256": str},
    "built": {"seconds?": (int, float), "created?": str},
}
"""Form of each field of a manifest."""


@dataclass(frozen=True)
class BuildResult:
    """The report of a build about the engine file that it has written."""

    tensors: list[dict[str, Any]]
    """For each input and output: name, mode (input or output), dtype, dims (-1 where free) and, of inputs, profile."""
    builder: dict[str, Any]
    """The builder's library and version, or its command."""


@dataclass(frozen=True)
class StoredEngine:
    """An engine in the store. Where ``manifest_error`` is set, the manifest is unusable and left empty."""

    model: str
    folder: Path
    manifest: dict[str, Any]
    manifest_error: str = ""

    @property
    def path(self) -> Path:
        """The engine file."""
        return self.folder / ENGINE

    @property
    def tensors(self) -> list[dict[str, Any]]:
        """Inputs and outputs in the form of :attr:`BuildResult.tensors`."""
        tensors: list[dict[str, Any]] = self.manifest.get("tensors", [])
        return tensors

    @property
    def size(self) -> int:
        """Size of the whole folder in bytes."""
        return size_of(self.folder)

    @property
    def last_used(self) -> float:
        """Time of the engine's last use, in seconds since the epoch."""
        for name in (_USED, MANIFEST, "."):
            with contextlib.suppress(OSError):
                return (self.folder / name).lstat().st_mtime
        return 0.0

    def damage(self) -> str:
        """Describe what is wrong with the engine; empty where it is intact. Reads the whole file."""
        if self.manifest_error:
            return self.manifest_error
        expected = self.manifest["file"]
        try:
            with open_regular(self.path, follow=False) as file:
                size = os.fstat(file.fileno()).st_size
            if size != expected["bytes"]:
                return f"{ENGINE} has {size} bytes, not {expected['bytes']}"
            if file_sha256(self.path, follow=False) != expected["sha256"]:
                return f"the checksum of {ENGINE} is wrong"
        except FileNotFoundError:
            return f"{ENGINE} is missing"
        except OSError as error:
            return f"{ENGINE} cannot be read ({error.strerror})"
        return ""


def is_entry(folder: Path) -> bool:
    """Return whether a folder has the form of an engine's folder, intact or damaged. Links do not count.

    Raises:
        OSError: The folder cannot be searched.
    """
    return (
        _KEY_NAME.fullmatch(folder.name) is not None
        and is_real_folder(folder)
        and any(os.path.lexists(folder / name) for name in (ENGINE, MANIFEST))
    )


def mark_used(folder: Path) -> None:
    """Record the time of an engine's use. Raises OSError where the store is read-only."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(folder / _USED, flags, 0o666)
    try:
        os.utime(descriptor)
    finally:
        os.close(descriptor)


def read_entry(folder: Path) -> StoredEngine:
    """Read an engine's folder in the store, and check its manifest.

    Args:
        folder: ``<store>/<model>/<first digits of the key>``; the manifest must carry the same key.

    Returns:
        The engine, with ``manifest_error`` set where the manifest is missing or wrong. The engine file is not read.
    """
    try:
        manifest = read_json(folder / MANIFEST, follow=False)
        manifest_error = _manifest_error(manifest, folder.name)
    except FileNotFoundError:
        manifest_error = f"{MANIFEST} is missing"
    except OSError as error:
        manifest_error = f"{MANIFEST} cannot be read ({error.strerror})"
    except (ValueError, TypeError):
        manifest_error = f"{MANIFEST} is not JSON, or it is cut off"
    if manifest_error:
        return StoredEngine(folder.parent.name, folder, {}, manifest_error)
    return StoredEngine(manifest["model"], folder, manifest)


def _manifest_error(manifest: Any, name: str) -> str:
    if not isinstance(manifest, dict):
        return f"{MANIFEST} does not hold an object"
    if manifest.get("schema") != SCHEMA:
        return f"{MANIFEST} has schema {short_repr(manifest.get('schema'))}, but this bmfgraph reads schema {SCHEMA}"
    for field, form in _FIELDS.items():
        if field not in manifest:
            return f"{MANIFEST} lacks {field!r}"
        if not has_form(manifest[field], form):
            return f"{field!r} of {MANIFEST} has another form"
    try:
        intact = manifest.get("sha256") == _checksum(manifest)
    except RecursionError:
        intact = False
    if not intact:
        return f"the checksum of {MANIFEST} is wrong"
    if not manifest["digest"].startswith(name):
        return f"{MANIFEST} belongs to another engine, {manifest['digest'][:DIGITS]}"
    return ""


def make_manifest(model: str, key: EngineKey, result: BuildResult, file: Path, seconds: float) -> dict[str, Any]:
    """Compose the manifest of an engine that was just built.

    Args:
        file: The engine file, whose size and checksum are recorded.
        seconds: How long the build took.
    """
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "model": model,
        "key": key.as_json(),
        "digest": key.digest(),
        "tensors": result.tensors,
        "file": {"bytes": file.stat().st_size, "sha256": file_sha256(file)},
        "built": {
            "seconds": seconds,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "builder": result.builder,
        },
    }
    return manifest | {"sha256": _checksum(manifest)}


def _checksum(manifest: Mapping[str, Any]) -> str:
    """Compute the sha256 (hex) of the canonical JSON of all fields but ``sha256`` itself."""
    content = {name: value for name, value in manifest.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def size_of(folder: Path) -> int:
    """Return the size of all files in a folder, in bytes."""
    size = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):
            size += file.lstat().st_size if file.is_file() else 0
    return size
