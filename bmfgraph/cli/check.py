"""``check``: everything that can be found wrong with a configuration before a frame is decoded, all at once."""

from __future__ import annotations

import json
import sys
from typing import Any

from bmfgraph.api import Job
from bmfgraph.errors import Problem
from bmfgraph.plan.plan import Plan
from bmfgraph.system.console import problem_table, problems_as_json, write_stdout

__all__ = ["as_data", "check_job", "show_problems"]


def check_job(data: dict[str, Any], *, as_json: bool = False) -> int:
    """Print what is wrong, and return the exit code: 2 with an error, 0 without."""
    result = Job.from_config(data).check()
    return show_problems(list(result.problems), result.plan, as_json=as_json)


def as_data(problems: list[Problem], plan: Plan | None) -> dict[str, Any]:
    """What ``check --json`` prints."""
    wrong = any(problem.severity == "error" for problem in problems)
    about = {"name": plan.name, "hash": plan.hash()} if plan is not None and not wrong else None
    return problems_as_json(problems, about)


def show_problems(problems: list[Problem], plan: Plan | None = None, *, as_json: bool = False) -> int:
    """Print them for people or programs; the exit code."""
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        write_stdout(json.dumps(as_data(problems, plan), indent=2, ensure_ascii=False) + "\n", exact=True)
        return 2 if errors else 0
    warnings = len(problems) - errors
    counted = [
        f"{count} {word}{'s' * (count != 1)}" for count, word in ((errors, "error"), (warnings, "warning")) if count
    ]
    name = f"{plan.name}: " if plan is not None and plan.name else ""
    write_stdout(f"{_listed(problems)}{name}{', '.join(counted) or 'nothing is wrong'}\n")
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
