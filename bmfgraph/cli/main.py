"""Run the command line: an optional verb, then Hydra's group choices, overrides and flags."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence

import click

from bmfgraph import error_codes as codes
from bmfgraph.cli.commands import COMMANDS
from bmfgraph.cli.signals import ProblemPrinter, end_interrupted
from bmfgraph.cli.verb import usage_error
from bmfgraph.errors import ConfigError, Problem
from bmfgraph.system.console import console_output, print_problems
from bmfgraph.system.stdio import open_standard_streams

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``python -m bmfgraph ARGUMENTS``, and exit.

    Args:
        arguments: The arguments; by default those of the process.

    Raises:
        SystemExit: Always. 0: done, 1: the run failed, 2: the arguments or the configuration are wrong, 130: stopped.
    """
    open_standard_streams()
    with console_output(), _foreign_warnings_muted():
        sys.exit(_run(list(sys.argv[1:] if arguments is None else arguments)))


@contextlib.contextmanager
def _foreign_warnings_muted() -> Iterator[None]:
    """Mute the warnings of libraries, which have no code and no advice, unless ``python -W`` asks for them."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        yield


def _run(arguments: list[str]) -> int:
    printer: ProblemPrinter = print_problems
    if arguments[:1] == ["check"] and "--json" in arguments:
        printer = _print_problems_as_json
    try:
        code = _invoke(arguments, printer)
        sys.stdout.flush()
    except ConfigError as error:
        printer(error.problems)
        return error.exit_code
    except KeyboardInterrupt as interruption:
        return end_interrupted(interruption)
    except BrokenPipeError:
        # The reader closed the pipe.
        _drop_output()
        return 1
    except OSError as error:
        _drop_output()
        print_problems(
            [
                Problem(
                    "", f"the output cannot be written ({error.strerror})", codes.INVALID_ARGUMENT, "write it elsewhere"
                )
            ]
        )
        return 1
    return code


def _invoke(arguments: list[str], printer: ProblemPrinter) -> int:
    try:
        with COMMANDS.make_context("python -m bmfgraph", arguments, obj=printer) as context:
            return int(COMMANDS.invoke(context))
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        raise usage_error(error, COMMANDS.commands) from None


def _drop_output() -> None:
    """Point standard output at nothing, so that the interpreter's shutdown does not raise."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _print_problems_as_json(problems: Iterable[Problem]) -> None:
    from bmfgraph.cli.check import show_problems

    show_problems(list(problems), as_json=True)
