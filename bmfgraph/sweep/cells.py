"""One run of a sweep: which it is, what it depends on, and the files that it leaves.

A cell's folder is named after its configuration, so that the same command finds it again; what the configuration
depends on outside itself (the input's bytes, models, versions) is its fingerprint, and a cell whose fingerprint has
changed is measured again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from bmfgraph import __version__
from bmfgraph.config.overrides import title_of
from bmfgraph.errors import BmfgraphError
from bmfgraph.plan.plan import Plan
from bmfgraph.system.files import file_sha256, write_whole
from bmfgraph.system.machine import find_libraries

__all__ = [
    "CELL",
    "LOG",
    "MEASURED",
    "RESULT",
    "Cell",
    "changes",
    "described_part",
    "failed",
    "fingerprint",
    "identity",
    "read_json",
    "write_json",
    "writing",
]

CELL, RESULT, MEASURED, LOG = "cell.json", "result.json", "measured.json", "log.txt"
SCHEMA = 1
"""Of all three."""
_WHOLE = {
    CELL: ("id", "sweep", "varied", "overrides", "command", "reference", "fingerprint", "settings", "data"),
    RESULT: ("id", "sweep", "varied", "command", "status", "errors", "metrics", "nodes", "outputs", "fingerprint"),
    MEASURED: ("problems",),
    "report.json": ("cells",),
}
"""What a file must hold to be one."""
# What changes nothing of what is measured.
_ASIDE = ("sweep", "report", "reference", "progress", "debug", "target", "samples")


@dataclass(frozen=True)
class Cell:
    """One run: its overrides, those that differ from cell to cell, and the configuration they compose."""

    overrides: tuple[str, ...]
    varied: Mapping[str, str]
    data: Mapping[str, Any]
    folder: Path
    command: str
    """The words that run it by itself."""
    reference: str | None = None
    """A file that its output is compared with, where that depends on the cell."""

    @property
    def id(self) -> str:
        """Stands for its configuration."""
        return self.folder.name

    @property
    def title(self) -> str:
        """How the user knows it."""
        return title_of(self.varied)


def identity(data: Mapping[str, Any]) -> str:
    """A short name that follows from a configuration."""
    kept = {key: value for key, value in data.items() if key not in _ASIDE}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def fingerprint(plan: Plan, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything besides the configuration that the measurements depend on."""
    engines = {node.name: engine for node, engine in plan.engines()}
    inputs = {node.name: node.files.reads for node in plan if node.name not in engines and node.files.reads}
    hashes = {path: file_sha256(Path(path)) for path in {path for paths in inputs.values() for path in paths}}
    # The path of a stored engine contains its key, so only engines that the user named are hashed.
    named = {
        name: engine.path for name, engine in engines.items() if engine.build is None and engine.path != engine.onnx
    }
    return {
        "schema": SCHEMA,
        "bmfgraph": f"{__version__} {_code()}",
        "input": {name: "+".join(hashes[path] for path in paths) for name, paths in inputs.items()},
        "model": {name: engine.sha256 for name, engine in engines.items()},
        "engine": {name: file_sha256(Path(path)) for name, path in named.items()},
        "plan": plan.hash(),
        "gpu": str(plan.machine.gpu) if plan.machine.gpu else None,
        "libraries": {library.module: library.version for library in find_libraries()},
        "settings": dict(settings),
    }


@cache
def _code() -> str:
    """Stands for bmfgraph's own source."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def changes(mine: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Names of what differs between two fingerprints."""
    return sorted(name for name in mine.keys() | other.keys() if mine.get(name) != other.get(name))


def failed(cell: Mapping[str, Any], problems: Iterable[Mapping[str, Any]], status: str = "failed") -> dict[str, Any]:
    """The result of a cell, as it is described, that gave none."""
    nothing = {"metrics": {}, "nodes": [], "runs_on": {}, "outputs": {}, "seconds": 0.0}
    return described_part(cell) | {"status": status, "errors": list(problems)} | nothing


def described_part(cell: Mapping[str, Any]) -> dict[str, Any]:
    """What a result repeats of its cell's description."""
    kept = ("id", "sweep", "varied", "overrides", "fingerprint", "command", "reference", "settings")
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {name: cell[name] for name in kept} | {"created": created, "kept": False}


def read_json(path: Path) -> dict[str, Any] | None:
    """An object that was written, or None where there is none that can be read, or one that is not whole."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(found, dict) and all(key in found for key in _WHOLE.get(path.name, ()))
    return found if whole and found.get("schema") == SCHEMA else None


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write it at once, in a folder that is made. Raises BmfgraphError."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({"schema": SCHEMA, **data}, indent=2, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell of what the system has against writing there. Raises BmfgraphError."""
    try:
        yield
    except OSError as error:
        raise BmfgraphError(
            f"{str(path)!r} cannot be written ({error.strerror})",
            path="sweep.dir",
            hint="make room, or name a folder of yours",
            code="E411",
        ) from None
