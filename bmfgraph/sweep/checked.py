"""`check -m`: a sweep and all of its runs, each with its files where the sweep would write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmfgraph.check import as_data, find_problems, show_problems
from bmfgraph.config import Grid
from bmfgraph.errors import BmfgraphError, Problem
from bmfgraph.plan import Plan
from bmfgraph.say import say
from bmfgraph.sweep.cells import identity
from bmfgraph.sweep.vetting import vetted_options, vetted_references
from bmfgraph.telling import problems_as_json, show
from bmfgraph.words import title_of

__all__ = ["check_sweep"]


@dataclass(frozen=True)
class _Checked:
    """A run: what is its own, what was planned of it, and what is wrong."""

    varied: dict[str, str]
    plan: Plan | None
    problems: list[Problem]


def check_sweep(grid: Grid, compose: Callable[[Sequence[str]], dict[str, Any]], *, as_json: bool = False) -> int:
    """Print what is wrong with the sweep and with each run, for programs as one document; the exit code: 2 with an
    error, 0 without.

    ``compose``: a run's configuration from its overrides.
    """
    composed: list[dict[str, Any] | list[Problem]] = []
    for run in grid.runs:
        try:
            composed.append(compose(run))
        except BmfgraphError as error:
            composed.append(list(error.problems))
    root, problems = _vetted(grid, [data for data in composed if isinstance(data, dict)])
    if problems and not as_json:
        say("the sweep")
        show_problems(problems)
    runs = []
    for varied, data in zip(grid.varied, composed, strict=True):
        if not as_json:
            say(title_of(varied))
        checked = _checked(varied, data, root)
        runs.append(checked)
        if not as_json:
            show_problems(checked.problems, checked.plan)
    errors = sum(problem.severity == "error" for problem in (*problems, *(one for run in runs for one in run.problems)))
    if as_json:
        told = [{"run": run.varied, **as_data(run.problems, run.plan)} for run in runs]
        whole = problems_as_json(problems) | {
            "ok": not errors,
            "errors": errors,
            "warnings": sum(one["warnings"] for one in told),
        }
        del whole["plan"]
        show(json.dumps({**whole, "runs": told}, indent=2, ensure_ascii=False) + "\n", exact=True)
    return 2 if errors else 0


def _vetted(grid: Grid, datas: Sequence[dict[str, Any]]) -> tuple[Path, list[Problem]]:
    """The folder of the cells, and what is wrong with the sweep itself."""
    if not datas:
        return Path(), []
    root = Path()
    try:
        options = vetted_options(grid, datas[0])
        root = Path(options.dir) / "cells"
        vetted_references(options, [{"id": str(place), "varied": one} for place, one in enumerate(grid.varied)])
    except BmfgraphError as error:
        return root, list(error.problems)
    return root, []


def _checked(varied: dict[str, str], data: dict[str, Any] | list[Problem], root: Path) -> _Checked:
    if isinstance(data, list):
        return _Checked(varied, None, data)
    return _Checked(varied, *find_problems(data, root / identity(data)))
