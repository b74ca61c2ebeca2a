"""Runs one cell: a child process measures it, and its result is written whatever becomes of that process."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bmfgraph.config.overrides import title_of
from bmfgraph.sweep.cells import (
    CELL,
    LOG,
    MEASURED,
    RESULT,
    described_part,
    failed,
    read_json,
    write_json,
    writing,
)
from bmfgraph.system.console import say
from bmfgraph.system.processes import child, ended, last_lines

__all__ = ["run_described", "spread"]

_MB = 1e6


def run_described(folder: Path) -> dict[str, Any]:
    """Measure the cell that is described in that folder; its result, which lies there, too, as result.json."""
    cell = read_json(folder / CELL)
    assert cell is not None, folder
    with writing(folder):
        for path in (folder / RESULT, folder / MEASURED, folder / LOG, *folder.glob("run-*.json"), *_parts(folder)):
            path.unlink(missing_ok=True)
        (folder / LOG).touch()
    began = time.monotonic()
    words = [sys.executable, "-u", "-m", "bmfgraph.sweep.worker", str(folder)]
    try:
        with child(words, folder / LOG, everything=True) as process:
            code: int | None = process.wait(cell["settings"]["timeout"])
    except subprocess.TimeoutExpired:
        code = None
    finally:
        for path in _parts(folder):
            path.unlink(missing_ok=True)
    measured = read_json(folder / MEASURED)
    seconds = round(time.monotonic() - began, 3)
    if measured is not None and code == 0:
        result = described_part(cell) | {"status": "ok", "errors": []} | _metrics(measured)
    elif measured is not None and measured["problems"]:
        result = failed(cell, measured["problems"])
    elif code is None:
        limit = cell["settings"]["timeout"]
        result = failed(cell, [_crash("E807", f"took longer than {limit:g} s", "raise sweep.timeout, or leave it out")])
    else:
        text = f"its process {ended(code)}{last_lines(folder / LOG)}"
        hint = "out of memory? see log.txt in its folder" if code == -9 else "see log.txt in its folder"
        result = failed(cell, [_crash("E806", text, hint)]) | {"status": "crashed"}
    result["seconds"] = seconds
    write_json(folder / RESULT, result)
    say(f"{title_of(cell['varied'])}: {_shown(result)}")
    return result


def _parts(folder: Path) -> list[Path]:
    """Files that a process left unfinished when it was killed."""
    return list(folder.glob(".*.part"))


def _shown(result: Mapping[str, Any]) -> str:
    if result["status"] != "ok":
        error = result["errors"][0]
        return f"{result['status']}: [{error['code']}] {error['message']}"
    fps, first = (result["metrics"][name]["median"] for name in ("steady_fps", "first_frame_s"))
    return f"{fps:.1f} frames/s, the first one after {first:.1f} s"


def _crash(code: str, message: str, hint: str) -> dict[str, str]:
    return {"code": code, "severity": "error", "where": "", "message": message, "hint": hint}


def _metrics(measured: Mapping[str, Any]) -> dict[str, Any]:
    """What the runs of a cell say, as median, least and greatest."""
    runs = measured["runs"]
    frames = max(1, runs[0]["frames"]["out"])
    latency = [run["latency_ms"] for run in runs if run["latency_ms"]]
    engines = measured["engines"].values()
    found = {
        "fps": [run["fps"] for run in runs],
        "steady_fps": [run["steady_fps"] for run in runs],
        "inference_fps": [min(measured["inference_fps"].values(), default=None)],
        **{f"latency_{name}_ms": [one[name] for one in latency] for name in ("p50", "p95", "p99")},
        "first_frame_s": [run["first_frame_seconds"] for run in runs],
        "build_s": [sum(one["seconds"] for one in engines)] if engines else [],
        "engine_mb": [sum(one["bytes"] for one in engines) / _MB] if engines else [],
        "peak_rss_mb": [run["memory"]["peak_rss"] / _MB for run in runs],
        "peak_gpu_mb": [run["memory"]["peak_gpu"] / _MB for run in runs if run["memory"]["peak_gpu"]],
        "joules_per_frame": [run["joules"] / frames for run in runs if run["joules"] is not None],
        "output_mb": [sum(one["bytes"] for one in run["outputs"]) / _MB for run in runs if run["outputs"]],
    }
    middle = sorted(runs, key=lambda run: run["steady_fps"])[len(runs) // 2]
    nodes = [{key: node[key] for key in ("name", "kind", "device", "frame_ms")} for node in middle["nodes"]]
    return {
        "metrics": {name: spread(values) for name, values in found.items() if values and None not in values},
        "nodes": [node for node in nodes if node["frame_ms"] is not None],
        "runs_on": {engine["node"]: engine["runs_on"] for engine in middle["engines"]},
        "outputs": measured["outputs"],
    }


def spread(values: Iterable[float]) -> dict[str, float]:
    """Median, least and greatest."""
    known = list(values)
    return {
        "median": round(statistics.median(known), 4),
        "min": round(min(known), 4),
        "max": round(max(known), 4),
    }
