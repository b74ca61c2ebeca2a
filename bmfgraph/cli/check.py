"""Check a configuration and print every problem at once: the verb ``check``."""

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
    """Check a configuration, print its problems, and return the exit code: 2 with an error, else 0.

    Args:
        data: The composed configuration.
        as_json: Print JSON.
    """
    result = Job.from_config(data).check()
    return show_problems(list(result.problems), result.plan, as_json=as_json)


def as_data(problems: list[Problem], plan: Plan | None) -> dict[str, Any]:
    """Return the document that ``check --json`` prints; ``plan`` is the plan, as far as there is one."""
    failed = any(problem.severity == "error" for problem in problems)
    summary = {"name": plan.name, "hash": plan.hash()} if plan is not None and not failed else None
    return problems_as_json(problems, summary)


def show_problems(problems: list[Problem], plan: Plan | None = None, *, as_json: bool = False) -> int:
    """Print problems, and return the exit code: 2 with an error, else 0.

    Args:
        problems: Errors and warnings.
        plan: The plan, if there is one.
        as_json: Print JSON.
    """
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        write_stdout(json.dumps(as_data(problems, plan), indent=2, ensure_ascii=False) + "\n", exact=True)
        return 2 if errors else 0
    warnings = len(problems) - errors
    counts = [
        f"{count} {noun}{'s' * (count != 1)}" for count, noun in ((errors, "error"), (warnings, "warning")) if count
    ]
    name = f"{plan.name}: " if plan is not None and plan.name else ""
    write_stdout(f"{_lines(problems)}{name}{', '.join(counts) or 'nothing is wrong'}\n")
    return 2 if errors else 0


def _lines(problems: list[Problem]) -> str:
    """Format problems: in colours and as wide as the terminal, or as plain lines in a pipe."""
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
