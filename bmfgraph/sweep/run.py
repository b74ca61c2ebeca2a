"""Run a sweep: check all cells, build engines once, run the cells, write the report."""

from __future__ import annotations

import contextlib
import shlex
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from bmfgraph.api import Job
from bmfgraph.config.grid import Grid
from bmfgraph.config.overrides import dir_flags, free_node_fields, literal_paths
from bmfgraph.config.sweep import SweepOptions
from bmfgraph.errors import Cancelled, ConfigError
from bmfgraph.sweep.cell_process import run_cell
from bmfgraph.sweep.cells import RESULT, Cell, identity, oserror_as_sweep_error, read_json
from bmfgraph.sweep.halving import halve
from bmfgraph.sweep.inputs import reduced
from bmfgraph.sweep.prepare import describe_if_new, prepare
from bmfgraph.sweep.report.build import finish, objective_of
from bmfgraph.sweep.validate import sweep_options, validated_options, validated_references
from bmfgraph.system.console import say

__all__ = ["cell_job", "run_sweep"]

_SWEEP_KEYS = ("sweep.", "hydra.", "hydra/")
"""Beginnings of the keys that a cell does not need when it runs alone."""


def run_sweep(
    arguments: Sequence[str],
    grid: Grid,
    compose: Callable[[Sequence[str]], Job],
    launch: Callable[[Sequence[str]], int],
) -> int:
    """Run a sweep.

    Args:
        arguments: The command line of the sweep.
        grid: Its runs.
        compose: Returns the job of a run's overrides.
        launch: Runs Hydra's multirun over a command line, with any launcher, and returns the exit code. It calls
            :func:`cell_job` for every run.

    Returns:
        The exit code: 0 if every cell was measured, 1 if one was not, 2 if one is wrong.

    Raises:
        BmfgraphError: An option of the sweep is wrong, or its folder cannot be written.
    """
    jobs = [compose(run) for run in grid.runs]
    options = _with_id(validated_options(grid, jobs[0]))
    root = Path(options.dir)
    command = ["python", "-m", "bmfgraph", *arguments]
    launched = [*arguments, f"++sweep.id={options.id}", "++" + literal_paths([f"sweep.dir={root}"])[0]]
    if not grid.enumerated:
        say("this sweeper chooses its cells one by one: each is checked before it runs")
        with _locked(root):
            code = launch(launched)
            folders = _folders(root, options)
            if _stopped(code, root) or (code and not folders):
                return code
            return max(code, finish(root, folders, options, command))
    cells = _distinct(
        _cell(job, run, varied, arguments, options)
        for run, varied, job in zip(grid.runs, grid.varied, jobs, strict=True)
    )
    validated_references(options, [{"id": cell.id, "varied": cell.varied} for cell in cells])
    with _locked(root):
        if options.strategy == "halving":
            return halve(cells, options, command)
        if code := prepare(cells, options):
            return code
        code = launch(launched)
        if _stopped(code, root):
            return code
        return max(code, finish(root, [cell.folder for cell in cells], options, command))


def _cell(
    job: Job, overrides: Sequence[str], varied: Mapping[str, str], arguments: Sequence[str], options: SweepOptions
) -> Cell:
    """Make the cell of a run; with ``sweep.reference=input``, its input is reduced and the original the reference."""
    original = None
    if options.reference == "input":
        job, original = reduced(job, Path(options.dir) / "inputs")
    folder = Path(options.dir) / "cells" / identity(job)
    reference = None if original is None else str(original)
    return Cell(tuple(overrides), varied, job, folder, command_of(overrides, arguments), reference)


def _distinct(cells: Iterable[Cell]) -> list[Cell]:
    """Drop cells that are the same as an earlier one, and log them."""
    distinct: dict[str, Cell] = {}
    for cell in cells:
        first = distinct.setdefault(cell.id, cell)
        if first is not cell:
            say(f"{cell.title}: the same as {first.title}, and runs once")
    return list(distinct.values())


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Wait for other sweeps in the same folder: they would write the same files and disturb the measurements."""
    with oserror_as_sweep_error(root, ConfigError):
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"another sweep runs in {str(root)!r}: waiting for its end")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _stopped(code: int, root: Path) -> bool:
    """Whether the runs were interrupted; logs how to continue."""
    if code != Cancelled.exit_code:
        return False
    say(f"the same command continues the sweep; report of the finished cells: python -m bmfgraph report {root}")
    return True


def _with_id(options: SweepOptions) -> SweepOptions:
    """Add a new id, which marks the cells that belong to this sweep."""
    return options.model_copy(update={"id": f"s{uuid.uuid4().hex[:8]}"})


def _folders(root: Path, options: SweepOptions) -> list[Path]:
    """Return the folders of the cells that belong to this sweep."""
    results = ((path, read_json(path)) for path in sorted(root.glob(f"cells/*/{RESULT}")))
    return [path.parent for path, result in results if result is not None and result.get("sweep") == options.id]


def command_of(overrides: Sequence[str], arguments: Sequence[str]) -> str:
    """Return the command line that runs one cell alone.

    Args:
        overrides: The overrides of the cell.
        arguments: The command line of the sweep, whose folders of configuration the cell needs too.
    """
    kept = [override for override in overrides if not _key(override).startswith(_SWEEP_KEYS)]
    return shlex.join(["python", "-m", "bmfgraph", *dir_flags(arguments), *map(_without_needless_mark, kept)])


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0] + "."


def _without_needless_mark(override: str) -> str:
    bare = override.removeprefix("++")
    return bare if free_node_fields([bare]) == [override] else override


def cell_job(job: Job, overrides: Sequence[str], arguments: Sequence[str], swept: Collection[str]) -> float | None:
    """Run one cell of a sweep, unless it has a result.

    Args:
        job: The job of the cell.
        overrides: Its overrides.
        arguments: The command line of the sweep.
        swept: The keys that differ from cell to cell.

    Returns:
        The objective for Hydra's sweeper: None if the sweep has none, NaN if the cell has no value.

    Raises:
        BmfgraphError: The cell's folder cannot be written.
    """
    options = sweep_options(job)
    values = dict(override.lstrip("+").partition("=")[::2] for override in overrides)
    varied = {key: value for key, value in values.items() if key in swept}
    cell = _cell(job, overrides, varied, arguments, options)
    with oserror_as_sweep_error(cell.folder):
        cell.folder.mkdir(parents=True, exist_ok=True)
    # Parallel launchers may run the same cell twice at the same time.
    with FileLock(cell.folder / ".lock"):
        runnable = describe_if_new(cell, options)
        result = read_json(cell.folder / RESULT)
        if runnable and (result is None or result["sweep"] != options.id):
            result = run_cell(cell.folder)
    return objective_of(cell.folder, result, options)
