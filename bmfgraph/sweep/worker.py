"""Measure one cell: ``python -m bmfgraph.sweep.worker FOLDER``, the child process that ``cell_process.py`` starts.

In a process of its own, a crash costs one cell only, its memory is measured alone, and GPU memory is freed. Each run's
report is written as soon as the run is over, before anything else can fail.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmfgraph.api import Job
from bmfgraph.engines.manifest import read_entry
from bmfgraph.errors import BmfgraphError
from bmfgraph.sweep.engine_speed import engine_alone
from bmfgraph.sweep.files import CELL, MEASURED, read_json, write_json
from bmfgraph.system.console import console_output, print_problems, problems_as_json
from bmfgraph.system.energy import EnergyMeter
from bmfgraph.system.processes import end_with_stdin

__all__ = ["main", "measure"]


def main(arguments: list[str]) -> int:
    """Measure the cell in a folder, the only argument, and return the exit code."""
    folder = Path(arguments[0])
    # Between runs, too, SIGTERM ends the process by an exception, so that nothing temporary stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    end_with_stdin()
    cell = read_json(folder / CELL)
    if cell is None:
        print(f"{folder / CELL} cannot be read", file=sys.stderr)
        return 2
    try:
        measure(folder, cell)
    except BmfgraphError as error:
        print_problems(error.problems)
        with contextlib.suppress(BmfgraphError):
            write_json(folder / MEASURED, problems_as_json(error.problems))
        return 1
    return 0


def measure(folder: Path, cell: Mapping[str, Any]) -> None:
    """Run a cell as often as its settings say, and write the measurements.

    Args:
        folder: The folder of the cell.
        cell: The content of its cell.json.

    Raises:
        BmfgraphError: The job is wrong, a run failed, or a file cannot be written.
    """
    job = Job.from_config({**cell["data"], "report": None, "reference": None})
    engines = job.build()
    warmup, repeats = int(cell["settings"]["warmup"]), cell["settings"]["repeats"]
    runs: list[dict[str, Any]] = []
    for number in range(warmup + repeats):
        with EnergyMeter() as energy:
            result = job.run(output_folder=folder, overwrite=True)
        report = result.report() | {"joules": energy.joules}
        write_json(folder / f"run-{number}.json", report)
        runs.append(report)
    plan = result.plan
    measured = {
        "problems": [],
        "runs": runs[warmup:],
        "inference_fps": {node.name: engine_alone(node.name, engine) for node, engine in plan.engines()},
        "engines": {node: _engine(path) for node, path in engines.items()},
        "outputs": {node: str(path) for node, path in result.outputs.items()},
    }
    write_json(folder / MEASURED, measured)


def _engine(path: Path) -> dict[str, float]:
    """Return the build time (s) and size (bytes) of an engine."""
    build = read_entry(path.parent).manifest.get("built", {})
    return {"seconds": float(build.get("seconds", 0.0)), "bytes": path.stat().st_size}


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError), console_output():
        sys.exit(main(sys.argv[1:]))
