"""Successive halving: all cells on a part of the clip, the better ones on more and more of it.

Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization (2016).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bmfgraph.compile.job import compile_job
from bmfgraph.config.job import read_job
from bmfgraph.config.sweep import SweepOptions
from bmfgraph.sweep.cell_process import run_described
from bmfgraph.sweep.cells import RESULT, Cell, identity, read_json
from bmfgraph.sweep.inputs import shortened
from bmfgraph.sweep.objective import parse_objective, rank
from bmfgraph.sweep.prepare import prepare
from bmfgraph.sweep.references import find_references
from bmfgraph.sweep.report.build import finish, gather
from bmfgraph.system.console import say

__all__ = ["halve"]


def halve(cells: Sequence[Cell], options: SweepOptions, command: Sequence[str]) -> int:
    """Run the cells in rungs and report; the exit code."""
    assert options.objective is not None
    objective = parse_objective(options.objective)
    references, _ = find_references(options.reference, [{"id": cell.id, "varied": cell.varied} for cell in cells])
    rungs = max(1, math.ceil(math.log(len(cells), options.eta) - 1e-9)) if len(cells) > 1 else 0
    left, gone = list(cells), dict[Path, str]()
    for rung in range(rungs + 1):
        if not left:
            # All have failed.
            break
        part = options.eta ** (rung - rungs)
        now = [_on(cell, part) for cell in left]
        say(f"rung {rung + 1} of {rungs + 1}: {len(now)} cell(s) on {part:.0%} of the clip")
        if code := prepare(now, options):
            return code
        for cell in now:
            if read_json(cell.folder / RESULT) is None:
                run_described(cell.folder)
        if rung == rungs:
            break
        folders = [cell.folder for cell in now]
        report = gather(
            folders, options.reference, options.objective, command, repeats=options.repeats, warmup=options.warmup
        )
        order = [one.cell["id"] for one in rank(report["cells"], objective) if one.cell["status"] == "ok"]
        best = set(order[: max(1, math.ceil(len(order) / options.eta))])
        best = {cell.id for cell, tried in zip(left, now, strict=True) if tried.id in best}
        # With the cells that they are compared with.
        needed = best | {references[one] for one in best if one in references}
        following = [cell for cell in left if cell.id in needed]
        why = f"left out after rung {rung + 1} of {rungs + 1}, on {part:.0%} of the clip"
        gone |= {tried.folder: why for cell, tried in zip(left, now, strict=True) if cell not in following}
        left = following
    folders = [*(_on(cell, 1.0).folder for cell in left), *gone]
    return finish(Path(options.dir), folders, options, command, {folder.name: why for folder, why in gone.items()})


def _on(cell: Cell, part: float) -> Cell:
    """The same cell on a part of its input."""
    if part >= 1:
        return cell
    data = shortened(cell.data, compile_job(read_job(cell.data)), part)
    return replace(cell, data=data, folder=cell.folder.parent / identity(data))
