"""``check``: everything that can be found wrong with a configuration before a frame is decoded, all at once."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from bmfgraph.errors import BmfgraphError, Problem, RunError
from bmfgraph.outputs import redirected
from bmfgraph.plan import Plan
from bmfgraph.preflight import errors_before, warnings_before
from bmfgraph.survey import survey_job
from bmfgraph.telling import problem_table, problems_as_json, show

__all__ = ["as_data", "check_job", "find_problems", "show_problems"]


def check_job(data: dict[str, Any], *, as_json: bool = False) -> int:
    """Print what is wrong, and return the exit code: 2 with an error, 0 without."""
    plan, problems = find_problems(data)
    return show_problems(problems, plan, as_json=as_json)


def find_problems(data: dict[str, Any], folder: Path | None = None) -> tuple[Plan, list[Problem]]:
    """The plan as far as it goes, and all errors and warnings, errors first. ``folder``: where its files will go
    instead.
    """
    plan = survey_job(data)
    moved = plan if folder is None else redirected(plan, folder)
    errors = [*plan.errors, *errors_before(moved, data, here=data.get("target") is None)]
    problems = [_placed(error, problem) for error in errors for problem in error.problems]
    return plan, [*problems, *warnings_before(moved)]


def _placed(error: BmfgraphError, problem: Problem) -> Problem:
    """With its YAML path, where a run would name the node."""
    return replace(problem, path=f"pipeline.nodes.{error.node}") if isinstance(error, RunError) else problem


def as_data(problems: list[Problem], plan: Plan | None) -> dict[str, Any]:
    """What ``check --json`` prints."""
    wrong = any(problem.severity == "error" for problem in problems)
    about = {"name": plan.name, "hash": plan.hash()} if plan is not None and not wrong else None
    return problems_as_json(problems, about)


def show_problems(problems: list[Problem], plan: Plan | None = None, *, as_json: bool = False) -> int:
    """Print them for people or programs; the exit code."""
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        show(json.dumps(as_data(problems, plan), indent=2, ensure_ascii=False) + "\n", exact=True)
        return 2 if errors else 0
    warnings = len(problems) - errors
    counted = [
        f"{count} {word}{'s' * (count != 1)}" for count, word in ((errors, "error"), (warnings, "warning")) if count
    ]
    name = f"{plan.name}: " if plan is not None and plan.name else ""
    show(f"{_listed(problems)}{name}{', '.join(counted) or 'nothing is wrong'}\n")
    return 2 if errors else 0


def _listed(problems: list[Problem]) -> str:
    """In colours, and as wide as it is, in a terminal; else lines that programs can sort out."""
    if problems and sys.stdout.isatty():
        from rich.console import Console

        console = Console(highlight=False, markup=False, emoji=False)
        with console.capture() as captured:
            console.print(problem_table(problems))
        return captured.get()
    return "".join(
        f"{problem.severity:<7} {problem.code}  {problem}\n" + (f"{'→':>15} {problem.hint}\n" if problem.hint else "")
        for problem in problems
    )
