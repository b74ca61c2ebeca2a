"""Check a sweep and all of its runs: ``check -m``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bmfgraph.api import Job
from bmfgraph.cli.check import as_data, show_problems
from bmfgraph.config.grid import Grid
from bmfgraph.config.overrides import title_of
from bmfgraph.errors import BmfgraphError, Problem
from bmfgraph.plan.plan import Plan
from bmfgraph.sweep.cells import identity
from bmfgraph.sweep.validate import validated_options, vetted_references
from bmfgraph.system.console import problems_as_json, say, write_stdout

__all__ = ["check_sweep"]


_Run = tuple[dict[str, str], dict[str, Any] | list[Problem]]
"""The varied keys of a run with their values, and its configuration or the problems of composing it."""


def check_sweep(grid: Grid, compose: Callable[[Sequence[str]], dict[str, Any]], *, as_json: bool = False) -> int:
    """Print the problems of the sweep and of each run, and return the exit code: 2 with an error, else 0.

    Args:
        grid: The runs of the sweep. Their outputs are checked where the sweep would write them.
        compose: Composes a run's configuration from its overrides.
        as_json: Print one JSON document.
    """
    runs: list[_Run] = []
    for run, varied in zip(grid.runs, grid.varied, strict=True):
        try:
            runs.append((varied, compose(run)))
        except BmfgraphError as error:
            runs.append((varied, list(error.problems)))
    root, problems = _check_options(grid, [data for _, data in runs if isinstance(data, dict)])
    return _as_document(problems, runs, root) if as_json else _as_text(problems, runs, root)


def _as_text(problems: list[Problem], runs: Sequence[_Run], root: Path) -> int:
    code = 0
    if problems:
        say("the sweep")
        code = show_problems(problems)
    for varied, data in runs:
        say(title_of(varied))
        code = max(code, show_problems(*_check(data, root)))
    return code


def _as_document(problems: list[Problem], runs: Sequence[_Run], root: Path) -> int:
    documents = [{"run": varied, **as_data(*_check(data, root))} for varied, data in runs]
    whole = problems_as_json(problems)
    del whole["plan"]
    for count in ("errors", "warnings"):
        whole[count] += sum(document[count] for document in documents)
    whole["ok"] = not whole["errors"]
    write_stdout(json.dumps({**whole, "runs": documents}, indent=2, ensure_ascii=False) + "\n", exact=True)
    return 2 if whole["errors"] else 0


def _check_options(grid: Grid, datas: Sequence[dict[str, Any]]) -> tuple[Path, list[Problem]]:
    """Return the folder of the cells, and the problems of the sweep itself."""
    if not datas:
        return Path(), []
    root = Path()
    try:
        options = validated_options(grid, datas[0])
        root = Path(options.dir) / "cells"
        vetted_references(options, [{"id": str(place), "varied": varied} for place, varied in enumerate(grid.varied)])
    except BmfgraphError as error:
        return root, list(error.problems)
    return root, []


def _check(data: dict[str, Any] | list[Problem], root: Path) -> tuple[list[Problem], Plan | None]:
    if isinstance(data, list):
        return data, None
    # The sweep's own options are checked once, in _check_options.
    result = Job.from_config({**data, "sweep": None}).check(output_folder=root / identity(data))
    return list(result.problems), result.plan
