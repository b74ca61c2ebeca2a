"""Log messages and problems, and print them for people or programs."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bmfgraph.errors import Problem

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "SCHEMA",
    "console_output",
    "logger",
    "print_problems",
    "problem_table",
    "problems_as_json",
    "say",
    "stdout_console",
    "write_stdout",
]

SCHEMA = 1
"""Version of the JSON output."""
_COLORS = {"error": "bold red", "warning": "yellow"}


logger = logging.getLogger("bmfgraph")
"""Receives every message of bmfgraph. Only the command line prints them: see :func:`console_output`."""
# Without a handler, Python itself would print warnings.
logger.addHandler(logging.NullHandler())


class _StderrHandler(logging.Handler):
    """Write each message on standard error, after the name of the program."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None:
            # stderr may be closed.
            with contextlib.suppress(OSError, ValueError):
                print(f"bmfgraph: {record.getMessage()}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def console_output() -> Iterator[None]:
    """Print the messages of bmfgraph on standard error while the block runs; within another such block, do nothing."""
    if any(isinstance(handler, _StderrHandler) for handler in logger.handlers):
        yield
        return
    handler, level, propagate = _StderrHandler(), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def say(text: str) -> None:
    """Log a line for the user."""
    logger.info("%s", text)


def print_problems(problems: Iterable[Problem]) -> None:
    """Log each problem with its code and its hint."""
    for problem in problems:
        hint = f"\n  → {problem.hint}" if problem.hint else ""
        level = logging.ERROR if problem.severity == "error" else logging.WARNING
        logger.log(level, "%s[%s]: %s%s", problem.severity, problem.code, problem, hint, extra={"problem": problem})


def write_stdout(text: str, *, exact: bool = False) -> None:
    """Write to standard output.

    Args:
        text: The text.
        exact: Write UTF-8 whatever the encoding of standard output is, for programs and drawings. Otherwise letters
            that the encoding lacks become question marks.
    """
    encoding = sys.stdout.encoding or "utf-8"
    if exact and encoding.lower() != "utf-8":
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode(errors="replace"))
    else:
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))


def stdout_console(pipe_width: int) -> Console:
    """Return a rich console on standard output that prints texts as they are, without markup.

    Args:
        pipe_width: Columns of a pipe or a file, which have no width of their own.
    """
    from rich.console import Console

    width = None if sys.stdout.isatty() else pipe_width
    return Console(width=width, highlight=False, markup=False, emoji=False)


def problem_table(problems: Sequence[Problem]) -> Table:
    """Return a table with a row for each problem: its code, and its place, message and hint below each other."""
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
    """Return the document that ``check --json`` prints.

    Args:
        problems: Errors and warnings.
        plan: Name and hash of the plan, if there is one.
    """
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
                "where": problem.place or problem.path,
                "message": problem.message,
                "hint": problem.hint,
            }
            for problem in problems
        ],
        "plan": plan,
    }
