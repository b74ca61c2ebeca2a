"""Check a configuration and print every problem at once: the verb ``check``."""

from __future__ import annotations

import sys
from typing import Any

from bmfgraph.api import Job
from bmfgraph.errors import Problem
from bmfgraph.plan.plan import Plan
from bmfgraph.system.console import problem_table, problems_as_json, terminal_console, write_json, write_stdout

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
        write_json(as_data(problems, plan))
        return 2 if errors else 0
    warnings = len(problems) - errors
    counts = [
        f"{count} {noun}{'s' * (count != 1)}" for count, noun in ((errors, "error"), (warnings, "warning")) if count
    ]
    name = f"{plan.name}: " if plan is not None and plan.name else ""
    _print_problems(problems)
    write_stdout(f"{name}{', '.join(counts) or 'nothing is wrong'}\n")
    return 2 if errors else 0


def _print_problems(problems: list[Problem]) -> None:
    """Print problems: in colours and as wide as the terminal, or as plain lines in a pipe."""
    if problems and sys.stdout.isatty():
        console = terminal_console()
        with console.capture() as captured:
            console.print(problem_table(problems))
        write_stdout(captured.get(), colored=True)
        return
    for problem in problems:
        text = f"{problem}\n→ {problem.hint}" if problem.hint else str(problem)
        # A name with a newline must not begin a line of its own.
        indented = text.replace("\n", f"\n{' ' * 14}")
        write_stdout(f"{problem.severity:<7} {problem.code}  {indented}\n")
