"""Run a sweep by successive halving: all cells on a part of the clip, the better ones on more of it.

Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization (2016).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bmfgraph.compile.job import compile_job
from bmfgraph.config.sweep import SweepOptions
from bmfgraph.sweep.cell_process import run_cell
from bmfgraph.sweep.cells import Cell, identity
from bmfgraph.sweep.commands import with_changes
from bmfgraph.sweep.files import RESULT, read_json
from bmfgraph.sweep.inputs import shortened
from bmfgraph.sweep.objective import parse_objective, rank
from bmfgraph.sweep.prepare import prepare
from bmfgraph.sweep.references import find_references
from bmfgraph.sweep.report.build import finish, gather
from bmfgraph.system.console import say

__all__ = ["halve"]


def halve(cells: Sequence[Cell], options: SweepOptions, command: Sequence[str]) -> int:
    """Run the cells in rungs, and write the report.

    Args:
        cells: All cells of the grid.
        options: The options of the sweep, with an objective.
        command: The command line of the sweep.

    Returns:
        The exit code.

    Raises:
        BmfgraphError: The sweep's folder cannot be written.
    """
    assert options.objective is not None
    objective = parse_objective(options.objective)
    references, _ = find_references(options.reference, [{"id": cell.id, "varied": cell.varied} for cell in cells])
    rungs = max(1, math.ceil(math.log(len(cells), options.eta) - 1e-9)) if len(cells) > 1 else 0
    left, dropped = list(cells), dict[Path, str]()
    for rung in range(rungs + 1):
        if not left:
            # All cells have failed.
            break
        part = options.eta ** (rung - rungs)
        tried = [_on(cell, part) for cell in left]
        say(f"rung {rung + 1} of {rungs + 1}: {len(tried)} cell(s) on {part:.0%} of the clip")
        if code := prepare(tried, options):
            return code
        for cell in tried:
            if read_json(cell.folder / RESULT) is None:
                run_cell(cell.folder)
        if rung == rungs:
            break
        folders = [cell.folder for cell in tried]
        report = gather(
            folders, options.reference, options.objective, command, repeats=options.repeats, warmup=options.warmup
        )
        order = [ranked.cell["id"] for ranked in rank(report["cells"], objective) if ranked.cell["status"] == "ok"]
        survivors = order[: max(1, math.ceil(len(order) / options.eta))]
        best = {cell.id for cell, on_part in zip(left, tried, strict=True) if on_part.id in survivors}
        # The reference of a cell must run on the same part, and so must the cell that stands for it.
        needed = best | {references[name] for name in best if name in references}
        equal = _equal(left, tried)
        needed |= {equal[name] for name in needed if name in equal}
        needed |= {name for name, first in equal.items() if first in needed}
        reason = f"left out after rung {rung + 1} of {rungs + 1}, on {part:.0%} of the clip"
        dropped |= {on_part.folder: reason for cell, on_part in zip(left, tried, strict=True) if cell.id not in needed}
        left = [cell for cell in left if cell.id in needed]
    folders = [*(cell.folder for cell in left), *dropped]
    reasons = {folder.name: reason for folder, reason in dropped.items()}
    return finish(Path(options.dir), folders, options, command, reasons)


def _equal(cells: Sequence[Cell], tried: Sequence[Cell]) -> dict[str, str]:
    """Return the id of the cell that stands for it, for each cell that does the same as another one."""
    ids = {on_part.id: cell.id for cell, on_part in zip(cells, tried, strict=True)}
    results = {cell.id: read_json(on_part.folder / RESULT) for cell, on_part in zip(cells, tried, strict=True)}
    return {name: ids[result["same_as"]] for name, result in results.items() if result and result["status"] == "same"}


def _on(cell: Cell, part: float) -> Cell:
    """Return the same cell on the first part of its input."""
    if part >= 1:
        return cell
    job = shortened(cell.job, compile_job(cell.job.reading), part)
    command = with_changes(cell.command, cell.job, job)
    return replace(cell, job=job, command=command, folder=cell.folder.parent / identity(job))
