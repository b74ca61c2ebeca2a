"""How errors and warnings are told: as lines for people, or as data for programs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bmfgraph.errors import Problem

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["SCHEMA", "print_problems", "problem_table", "problems_as_json", "say", "write_stdout"]

SCHEMA = 1
"""Of the JSON form."""
_COLORS = {"error": "bold red", "warning": "yellow"}


def say(text: str) -> None:
    """One line for the user on standard error."""
    if sys.stderr is not None:
        # Where nobody can read it, there is nobody to tell.
        with contextlib.suppress(OSError, ValueError):
            print(f"bmfgraph: {text}", file=sys.stderr, flush=True)


def print_problems(problems: Iterable[Problem]) -> None:
    """Say each of them on standard error, with its code."""
    for problem in problems:
        hint = f"\n  → {problem.hint}" if problem.hint else ""
        say(f"{problem.severity}[{problem.code}]: {problem}{hint}")


def write_stdout(text: str, *, exact: bool = False) -> None:
    """Write to standard output. Letters that its encoding lacks become question marks, or, if ``exact``, all is UTF-8:
    what programs read, and drawings.
    """
    encoding = sys.stdout.encoding or "utf-8"
    if exact and encoding.lower() != "utf-8":
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode(errors="replace"))
    else:
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))


def problem_table(problems: Sequence[Problem]) -> Table:
    """A row for each problem: its code, and where, what and what to do under each other."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for problem in problems:
        text = Text(problem.path, style="bold").append(": " if problem.path else "")
        text = Text.assemble(text, problem.message, *([f"\n→ {problem.hint}"] if problem.hint else []))
        table.add_row(Text(f"{problem.severity} {problem.code}", style=_COLORS[problem.severity]), text)
    return table


def problems_as_json(problems: Sequence[Problem], plan: dict[str, Any] | None = None) -> dict[str, Any]:
    """What ``check --json`` prints; ``plan``: name and hash of the plan, if there is one."""
    errors = sum(problem.severity == "error" for problem in problems)
    return {
        "schema": SCHEMA,
        "ok": not errors,
        "errors": errors,
        "warnings": len(problems) - errors,
        "problems": [
            {
                "code": problem.code,
                "severity": problem.severity,
                "where": problem.path,
                "message": problem.message,
                "hint": problem.hint,
            }
            for problem in problems
        ],
        "plan": plan,
    }
