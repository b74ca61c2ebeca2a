"""Measures one cell, in a process of its own: ``python -m bmfgraph.sweep.worker FOLDER``.

In a process of its own, a crash costs one cell only, memory is counted for it alone, and the GPU's is given back. Each
run's report is written as soon as the run is over, whatever comes later.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmfgraph.compile.job import compile_job
from bmfgraph.engines.manifest import read_entry
from bmfgraph.errors import BmfgraphError
from bmfgraph.runner.engines import prepare_engines
from bmfgraph.runner.outputs import with_output_folder
from bmfgraph.runner.report import make_report
from bmfgraph.runner.run import run_plan
from bmfgraph.sweep.cells import CELL, MEASURED, read_json, write_json
from bmfgraph.sweep.engine_speed import engine_alone
from bmfgraph.system.console import print_problems, problems_as_json
from bmfgraph.system.energy import EnergyMeter
from bmfgraph.system.processes import end_with_stdin

__all__ = ["main", "measure"]


def main(words: list[str]) -> int:
    """Measure the cell in that folder; the exit code."""
    folder = Path(words[0])
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
    """Run the cell as often as it says, and write down what was measured. Raises a BmfgraphError."""
    plan = compile_job(dict(cell["data"]))
    built = prepare_engines(plan)
    plan = with_output_folder(plan, folder)
    warmup, repeats = int(cell["settings"]["warmup"]), cell["settings"]["repeats"]
    runs: list[dict[str, Any]] = []
    for number in range(warmup + repeats):
        with EnergyMeter() as energy:
            outcome = run_plan(plan)
        report = make_report(outcome, dict(cell["data"])) | {"joules": energy.joules}
        write_json(folder / f"run-{number}.json", report)
        runs.append(report)
    measured = {
        "problems": [],
        "runs": runs[warmup:],
        "inference_fps": {node.name: engine_alone(node.name, engine) for node, engine in plan.engines()},
        "engines": {node: _engine(path) for node, path in built.items()},
        "outputs": {node.name: node.written for node in plan if node.written},
    }
    write_json(folder / MEASURED, measured)


def _engine(path: Path) -> dict[str, float]:
    """How long it took to build, and how large it is."""
    built = read_entry(path.parent).manifest.get("built", {})
    return {"seconds": float(built.get("seconds", 0.0)), "bytes": path.stat().st_size}


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main(sys.argv[1:]))
