"""What the engine store keeps beside each engine: what it was built from, its tensors, its checksum."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bmfgraph.engines.key import EngineKey
from bmfgraph.system.files import file_sha256

__all__ = [
    "DIGITS",
    "ENGINE",
    "LOG",
    "MANIFEST",
    "SCHEMA",
    "USED",
    "BuildResult",
    "StoredEngine",
    "make_manifest",
    "read_entry",
    "size_of",
]

ENGINE, MANIFEST, LOG = "engine.plan", "manifest.json", "build.log"
USED = "used"
"""A file whose time says when the engine was last asked for."""
SCHEMA = 1
"""Of the manifest."""
DIGITS = 16
"""Of the key's digest: the name of an engine's folder."""
_FIELDS: tuple[tuple[str, type], ...] = (
    ("model", str),
    ("key", dict),
    ("digest", str),
    ("tensors", list),
    ("file", dict),
    ("built", dict),
)


@dataclass(frozen=True)
class BuildResult:
    """What a build callback tells of the engine that it has written."""

    tensors: list[dict[str, Any]]
    """Name, mode (input or output), dtype, dims (-1 where free) and, of inputs, the profile."""
    builder: dict[str, Any]
    """Library and version, or the command."""


@dataclass(frozen=True)
class StoredEngine:
    """One engine in the store. Where ``fault`` says what is wrong with the manifest, that is empty."""

    model: str
    folder: Path
    manifest: dict[str, Any]
    fault: str = ""

    @property
    def path(self) -> Path:
        """The engine file."""
        return self.folder / ENGINE

    @property
    def tensors(self) -> list[dict[str, Any]]:
        """Inputs and outputs with mode, dtype, dims and profile, as the builder found them."""
        tensors: list[dict[str, Any]] = self.manifest.get("tensors", [])
        return tensors

    @property
    def size(self) -> int:
        """Bytes of the whole folder."""
        return size_of(self.folder)

    @property
    def last_used(self) -> float:
        """When the engine was last asked for, in seconds since the epoch."""
        for name in (USED, MANIFEST, "."):
            with contextlib.suppress(OSError):
                return (self.folder / name).stat().st_mtime
        return 0.0

    def damage(self) -> str:
        """What is wrong with the engine, or the empty string. Reads the whole file."""
        if self.fault:
            return self.fault
        told = self.manifest["file"]
        try:
            size = self.path.stat().st_size
            if size != told["bytes"]:
                return f"{ENGINE} has {size} bytes, not {told['bytes']}"
            if file_sha256(self.path) != told["sha256"]:
                return f"the checksum of {ENGINE} is wrong"
        except FileNotFoundError:
            return f"{ENGINE} is missing"
        except OSError as error:
            return f"{ENGINE} cannot be read ({error.strerror})"
        return ""


def read_entry(folder: Path) -> StoredEngine:
    """What lies in an engine's folder; the manifest vouches for itself and for the folder's name."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        fault = _fault(manifest, folder.name)
    except FileNotFoundError:
        fault = f"{MANIFEST} is missing"
    except OSError as error:
        fault = f"{MANIFEST} cannot be read ({error.strerror})"
    except (ValueError, TypeError):
        fault = f"{MANIFEST} is no JSON, or it is cut off"
    if fault:
        return StoredEngine(folder.parent.name, folder, {}, fault)
    return StoredEngine(manifest["model"], folder, manifest)


def _fault(manifest: Any, name: str) -> str:
    if not isinstance(manifest, dict):
        return f"{MANIFEST} holds no object"
    if manifest.get("schema") != SCHEMA:
        return f"{MANIFEST} is of schema {manifest.get('schema')!r}, and this bmfgraph reads {SCHEMA}"
    for field, kind in _FIELDS:
        if not isinstance(manifest.get(field), kind):
            return f"{MANIFEST} lacks {field!r}"
    if manifest.get("sha256") != _checksum(manifest):
        return f"the checksum of {MANIFEST} is wrong"
    if not manifest["digest"].startswith(name):
        return f"{MANIFEST} belongs to another engine, {manifest['digest'][:DIGITS]}"
    return ""


def make_manifest(model: str, key: EngineKey, built: BuildResult, file: Path, seconds: float) -> dict[str, Any]:
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "model": model,
        "key": key.as_json(),
        "digest": key.digest(),
        "tensors": built.tensors,
        "file": {"bytes": file.stat().st_size, "sha256": file_sha256(file)},
        "built": {
            "seconds": seconds,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "builder": built.builder,
        },
    }
    return manifest | {"sha256": _checksum(manifest)}


def _checksum(manifest: Mapping[str, Any]) -> str:
    """Sha256 (hex) over the canonical JSON of everything else in the manifest."""
    rest = {name: value for name, value in manifest.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def size_of(folder: Path) -> int:
    size = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):
            size += file.lstat().st_size if file.is_file() else 0
    return size
