"""Prepare the cells of a sweep: check and describe all, keep earlier results, build engines once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from bmfgraph.config.sweep import SweepOptions
from bmfgraph.errors import BmfgraphError, ConfigError, Problem
from bmfgraph.plan.plan import Plan
from bmfgraph.runner.engines import prepare_engines
from bmfgraph.sweep.cells import Cell, changes, failed_result, fingerprint, result_head
from bmfgraph.sweep.equal import equal_work, no_difference, work_hash
from bmfgraph.sweep.files import CELL, RESULT, is_regular, oserror_as_sweep_error, read_json, write_json
from bmfgraph.sweep.measurable import objective_problems
from bmfgraph.sweep.validate import pipe_problems
from bmfgraph.system.console import print_problems, problems_as_json, say
from bmfgraph.system.progress import show_progress

__all__ = ["describe_if_new", "prepare"]


class _Checked(NamedTuple):
    """A cell without errors."""

    cell: Cell
    plan: Plan
    warnings: Sequence[Problem]


def prepare(cells: Sequence[Cell], options: SweepOptions) -> int:
    """Check all cells, describe each in its folder, and build their engines.

    Afterwards the cells that do not run have a result: wrong ones, ones measured before, ones that do the same as
    another one, and ones whose engine cannot be built.

    Args:
        cells: The cells.
        options: The options of the sweep.

    Returns:
        The exit code: 2 if a wrong cell stops the sweep, which then has written nothing.

    Raises:
        ConfigError: No cell can have a metric of the objective.
        BmfgraphError: The sweep's folder cannot be written.
    """
    wrong: list[tuple[Cell, list[Problem]]] = []
    right: list[_Checked] = []
    printed: set[Problem] = set()
    for cell in cells:
        check = cell.job.check(output_folder=cell.folder, overwrite=True)
        errors = _errors(check.problems) or pipe_problems(check.plan)
        if new := [problem for problem in (*check.problems, *errors) if problem not in printed]:
            say(f"{cell.title}:")
            print_problems(new)
        # Errors are printed for each cell, the same warning once.
        printed.update(problem for problem in check.problems if problem.severity == "warning")
        if errors:
            wrong.append((cell, errors))
        else:
            right.append(_Checked(cell, check.plan, check.problems))
    if wrong and (options.on_error == "stop" or not right):
        say(f"{len(wrong)} of {len(cells)} cells are wrong, and nothing was run; sweep.on_error=skip leaves them out")
        return 2
    runs = [{"id": cell.id, "varied": cell.varied} for cell in cells]
    if problems := objective_problems(options, [plan for _, plan, _ in right], runs):
        print_problems(problems)
        return ConfigError.exit_code
    for cell, errors in wrong:
        _refuse(cell, errors, options)
    equal = equal_work([plan for _, plan, _ in right], [warnings for *_, warnings in right])
    built: set[str] = set()
    for number, checked in enumerate(right):
        if number in equal:
            _mark_equal(checked, right[equal[number]].cell, options)
        elif not _kept(checked.cell, checked.plan, options):
            _build(checked.cell, checked.plan, built, options)
    return 0


def _errors(problems: Sequence[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity == "error"]


def _mark_equal(checked: _Checked, first: Cell, options: SweepOptions) -> None:
    """Give a cell that does the same as another one a result that says so."""
    cell = checked.cell
    problem = no_difference(cell.title, first.title, checked.warnings)
    print_problems([problem])
    description = _describe(cell, {}, options)
    result = failed_result(description, problems_as_json([problem])["problems"], "same")
    write_json(cell.folder / RESULT, result | {"same_as": first.id})


def describe_if_new(cell: Cell, options: SweepOptions) -> bool:
    """Check and describe a cell that this sweep has not prepared, because its sweeper chose it later.

    Args:
        cell: The cell. Its folder exists and is locked.
        options: The options of the sweep.

    Returns:
        Whether the cell can run; if not, its result says why.

    Raises:
        BmfgraphError: The cell's folder cannot be written.
    """
    description, result = read_json(cell.folder / CELL), read_json(cell.folder / RESULT)
    if description is not None and description["sweep"] == options.id:
        return result is None or result["status"] not in ("refused", "same")
    check = cell.job.check(output_folder=cell.folder, overwrite=True)
    if errors := _errors(check.problems):
        print_problems(errors)
        _refuse(cell, errors, options)
        return False
    if (first := _measured_equal(cell, check.plan, options)) is not None:
        _mark_equal(_Checked(cell, check.plan, check.problems), first, options)
        return False
    _kept(cell, check.plan, options)
    return True


def _measured_equal(cell: Cell, plan: Plan, options: SweepOptions) -> Cell | None:
    """Return a cell that this sweep has measured already, and that does the same."""
    work = work_hash(plan)
    for path in sorted(cell.folder.parent.glob(f"*/{RESULT}")):
        result = read_json(path)
        measured = result is not None and result["sweep"] == options.id and result["status"] == "ok"
        if result is not None and measured and result["fingerprint"].get("plan") == work:
            return replace(cell, varied=result["varied"], folder=path.parent)
    return None


def _describe(cell: Cell, current: Mapping[str, Any], options: SweepOptions) -> dict[str, Any]:
    """Write a cell's description, with its current fingerprint, for the child process that runs it."""
    description = {
        "id": cell.id,
        "sweep": options.id,
        "varied": dict(cell.varied),
        "overrides": list(cell.overrides),
        "command": cell.command,
        "ship": cell.ship,
        "left_out": list(cell.left_out),
        "pipeline": cell.job.spec.pipeline.name if cell.job.spec.pipeline else "",
        "cut_short": cell.job.spec.cut_short,
        "reference": cell.reference,
        "fingerprint": dict(current),
        "settings": _settings(options),
        "data": dict(cell.job.config),
    }
    write_json(cell.folder / CELL, description)
    return description


