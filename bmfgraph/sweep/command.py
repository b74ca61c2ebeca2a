"""A sweep from its words to its report: all cells checked, engines built once, cells run, results judged and ranked."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bmfgraph.config import Grid
from bmfgraph.sources import say
from bmfgraph.sweep.cells import RESULT, Cell, identity, read_json
from bmfgraph.sweep.compared import find_reference
from bmfgraph.sweep.halving import halve
from bmfgraph.sweep.inputs import reduced
from bmfgraph.sweep.objective import parse_objective
from bmfgraph.sweep.options import SweepOptions, sweep_options
from bmfgraph.sweep.prepare import describe_new, prepare
from bmfgraph.sweep.report import finish, objective_of
from bmfgraph.sweep.run import run_described

__all__ = ["cell_job", "run_sweep"]


def run_sweep(
    words: Sequence[str],
    grid: Grid,
    compose: Callable[[Sequence[str]], dict[str, Any]],
    launch: Callable[[Sequence[str]], int],
) -> int:
    """Do a sweep; its exit code: 0 if every cell was measured, 1 if one was not, 2 if one is wrong.

    ``compose``: a configuration of overrides. ``launch``: Hydra's multirun over the words given, which calls
    :func:`cell_job` for every run, on whatever launcher is configured. Raises a BmfgraphError.
    """
    datas = [compose(run) for run in grid.runs]
    options = replace_id(sweep_options(datas[0].get("sweep")))
    root = Path(options.dir)
    if options.objective:
        parse_objective(options.objective)
    command = ["python", "-m", "bmfgraph", *words]
    if not grid.enumerated:
        say("this sweeper chooses its runs as it goes: each is checked when its turn comes")
        code = launch([*words, f"++sweep.id={options.id}"])
        return max(code, finish(root, _folders(root, options), options, command))
    cells = []
    for run, varied, data in zip(grid.runs, grid.varied, datas, strict=True):
        read, reference = _read(data, options)
        alone = command_of(run, words)
        cells.append(Cell(run, varied, read, root / "cells" / identity(read), alone, reference))
    find_reference(options.reference, [{"id": cell.id, "varied": cell.varied} for cell in cells])
    if options.strategy == "halving":
        return halve(cells, options, command)
    if code := prepare(cells, options):
        return code
    code = launch([*words, f"++sweep.id={options.id}"])
    return max(code, finish(root, [cell.folder for cell in cells], options, command))


def replace_id(options: SweepOptions) -> SweepOptions:
    """The options with a name for this sweep, by which its cells know that they belong to it."""
    return options.model_copy(update={"id": uuid.uuid4().hex[:8]})


def _read(data: dict[str, Any], options: SweepOptions) -> tuple[dict[str, Any], str | None]:
    """What a cell reads, and the clip or labels that its output is compared with."""
    if options.reference == "input":
        read, original = reduced(data, Path(options.dir) / "inputs")
        return read, str(original)
    return data, None


def _folders(root: Path, options: SweepOptions) -> list[Path]:
    """Of the cells that belong to this sweep."""
    results = ((path, read_json(path)) for path in sorted(root.glob(f"cells/*/{RESULT}")))
    return [path.parent for path, result in results if result is not None and result.get("sweep") == options.id]


def command_of(overrides: Sequence[str], words: Sequence[str]) -> str:
    """The words that run one cell by itself."""
    flags: list[str] = []
    for place, word in enumerate(words):
        if word in ("--config-dir", "-cd"):
            flags += words[place : place + 2]
    kept = [word.removeprefix("++") for word in overrides if not word.lstrip("+").startswith(("sweep", "hydra"))]
    return shlex.join(["python", "-m", "bmfgraph", *flags, *kept])


def cell_job(data: dict[str, Any], overrides: Sequence[str]) -> float | None:
    """Run the cell of one configuration if that is still to be done; its objective, for sweepers that ask for it."""
    options = sweep_options(data.get("sweep"))
    read, reference = _read(data, options)
    varied = dict(word.lstrip("+").partition("=")[::2] for word in overrides)
    folder = Path(options.dir) / "cells" / identity(read)
    cell = Cell(tuple(overrides), varied, read, folder, command_of(overrides, ()), reference)
    described = describe_new(cell, options)
    result: Mapping[str, Any] | None = read_json(folder / RESULT)
    if described is not None and (result is None or result.get("sweep") != options.id):
        result = run_described(folder)
    return objective_of(folder, result, options)
