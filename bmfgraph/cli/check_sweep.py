"""Check a sweep and all of its runs: the verb ``check`` with ``-m``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bmfgraph.api import Job
from bmfgraph.cli.check import as_data, show_problems
from bmfgraph.config.grid import Grid
from bmfgraph.config.overrides import title_of
from bmfgraph.config.sweep import SweepOptions
from bmfgraph.errors import BmfgraphError, Problem
from bmfgraph.plan.plan import Plan
from bmfgraph.sweep.cells import identity
from bmfgraph.sweep.equal import equal_work, no_difference
from bmfgraph.sweep.files import claim
from bmfgraph.sweep.measurable import objective_problems
from bmfgraph.sweep.validate import pipe_problems, validated_options, validated_references
from bmfgraph.system.console import problems_as_json, say, write_json

__all__ = ["check_sweep"]


class _Checked(NamedTuple):
    """The problems and the plan of a run, as far as it is right."""

    varied: Mapping[str, str]
    problems: list[Problem]
    plan: Plan | None


_Composed = dict[str, Any] | tuple[Problem, ...]
"""The configuration of a run, or the problems that keep it from being composed."""


def check_sweep(grid: Grid, compose: Callable[[Sequence[str]], dict[str, Any]], *, as_json: bool = False) -> int:
    """Print the problems of a sweep and of each of its runs, with the outputs where the sweep would write them.

    Args:
        grid: The runs of the sweep.
        compose: Returns the configuration of a run's overrides.
        as_json: Print one JSON document, instead of text for each run.

    Returns:
        The exit code: 2 if there is an error, else 0.
    """
    configs = [_composed(compose, run) for run in grid.runs]
    root, options, problems = _check_options(grid, [config for config in configs if isinstance(config, dict)])
    runs = list(_check_runs(grid, configs, root))
    right = [run for run in runs if run.plan is not None and not _has_errors(run.problems)]
    plans = [run.plan for run in right if run.plan is not None]
    if options is not None and not problems:
        cells = [{"id": str(number), "varied": run} for number, run in enumerate(grid.varied)]
        problems = objective_problems(options, plans, cells if grid.enumerated else None)
        for number, first in equal_work(plans, [run.problems for run in right]).items():
            run, other = right[number], right[first]
            problems.append(no_difference(title_of(run.varied), title_of(other.varied), run.problems))
    if problems and not as_json:
        say("the sweep")
        show_problems(problems)
    document = problems_as_json(problems)
    del document["plan"]
    documents = []
    for varied, run_problems, plan in runs:
        if not as_json:
            say(title_of(varied))
            show_problems(run_problems, plan)
        documents.append({"run": varied, **as_data(run_problems, plan)})
    for count in ("errors", "warnings"):
        document[count] += sum(run[count] for run in documents)
    document["ok"] = not document["errors"]
    if as_json:
        write_json({**document, "runs": documents})
    return 2 if document["errors"] else 0


def _composed(compose: Callable[[Sequence[str]], dict[str, Any]], run: Sequence[str]) -> _Composed:
    try:
        return compose(run)
    except BmfgraphError as error:
        return error.problems


def _has_errors(problems: Sequence[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def _check_options(grid: Grid, configs: Sequence[dict[str, Any]]) -> tuple[Path, SweepOptions | None, list[Problem]]:
    """Return the folder of the cells, the options, and the problems of the sweep itself."""
    root, options = Path(), None
    if not configs:
        return root, None, []
    try:
        options = validated_options(grid, Job.from_config(configs[0]))
        root = Path(options.dir) / "cells"
        claim(Path(options.dir), write=False)
        validated_references(options, [{"id": str(number), "varied": run} for number, run in enumerate(grid.varied)])
    except BmfgraphError as error:
        return root, options, list(error.problems)
    return root, options, []


def _check_runs(grid: Grid, configs: Sequence[_Composed], root: Path) -> Iterator[_Checked]:
    for varied, config in zip(grid.varied, configs, strict=True):
        if not isinstance(config, dict):
            yield _Checked(varied, list(config), None)
            continue
        # Mistakes in `sweep` are the same for all runs, and are printed once, before them.
        job = Job.from_config({**config, "sweep": None})
        result = job.check(output_folder=root / identity(job), overwrite=True)
        yield _Checked(varied, [*result.problems, *pipe_problems(result.plan)], result.plan)
