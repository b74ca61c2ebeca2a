"""Before a sweep's first cell runs: all are checked and described, known ones taken over, engines built once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bmfgraph.config.sweep import SweepOptions
from bmfgraph.errors import BmfgraphError, Problem
from bmfgraph.plan.plan import Plan
from bmfgraph.runner.engines import prepare_engines
from bmfgraph.runner.preflight import find_problems
from bmfgraph.sweep.cells import CELL, RESULT, Cell, changes, failed, fingerprint, read_json, write_json, writing
from bmfgraph.system.console import print_problems, problems_as_json, say

__all__ = ["describe_new", "prepare"]


def prepare(cells: Sequence[Cell], options: SweepOptions) -> int:
    """Exit code 2, and nothing done, where a cell is wrong and that stops the sweep; else 0.

    Afterwards every cell is described in its folder, and those that need not run have their results there: wrong ones,
    ones measured before, and ones whose engine cannot be built.
    """
    wrong: list[tuple[Cell, list[Problem]]] = []
    plans: list[tuple[Cell, Plan]] = []
    known: set[Problem] = set()
    for cell in cells:
        plan, problems = find_problems(dict(cell.data), cell.folder)
        errors = [problem for problem in problems if problem.severity == "error"]
        if new := [problem for problem in problems if problem not in known]:
            say(f"{cell.title}:")
            print_problems(new)
        known.update(problem for problem in problems if problem.severity == "warning")
        if errors:
            wrong.append((cell, errors))
        else:
            plans.append((cell, plan))
    if wrong and (options.on_error == "stop" or not plans):
        say(f"{len(wrong)} of {len(cells)} cells are wrong, and nothing was run; sweep.on_error=skip leaves them out")
        return 2
    for cell, errors in wrong:
        _refuse(cell, errors, options)
    _tell_of_likes(plans)
    built: set[str] = set()
    for cell, plan in plans:
        if not _kept(cell, plan, options):
            _build(cell, plan, options, built)
    return 0


def _tell_of_likes(plans: Sequence[tuple[Cell, Plan]]) -> None:
    """Between cells that make the same plan here, such as in precisions that a CPU lacks, nothing can be decided."""
    first: dict[str, Cell] = {}
    for cell, plan in plans:
        like = first.setdefault(plan.hash(), cell)
        if like is not cell:
            say(f"{cell.title}: does the same on this machine as {like.title}")


def describe_new(cell: Cell, options: SweepOptions) -> Mapping[str, Any] | None:
    """What is written down of the cell; written now if this sweep did not foresee it. None for one that is wrong."""
    described, result = read_json(cell.folder / CELL), read_json(cell.folder / RESULT)
    if described is not None and described["sweep"] == options.id:
        return described if result is None or result["status"] != "refused" else None
    plan, problems = find_problems(dict(cell.data), cell.folder)
    if errors := [problem for problem in problems if problem.severity == "error"]:
        print_problems(errors)
        _refuse(cell, errors, options)
        return None
    _kept(cell, plan, options)
    return read_json(cell.folder / CELL)


def _describe(cell: Cell, now: Mapping[str, Any], options: SweepOptions) -> dict[str, Any]:
    """Write down what the cell is, for the process that runs it."""
    described = {
        "id": cell.id,
        "sweep": options.id,
        "varied": dict(cell.varied),
        "overrides": list(cell.overrides),
        "command": cell.command,
        "reference": cell.reference,
        "fingerprint": dict(now),
        "settings": _settings(options),
        "data": dict(cell.data),
    }
    write_json(cell.folder / CELL, described)
    return described


def _settings(options: SweepOptions) -> dict[str, Any]:
    """What of the options the process needs that runs the cell."""
    return {"repeats": options.repeats, "warmup": options.warmup, "timeout": options.timeout}


def _refuse(cell: Cell, errors: Sequence[Problem], options: SweepOptions) -> None:
    described = _describe(cell, {}, options)
    write_json(cell.folder / RESULT, failed(described, problems_as_json(errors)["problems"], "refused"))


def _kept(cell: Cell, plan: Plan, options: SweepOptions) -> bool:
    """Whether an earlier sweep measured the cell and nothing has changed since; says what has."""
    now = fingerprint(plan, {name: value for name, value in _settings(options).items() if name != "timeout"})
    before = read_json(cell.folder / RESULT)
    _describe(cell, now, options)
    if before is not None and before["status"] == "ok" and options.resume:
        differs = changes(now, before["fingerprint"])
        if not differs and all((cell.folder / Path(path).name).exists() for path in before["outputs"].values()):
            say(f"{cell.title}: measured before, kept")
            write_json(cell.folder / RESULT, before | {"kept": True, "sweep": options.id, "varied": dict(cell.varied)})
            return True
        say(f"{cell.title}: measured again because: {', '.join(differs) or 'its outputs are gone'}")
    with writing(cell.folder):
        (cell.folder / RESULT).unlink(missing_ok=True)
    return False


def _build(cell: Cell, plan: Plan, options: SweepOptions, built: set[str]) -> None:
    """Build each engine once; a cell whose engine cannot be built has failed."""
    missing = [engine.path for _, engine in plan.engines() if engine.build is not None and engine.path not in built]
    if not missing:
        return
    try:
        prepare_engines(plan, progress=bool(cell.data.get("progress")))
        built.update(missing)
    except BmfgraphError as error:
        print_problems(error.problems)
        described = read_json(cell.folder / CELL) or {}
        write_json(cell.folder / RESULT, failed(described, problems_as_json(error.problems)["problems"]))
