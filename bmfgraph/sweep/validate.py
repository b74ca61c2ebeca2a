"""Check the options of a sweep before any of its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.api import Job
from bmfgraph.config.grid import Grid
from bmfgraph.config.sweep import SweepOptions
from bmfgraph.errors import BmfgraphError, ConfigError, Problem, SpecError
from bmfgraph.plan.plan import Plan, pipe_errors
from bmfgraph.sweep.measurable import objective_problems
from bmfgraph.sweep.objective import parse_objective
from bmfgraph.sweep.references import TABLES, find_references

__all__ = ["check_objective", "pipe_problems", "sweep_options", "validated_options", "validated_references"]


def sweep_options(job: Job) -> SweepOptions:
    """Return the options of the sweep that a job belongs to.

    Raises:
        SpecError: The key ``sweep`` has mistakes, or is missing.
    """
    if problems := [problem for problem in job.reading.problems if problem.path.partition(".")[0] == "sweep"]:
        raise SpecError(problems)
    if job.spec.sweep is None:
        raise SpecError([Problem("sweep.dir", "is missing", codes.MISSING_FIELD, "set sweep.dir")])
    return job.spec.sweep


def validated_options(grid: Grid, job: Job) -> SweepOptions:
    """Return the options of a sweep.

    Args:
        grid: The runs of the sweep.
        job: One of them.

    Raises:
        ConfigError: The options do not fit together, or differ between the runs.
        SpecError: An option is wrong.
    """
    if several := [key for key in grid.swept if key.partition(".")[0] == "sweep"]:
        raise ConfigError(
            "is the same for all runs of a sweep",
            path=several[0],
            hint="give it one value",
            code=codes.CONFLICTING_VALUES,
        )
    options = sweep_options(job)
    if options.objective:
        parse_objective(options.objective)
    if options.strategy == "halving":
        _check_halving(grid, options)
    _check_launcher(grid, options, job.spec.launcher)
    return options


def pipe_problems(plan: Plan) -> list[Problem]:
    """Return a problem for each source of a sweep's run that reads a pipe."""
    return [problem for error in pipe_errors(plan, "a sweep reads it for each run") for problem in error.problems]


def check_objective(options: SweepOptions, job: Job) -> None:
    """Refuse a metric that no cell can have, in a sweep whose sweeper chooses the cells.

    Args:
        options: The options of the sweep.
        job: One of its runs. If it is wrong, its own check says so.

    Raises:
        SpecError: The objective has such a metric.
    """
    try:
        plan = job.plan()
    except BmfgraphError:
        return
    if problems := objective_problems(options, [plan], None):
        raise SpecError(problems)


def _check_launcher(grid: Grid, options: SweepOptions, launcher: str | None) -> None:
    """Refuse a cluster for cells that are chosen one after the other."""
    if launcher in (None, "local") or (grid.enumerated and not grid.launched and options.strategy == "grid"):
        return
    raise ConfigError(
        f"launcher={launcher} runs the cells of a grid, and these are chosen as the sweep goes, or have a launcher of "
        "Hydra's already",
        path="launcher",
        hint="leave it out, or set sweep.strategy=grid without hydra/sweeper and hydra/launcher",
        code=codes.HALVING_CONFLICT,
    )


def _check_halving(grid: Grid, options: SweepOptions) -> None:
    """Refuse halving with another sweeper or launcher, and without an objective."""
    hint = "leave it out, or set sweep.strategy=grid"
    if not grid.enumerated:
        raise ConfigError(
            "halving takes the cells of a grid, and this sweeper chooses its runs as it goes",
            path="hydra/sweeper",
            hint=hint,
            code=codes.HALVING_CONFLICT,
        )
    if grid.launched:
        raise ConfigError(
            "halving runs its cells here, one after the other, to choose between them",
            path="hydra/launcher",
            hint=hint,
            code=codes.HALVING_CONFLICT,
        )
    if not options.objective:
        raise ConfigError(
            "halving keeps the better cells, and the sweep has no objective",
            path="sweep.objective",
            hint="set one, such as sweep.objective='fps where psnr_y>=45'",
            code=codes.INVALID_OBJECTIVE,
        )


def validated_references(
    options: SweepOptions, cells: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, str], Path | None]:
    """Return what :func:`bmfgraph.sweep.references.find_references` returns for the option ``reference``.

    Raises:
        ConfigError: The reference does not exist, or does not fit the strategy.
    """
    references, file = find_references(options.reference, cells)
    if options.strategy == "halving" and file is not None and file.suffix in TABLES:
        raise ConfigError(
            f"{options.reference!r} has labels of the whole clip, and halving runs cells on parts of it",
            path="sweep.reference",
            hint="name overrides of one cell, such as engine=fp32, or set sweep.strategy=grid",
            code=codes.UNUSABLE_REFERENCE,
        )
    return references, file
