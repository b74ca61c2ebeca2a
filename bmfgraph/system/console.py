"""Log messages and problems, and print them for people or programs.

Names come from files, models and servers, and may hold characters that control a terminal. All output of bmfgraph
passes one of the writers here, which show such characters as escapes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bmfgraph.errors import Problem
from bmfgraph.system.stdio import write_errors
from bmfgraph.system.text import UNSAFE, shown

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
    "repeats_dropped",
    "say",
    "stdout_console",
    "terminal_console",
    "write_json",
    "write_stderr",
    "write_stdout",
]

SCHEMA = 1
"""Version of the JSON output."""
_STDERR = 2
"""File descriptor of standard error."""
_REMEMBERED = 1000
"""Messages that are recognised when they are logged again."""
_COLORS = {"error": "bold red", "warning": "yellow"}


logger = logging.getLogger("bmfgraph")
"""Receives every message of bmfgraph. Only the command line prints them: see :func:`console_output`."""
# Without a handler, Python itself would print warnings.
logger.addHandler(logging.NullHandler())


class _StderrHandler(logging.Handler):
    """Write each message on standard error, after the name of the program."""

    def emit(self, record: logging.LogRecord) -> None:
        first, *others = record.getMessage().split("\n")
        # A line that begins with the program's name is a message of its own, so no name may begin one.
        lines = [f"bmfgraph: {first}", *(line if line.startswith("  ") else f"  {line}" for line in others)]
        write_stderr("\n".join(lines) + "\n")


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


@contextlib.contextmanager
def repeats_dropped() -> Iterator[None]:
    """Drop messages, but no errors, that were logged before in the block, such as the engine of each of many runs."""
    seen: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if text in seen and record.levelno < logging.ERROR:
            return False
        if len(seen) < _REMEMBERED:
            seen.add(text)
        return True

    logger.addFilter(is_new)
    try:
        yield
    finally:
        logger.removeFilter(is_new)


def say(text: str) -> None:
    """Log a line for the user."""
    logger.info("%s", text)


def print_problems(problems: Iterable[Problem]) -> None:
    """Log each problem with its code and its hint."""
    for problem in problems:
        hint = f"\n  → {problem.hint}" if problem.hint else ""
        level = logging.ERROR if problem.severity == "error" else logging.WARNING
        logger.log(level, "%s[%s]: %s%s", problem.severity, problem.code, problem, hint, extra={"problem": problem})


def write_stderr(text: str) -> None:
    """Write to standard error, if it is open."""
    stream, line = sys.stderr, shown(text)
    if stream is None:
        return

    def write() -> None:
        stream.write(line)
        stream.flush()

    with contextlib.suppress(OSError, ValueError):
        if _number(stream) == _STDERR:
            write_errors(line.encode(stream.encoding, stream.errors or "strict"), write)
        else:
            # A stream of another kind, such as a test's, is never muted.
            write()


def _number(stream: Any) -> int | None:
    """Return the file descriptor of a stream; None if it has none."""
    try:
        return int(stream.fileno())
    except (AttributeError, OSError, ValueError):
        return None


def write_json(data: Any) -> None:
    """Write JSON to standard output, for programs."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    # They stand inside JSON's texts only.
    write_stdout(UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n", exact=True)


def write_stdout(text: str, *, exact: bool = False, colored: bool = False) -> None:
    """Write to standard output.

    Args:
        text: The text.
        exact: Write UTF-8 whatever the encoding of standard output is, for programs and drawings. Otherwise letters
            that the encoding lacks become question marks.
        colored: The text comes from :func:`terminal_console`, which has shown everything but its own colours.
    """
    text = text if colored else shown(text)
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
    return terminal_console(width=None if sys.stdout.isatty() else pipe_width)


def terminal_console(**settings: Any) -> Console:
    """Return a rich console that prints texts as they are, without markup, and adds only its own colours.

    Args:
        settings: As for rich's Console.
    """
    from rich.console import Console
    from rich.segment import Segment

    class TerminalConsole(Console):
        """Show characters that control a terminal as escapes, before colours are added."""

        def render(self, *args: Any, **kwargs: Any) -> Iterator[Segment]:
            for segment in super().render(*args, **kwargs):
                yield segment if segment.control else Segment(shown(segment.text), segment.style)

    return TerminalConsole(highlight=False, markup=False, emoji=False, **settings)


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