def _settings(options: SweepOptions) -> dict[str, Any]:
    """Return the options that the child process needs."""
    return {"repeats": options.repeats, "warmup": options.warmup, "timeout": options.timeout}


def _refuse(cell: Cell, errors: Sequence[Problem], options: SweepOptions) -> None:
    description = _describe(cell, {}, options)
    write_json(cell.folder / RESULT, failed_result(description, problems_as_json(errors)["problems"], "refused"))


def _kept(cell: Cell, plan: Plan, options: SweepOptions) -> bool:
    """Whether an earlier sweep measured the cell, and nothing has changed since; log any changes."""
    current = fingerprint(plan, {name: value for name, value in _settings(options).items() if name != "timeout"})
    before = read_json(cell.folder / RESULT)
    description = _describe(cell, current, options)
    if before is not None and before["status"] == "ok" and options.resume:
        changed = changes(current, before["fingerprint"])
        if not changed and all(is_regular(cell.folder / Path(path).name) for path in before["outputs"].values()):
            say(f"{cell.title}: measured before, kept")
            head = result_head(description) | {"created": before.get("created"), "kept": True}
            write_json(cell.folder / RESULT, before | head)
            return True
        say(f"{cell.title}: measured again because: {', '.join(changed) or 'its outputs are missing'}")
    with oserror_as_sweep_error(cell.folder):
        (cell.folder / RESULT).unlink(missing_ok=True)
    return False


def _build(cell: Cell, plan: Plan, built: set[str], options: SweepOptions) -> None:
    """Build the engines that no earlier cell has built; a cell whose engine cannot be built has failed."""
    missing = [engine.path for _, engine in plan.engines() if engine.build is not None and engine.path not in built]
    if not missing:
        return
    try:
        with show_progress(bool(cell.job.spec.progress)) as progress:
            prepare_engines(plan, progress=progress)
        built.update(missing)
    except BmfgraphError as error:
        print_problems(error.problems)
        description = _describe(cell, {}, options)
        write_json(cell.folder / RESULT, failed_result(description, problems_as_json(error.problems)["problems"]))
