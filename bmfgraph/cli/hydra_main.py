"""Call Hydra's main function: for sweeps, and for the flags that show how a configuration is composed."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bmfgraph import error_codes as codes
from bmfgraph.cli.signals import ProblemPrinter, run_command
from bmfgraph.config.overrides import free_node_fields, literal_paths, overrides_of, wants_traceback
from bmfgraph.errors import ConfigError
from bmfgraph.system.console import write_stdout

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = ["SHOWING", "hydra_main", "show_command"]

_WITH_CFG = ("--resolve", "--package")
SHOWING = ("--cfg", "--info", "--hydra-help", *_WITH_CFG)
"""Flags that show something instead of doing the work."""


def hydra_main(task: Callable[[DictConfig], float | None], arguments: Sequence[str]) -> None:
    """Let Hydra's main function do what the arguments say. It raises exceptions instead of printing them.

    Args:
        task: Called with the configuration of each run.
        arguments: Overrides, then Hydra's flags.
    """
    import hydra

    rest, search = overrides_of(free_node_fields(literal_paths(arguments)))
    sys.argv = ["bmfgraph", *search, *rest]
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra.main(version_base="1.3", config_path="pkg://bmfgraph.conf", config_name="config")(task)()
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before


def show_command(overrides: Sequence[str], flags: Sequence[str], printer: ProblemPrinter) -> int:
    """Print what ``--cfg``, ``--info`` or ``--hydra-help`` ask for, and return the exit code.

    Args:
        overrides: Overrides.
        flags: Hydra's flags, each followed by its value.
        printer: Shows the problems of a failure.
    """
    return run_command(lambda: _show(overrides, flags), debug=lambda: wants_traceback(overrides), printer=printer)


def _show(overrides: Sequence[str], flags: Sequence[str]) -> int:
    from bmfgraph.config.compose import errors_of_hydra
    from bmfgraph.config.resolution import limited_resolution

    asked = [flag for flag in (*SHOWING, "--multirun") if flag in flags and flag not in _WITH_CFG]
    if len(asked) > 1:
        raise _wrong(f"{' and '.join(asked)} exclude each other", "leave one of them out")
    if wrong := [flag for flag in _WITH_CFG if flag in flags and "--cfg" not in flags]:
        raise _wrong(f"{wrong[0]} goes with --cfg", "add --cfg job, or leave it out")
    output, messages = io.StringIO(), io.StringIO()
    streams = contextlib.redirect_stdout(output), contextlib.redirect_stderr(messages)
    try:
        with errors_of_hydra(overrides), limited_resolution(), streams[0], streams[1]:
            hydra_main(lambda config: None, [*overrides, *flags])
    except SystemExit as end:
        if end.code:
            raise _wrong(messages.getvalue().strip(), "see python -m bmfgraph --hydra-help") from None
    write_stdout(output.getvalue())
    return 0


def _wrong(text: str, hint: str) -> ConfigError:
    return ConfigError(text, hint=hint, code=codes.INVALID_ARGUMENT)
