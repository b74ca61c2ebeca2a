"""Build an engine with TensorRT-RTX for the table, and copy it with manifests of other machines."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bmfgraph.api import Job
from bmfgraph.config.compose import composed
from bmfgraph.engines.key import EngineKey
from bmfgraph.engines.manifest import ENGINE, MANIFEST, BuildResult, StoredEngine, make_manifest
from bmfgraph.engines.store import EngineStore

__all__ = ["MODEL", "fill_engines"]

MODEL = "vsr_x2_fast_video"
_WORDS = ("pipeline=super_resolution", "input=clip.mp4", "model.file=double.onnx", "progress=false")


def fill_engines(folder: Path) -> dict[str, str]:
    """Build the engine in ``folder/engines``, and return the paths of the copies, relative to the folder, by name."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        data = composed([*_WORDS, "engine.runtime=tensorrt_rtx"])
        Job.from_config(data).build()
        (real,) = EngineStore(Path("engines")).entries(MODEL)
        key = _key("trt")
        return {
            "store_of_ada": "other_gpu",
            "store_of_10_13": "fine",
            "fine": _copy(real, Path("fine"), key),
            "other_gpu": _copy(real, Path("other_gpu"), _key("trt_ada")),
            "other_version": _copy(real, Path("other_version"), replace(key, version="10.1.0")),
            "of_rtx": str(real.path),
            "host_code": _copy(real, Path("host_code"), replace(key, flags=(("version_compatible", True),))),
            "cut": _copy(real, Path("cut"), key, lambda path: path.write_bytes(path.read_bytes()[:1000])),
            "bad": _copy(real, Path("bad"), key, lambda path: (path.parent / MANIFEST).write_text("{")),
        }
    finally:
        os.chdir(before)


def _key(machine: str) -> EngineKey:
    """Return the key of the engine that the table's pipeline has on that machine."""
    build = Job.from_config(composed([*_WORDS, f"target={machine}.json"])).plan().node("upscale").params.engine.build
    key: EngineKey = build.key
    return key


def _copy(real: StoredEngine, store: Path, key: EngineKey, spoil: Callable[[Path], Any] = lambda _: None) -> str:
    folder = EngineStore(store).folder(MODEL, key)
    folder.mkdir(parents=True)
    path = folder / ENGINE
    path.write_bytes(real.path.read_bytes())
    manifest = make_manifest(MODEL, key, BuildResult(real.tensors, {"library": "TensorRT"}), path, 1.0)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    spoil(path)
    return str(path)
