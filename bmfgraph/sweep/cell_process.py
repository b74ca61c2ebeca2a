"""Run one cell in a child process, ``worker.py``, and write its result even if the child crashes."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.config.overrides import title_of
from bmfgraph.errors import BmfgraphError
from bmfgraph.sweep.cells import failed_result, result_head
from bmfgraph.sweep.files import (
    CELL,
    LOG,
    MEASURED,
    RESULT,
    oserror_as_sweep_error,
    read_json,
    remove_irregular,
    write_json,
)
from bmfgraph.system.console import say
from bmfgraph.system.processes import child, ended, last_lines, python_command

__all__ = ["run_cell", "spread"]

_MB = 1e6


def run_cell(folder: Path) -> dict[str, Any]:
    """Run the cell that is described in a folder.

    Args:
        folder: The folder of the cell, with its cell.json.

    Returns:
        The content of result.json, which is written there.

    Raises:
        BmfgraphError: The folder cannot be written.
    """
    cell = read_json(folder / CELL)
    if cell is None:
        raise BmfgraphError(
            f"{str(folder / CELL)!r} was changed while the sweep ran",
            path="sweep.dir",
            hint="repeat the command, and keep other programs out of the sweep's folder",
            code=codes.FOREIGN_SWEEP_FOLDER,
        )
    with oserror_as_sweep_error(folder):
        remove_irregular(folder)
        for path in (folder / RESULT, folder / MEASURED, folder / LOG, *folder.glob("run-*.json"), *_parts(folder)):
            path.unlink(missing_ok=True)
        (folder / LOG).touch()
    began = time.monotonic()
    command = python_command("bmfgraph.sweep.worker", str(folder))
    try:
        with child(command, folder / LOG, everything=True) as process:
            code: int | None = process.wait(cell["settings"]["timeout"])
    except subprocess.TimeoutExpired:
        code = None
    finally:
        for path in _parts(folder):
            path.unlink(missing_ok=True)
    measured = read_json(folder / MEASURED)
    seconds = round(time.monotonic() - began, 3)
    if measured is not None and code == 0:
        result = result_head(cell) | {"status": "ok", "errors": []} | _metrics(measured)
    elif code is None:
        # The cell was asked to end, which it may report as an interruption.
        limit = cell["settings"]["timeout"]
        problem = _crash(
            codes.CELL_TIMEOUT, f"the cell took longer than {limit:g} s", "raise sweep.timeout, or leave it out"
        )
        result = failed_result(cell, [problem])
    elif measured is not None and measured["problems"]:
        result = failed_result(cell, measured["problems"])
    else:
        text = f"its process {ended(code)}{last_lines(folder / LOG)}"
        hint = "out of memory? see log.txt in its folder" if code == -9 else "see log.txt in its folder"
        result = failed_result(cell, [_crash(codes.CELL_CRASH, text, hint)]) | {"status": "crashed"}
    result["seconds"] = seconds
    write_json(folder / RESULT, result)
    say(f"{title_of(cell['varied'])}: {_summary(result)}")
    return result


def _parts(folder: Path) -> list[Path]:
    """Unfinished files of a child that was killed."""
    return list(folder.glob(".*.part"))


def _summary(result: Mapping[str, Any]) -> str:
    if result["status"] != "ok":
        error = result["errors"][0]
        return f"{result['status']}: [{error['code']}] {error['message']}"
    fps, first = (result["metrics"][name]["median"] for name in ("steady_fps", "first_frame_s"))
    return f"{fps:.1f} frames/s, the first one after {first:.1f} s"


def _crash(code: str, message: str, hint: str) -> dict[str, str]:
    return {"code": code, "severity": "error", "where": "", "message": message, "hint": hint}


def _metrics(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Summarize the runs of a cell; each metric has median, min and max."""
    runs = measured["runs"]
    frames = max(1, runs[0]["frames"]["out"])
    latency = [run["latency_ms"] for run in runs if run["latency_ms"]]
    engines = measured["engines"].values()
    values = {
        "fps": [run["fps"] for run in runs],
        "steady_fps": [run["steady_fps"] for run in runs],
        "inference_fps": [min(measured["inference_fps"].values(), default=None)],
        **{f"latency_{name}_ms": [times[name] for times in latency] for name in ("p50", "p95", "p99")},
        "first_frame_s": [run["first_frame_seconds"] for run in runs],
        "build_s": [sum(engine["seconds"] for engine in engines)] if engines else [],
        "engine_mb": [sum(engine["bytes"] for engine in engines) / _MB] if engines else [],
        "peak_rss_mb": [run["memory"]["peak_rss"] / _MB for run in runs],
        "peak_gpu_mb": [run["memory"]["peak_gpu"] / _MB for run in runs if run["memory"]["peak_gpu"]],
        "joules_per_frame": [run["joules"] / frames for run in runs if run["joules"] is not None],
        "output_mb": [sum(output["bytes"] for output in run["outputs"]) / _MB for run in runs if run["outputs"]],
    }
    middle = sorted(runs, key=lambda run: run["steady_fps"])[len(runs) // 2]
    nodes = [{key: node[key] for key in ("name", "kind", "device", "frame_ms")} for node in middle["nodes"]]
    return {
        "metrics": {name: spread(runs) for name, runs in values.items() if runs and None not in runs},
        "nodes": [node for node in nodes if node["frame_ms"] is not None],
        "runs_on": {engine["node"]: engine["runs_on"] for engine in middle["engines"]},
        "outputs": measured["outputs"],
    }


def spread(values: Iterable[float]) -> dict[str, Any]:
    """Return the median, minimum and maximum of some values, by name, and the values themselves: ``runs``."""
    numbers = list(values)
    summary = {"median": statistics.median(numbers), "min": min(numbers), "max": max(numbers)}
    return {name: round(number, 4) for name, number in summary.items()} | {
        "runs": [round(number, 4) for number in numbers]
    }
