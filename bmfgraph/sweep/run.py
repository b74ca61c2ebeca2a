"""Run a sweep: check all cells, build engines once, run the cells, write the report."""

from __future__ import annotations

import contextlib
import shlex
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from bmfgraph.api import Job
from bmfgraph.config.compose import composed_unresolved
from bmfgraph.config.grid import Grid
from bmfgraph.config.job import JobSpec
from bmfgraph.config.overrides import dir_flags, literal_paths
from bmfgraph.config.sweep import SweepOptions
from bmfgraph.errors import Cancelled, ConfigError
from bmfgraph.sweep.cell_process import run_cell
from bmfgraph.sweep.cells import Cell, identity
from bmfgraph.sweep.commands import changed_settings, command_of, own_overrides, with_changes, without_measuring
from bmfgraph.sweep.files import RESULT, check_folder, claim, oserror_as_sweep_error, read_json
from bmfgraph.sweep.halving import halve
from bmfgraph.sweep.inputs import reduced
from bmfgraph.sweep.prepare import describe_if_new, prepare
from bmfgraph.sweep.report.build import finish, objective_of
from bmfgraph.sweep.validate import check_objective, sweep_options, validated_options, validated_references
from bmfgraph.system.console import say

__all__ = ["cell_job", "run_sweep"]


def run_sweep(
    arguments: Sequence[str],
    grid: Grid,
    compose: Callable[[Sequence[str]], Job],
    launch: Callable[[Sequence[str]], int],
    run_cells: Callable[[JobSpec, Sequence[Path]], None],
) -> int:
    """Run a sweep.

    Args:
        arguments: The command line of the sweep.
        grid: Its runs.
        compose: Returns the job of a run's overrides.
        launch: Runs Hydra's multirun over a command line, with any launcher, and returns the exit code. It calls
            :func:`cell_job` for every run.
        run_cells: Runs the cells of these folders where the key ``launcher`` says.

    Returns:
        The exit code: 0 if every cell was measured, 1 if one was not, 2 if one is wrong.

    Raises:
        BmfgraphError: An option of the sweep is wrong, or its folder cannot be written.
    """
    jobs = [compose(run) for run in grid.runs]
    options = _with_id(validated_options(grid, jobs[0]))
    root = Path(options.dir)
    claim(root)
    command = ["python", "-m", "bmfgraph", *arguments]
    launched = [*arguments, f"++sweep.id={options.id}", "++" + literal_paths([f"sweep.dir={root}"])[0]]
    if not grid.enumerated:
        say("this sweeper chooses its cells one by one: each is checked before it runs")
        check_objective(options, jobs[0])
        with _locked(root):
            code = launch(launched)
            folders = _folders(root, options)
            if _stopped(code, root) or (code and not folders):
                return code
            return max(code, finish(root, folders, options, command))
    preset = _preset_settings(grid.runs[0], arguments)
    cells = _distinct(
        _cell(job, run, varied, arguments, options, preset)
        for run, varied, job in zip(grid.runs, grid.varied, jobs, strict=True)
    )
    validated_references(options, [{"id": cell.id, "varied": cell.varied} for cell in cells])
    with _locked(root):
        if options.strategy == "halving":
            return halve(cells, options, command)
        if code := prepare(cells, options):
            return code
        if jobs[0].spec.launcher in (None, "local"):
            code = launch(launched)
        else:
            code = _elsewhere(cells, options, partial(run_cells, jobs[0].spec))
        if _stopped(code, root):
            return code
        return max(code, finish(root, [cell.folder for cell in cells], options, command))


def _elsewhere(cells: Sequence[Cell], options: SweepOptions, run: Callable[[Sequence[Path]], None]) -> int:
    """Run the cells that have no result; return the exit code."""
    waiting = []
    for cell in cells:
        result = read_json(cell.folder / RESULT)
        if describe_if_new(cell, options) and (result is None or result["sweep"] != options.id):
            waiting.append(cell.folder)
    try:
        run(waiting)
    except Cancelled:
        return Cancelled.exit_code
    return 0


def _cell(
    job: Job,
    overrides: Sequence[str],
    varied: Mapping[str, str],
    arguments: Sequence[str],
    options: SweepOptions,
    preset: Sequence[str] = (),
) -> Cell:
    """Make the cell of a run; with ``sweep.reference=input``, its input is reduced and the original the reference.

    Args:
        job: The job of the run.
        overrides: The overrides of the run.
        varied: Key and value of its overrides that differ from run to run.
        arguments: The command line of the sweep.
        options: The options of the sweep.
        preset: What a preset such as ``+sweep=mine`` sets for the pipeline, as overrides.
    """
    own = (*own_overrides(overrides), *preset)
    command = command_of(own, arguments)
    shipped, left_out = without_measuring(own, varied, job)
    original = None
    if options.reference == "input":
        whole = job
        job, original = reduced(job, Path(options.dir) / "inputs")
        command = with_changes(command, whole, job)
    folder = Path(options.dir) / "cells" / identity(job)
    reference = None if original is None else str(original)
    return Cell(
        tuple(overrides), varied, job, folder, command, command_of(shipped, arguments), tuple(left_out), reference
    )


def _preset_settings(overrides: Sequence[str], arguments: Sequence[str]) -> tuple[str, ...]:
    """Return what presets of the sweep set for the pipeline, as overrides; a cell alone cannot have the preset."""
    own = own_overrides(overrides)
    if not any(override.lstrip("+").startswith("sweep=") for override in overrides):
        return ()
    try:
        before, after = (composed_unresolved([*words, *dir_flags(arguments)]) for words in (own, overrides))
    except ConfigError:
        # The preset chooses the pipeline itself.
        return ()
    return tuple(changed_settings(before, after | {"sweep": before["sweep"]}))


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
    say(
        f"the same command continues the sweep; report of the finished cells: "
        f"{shlex.join(['python', '-m', 'bmfgraph', 'report', str(root)])}"
    )
    return True


def _with_id(options: SweepOptions) -> SweepOptions:
    """Add a new id, which marks the cells that belong to this sweep."""
    return options.model_copy(update={"id": f"s{uuid.uuid4().hex[:8]}"})


def _folders(root: Path, options: SweepOptions) -> list[Path]:
    """Return the folders of the cells that belong to this sweep."""
    results = ((path, read_json(path)) for path in sorted(root.glob(f"cells/*/{RESULT}")))
    mine = [path.parent for path, result in results if result is not None and result["sweep"] == options.id]
    return [folder for folder in mine if not folder.is_symlink()]


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
        check_folder(cell.folder)
    # Parallel launchers may run the same cell twice at the same time.
    with FileLock(cell.folder / ".lock"):
        runnable = describe_if_new(cell, options)
        result = read_json(cell.folder / RESULT)
        if runnable and (result is None or result["sweep"] != options.id):
            result = run_cell(cell.folder)
    return objective_of(cell.folder, result, options)
