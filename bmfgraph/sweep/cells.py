"""Identify the cells of a sweep, and make their results.

The name of a cell's folder follows from its configuration, so the same command finds it again. The fingerprint holds
what the measurements depend on besides: the input's bytes, models, versions. A cell with another fingerprint is
measured again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from bmfgraph import __version__
from bmfgraph.api import Job
from bmfgraph.config.job import ASIDE
from bmfgraph.config.overrides import title_of
from bmfgraph.engines.trial import runtime_version
from bmfgraph.plan.plan import Plan
from bmfgraph.sweep.equal import work_hash
from bmfgraph.system.files import file_sha256
from bmfgraph.system.machine import find_libraries

__all__ = ["Cell", "changes", "code_version", "failed_result", "fingerprint", "identity", "result_head"]

_FINGERPRINT = 1
"""Version of the fingerprint."""


@dataclass(frozen=True)
class Cell:
    """One run of a sweep."""

    overrides: tuple[str, ...]
    varied: Mapping[str, str]
    """Key and value of the overrides that differ from cell to cell."""
    job: Job
    folder: Path
    command: str
    """The command line that runs exactly this cell, alone."""
    ship: str
    """The command line that runs the whole job with this variant, without what was for measuring only."""
    left_out: tuple[str, ...] = ()
    """The overrides that ``ship`` leaves out."""
    reference: str | None = None
    """The clip that its output is compared with, if each cell has its own."""

    @property
    def id(self) -> str:
        """The identity of its configuration."""
        return self.folder.name

    @property
    def title(self) -> str:
        """Its varied overrides, for messages."""
        return title_of(self.varied)


def identity(job: Job) -> str:
    """Return 12 hex digits that follow from all keys of a job that change what it computes."""
    kept = {key: value for key, value in job.config.items() if key not in ASIDE}
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
    runtimes = sorted({engine.runtime for engine in engines.values() if engine.device == "cpu"})
    return {
        "schema": _FINGERPRINT,
        "bmfgraph": f"{__version__} {code_version()}",
        "input": {name: "+".join(hashes[path] for path in paths) for name, paths in inputs.items()},
        "model": {name: engine.sha256 for name, engine in engines.items()},
        "engine": {name: file_sha256(Path(path)) for name, path in named.items()},
        "plan": work_hash(plan),
        "gpu": str(plan.machine.gpu) if plan.machine.gpu else None,
        "libraries": {library.module: library.version for library in find_libraries()},
        "runtimes": {name: runtime_version(name) for name in runtimes},
        "settings": dict(settings),
    }


@cache
def code_version() -> str:
    """Return 12 hex digits that follow from bmfgraph's own source."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def changes(fingerprint: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the keys that differ between two fingerprints."""
    keys = fingerprint.keys() | other.keys()
    return sorted(key for key in keys if fingerprint.get(key) != other.get(key))


def failed_result(
    description: Mapping[str, Any], problems: Iterable[Mapping[str, Any]], status: str = "failed"
) -> dict[str, Any]:
    """Return the result of a cell without measurements.

    Args:
        description: The content of its cell.json.
        problems: The problems as plain data.
        status: ``failed``, or if the cell was never run: ``refused`` or ``same``.
    """
    empty = {"metrics": {}, "nodes": [], "runs_on": {}, "outputs": {}, "seconds": 0.0}
    return result_head(description) | {"status": status, "errors": list(problems)} | empty


def result_head(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a cell's description that its result repeats, and the time of now."""
    kept = ("id", "sweep", "varied", "overrides", "fingerprint", "command", "ship", "left_out", "reference", "settings")
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {name: description[name] for name in kept} | {"created": created, "kept": False}
