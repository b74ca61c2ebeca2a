"""Verbs that take a configuration: composed by Hydra, once or for every run of a sweep."""

from __future__ import annotations

import gc
import importlib
import math
import os
import shlex
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bmfgraph.cli.help import PLAN_FORMATS
from bmfgraph.cli.overlap import run_in_child
from bmfgraph.cli.signals import ProblemPrinter, run_command, stop_listening
from bmfgraph.config.overrides import (
    CONFIG_DIR,
    dir_flags,
    flags_last,
    free_node_fields,
    literal_paths,
    sweeps,
    title_of,
)
from bmfgraph.errors import Cancelled, ConfigError
from bmfgraph.system.console import print_problems, say

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = ["launch"]

_INTERRUPTED = "interrupted (Ctrl-C)"


def launch(verb: str, words: list[str], flags: dict[str, str], heard: list[int], told: ProblemPrinter) -> int:
    """Do what the verb says with the configuration, or configurations, of these words; the exit code."""
    debug = "debug=true" in words
    if verb == "plan" and words[:1] == ["diff"]:
        return run_command(lambda: _diff(flags_last(words[1:]), flags), heard, debug=debug)
    words = flags_last(words)
    if verb == "run" and sweeps(words):
        return run_command(lambda: _sweep(words, heard), heard, debug=debug)
    if verb != "run" and sweeps(words):
        return run_command(lambda: _each(verb, words, flags), heard, debug=debug, printer=told)
    if verb in ("check", "plan") and all(word in CONFIG_DIR for word in words if word.startswith("-")):
        # Hydra's main composes twice; whoever runs nothing need not wait for that.
        return run_command(lambda: _do(verb, _composed_beside(words, verb), flags), heard, debug=debug, printer=told)
    return _compose_and_run(lambda data: (_do(verb, data, flags), None), words, heard, told)


def _each(verb: str, words: Sequence[str], flags: dict[str, str]) -> int:
    """Do it for every run of a sweep, one after the other; the worst exit code."""
    from bmfgraph.config.compose import composed, expanded

    gc.enable()
    grid, dirs = expanded(words), dir_flags(words)
    form = _form(flags)
    if len(grid.runs) > 1 and form != "--json" and ("--output" in flags or form in ("--svg", "--png", "--bmf")):
        raise ConfigError(
            f"{len(grid.runs)} runs cannot all be written to {flags.get('--output', 'one file')!r}",
            path="--output" if "--output" in flags else form,
            hint="take --json, --table or --mermaid without --output, or name one run",
            code="E114",
        )

    def compose(run: Sequence[str]) -> dict[str, Any]:
        return composed([*run, *dirs])

    if verb == "check":
        from bmfgraph.cli.check_sweep import check_sweep

        return check_sweep(grid, compose, as_json="--json" in flags)
    runs = ((varied, compose(run)) for run, varied in zip(grid.runs, grid.varied, strict=True))
    if verb == "plan":
        from bmfgraph.cli.plan import plan_runs

        plan_runs(runs, form, flags.get("--output"))
        return 0
    for varied, data in runs:
        say(title_of(varied))
        _build(data)
    return 0


def _do(verb: str, data: dict[str, Any], flags: dict[str, str]) -> int:
    """Do what the verb says with one configuration. Only now is anything imported that only some verbs need."""
    if verb == "check":
        from bmfgraph.cli.check import check_job

        return check_job(data, as_json="--json" in flags)
    if verb == "plan":
        from bmfgraph.cli.plan import plan_job

        plan_job(data, _form(flags), flags.get("--output"))
        return 0
    # For as long as a command starts, __main__ has it switched off.
    gc.enable()
    if verb == "build":
        _build(data)
        return 0
    from bmfgraph.api import Job
    from bmfgraph.system.progress import show_progress

    job = Job.from_config(data)
    with show_progress(bool(job.spec.progress)) as progress:
        job.run(progress=progress)
    return 0


def _build(data: dict[str, Any]) -> None:
    from bmfgraph.api import Job
    from bmfgraph.system.progress import show_progress

    job = Job.from_config(data)
    with show_progress(bool(job.spec.progress)) as progress:
        job.build(progress=progress)


def _form(flags: dict[str, str]) -> str:
    """How `plan` shows a pipeline."""
    forms = [flag for flag in flags if flag in PLAN_FORMATS]
    if len(forms) > 1:
        raise ConfigError(f"{' and '.join(forms)}: one form at a time", hint="leave one of them out", code="E114")
    return forms[0] if forms else "--json"


def _sweep(words: list[str], heard: list[int]) -> int:
    from hydra.core.hydra_config import HydraConfig

    from bmfgraph.api import Job
    from bmfgraph.config.compose import composed, expanded
    from bmfgraph.sweep.run import cell_job, run_sweep

    gc.enable()
    grid, dirs = expanded(words), dir_flags(words)

    def job(data: dict[str, Any]) -> tuple[int, float | None]:
        return 0, cell_job(Job.from_config(data), HydraConfig.get().overrides.task, words, grid.swept)

    try:
        return run_sweep(
            words,
            grid,
            lambda overrides: Job.from_config(composed([*overrides, *dirs])),
            lambda launched: _compose_and_run(job, flags_last(list(launched)), heard, print_problems),
        )
    except KeyboardInterrupt as why:
        raise Cancelled(str(why) or _INTERRUPTED, hint="the same command goes on where this one was") from None


def _diff(words: list[str], flags: dict[str, str]) -> int:
    """``plan diff A B COMMON...``: A and B are overrides, several of them in quotes."""
    from bmfgraph.cli.plan import diff_job
    from bmfgraph.config.compose import composed

    if any(word.startswith("-") for word in (*words, "-", "-")[:2]):
        raise ConfigError(
            "diff takes two sets of overrides, and then what both have",
            path="plan",
            hint='plan diff engine=fp32 "engine=fp16 engine.batch=4" pipeline=super_resolution',
            code="E114",
        )
    first, second, *common = words
    if others := [flag for flag in flags if flag in PLAN_FORMATS and flag != "--json"]:
        raise ConfigError(f"diff takes no {others[0]}", hint="it prints text, or --json", code="E114")
    datas = (composed([*_split(words), *common]) for words in (first, second))
    return diff_job(*datas, as_json="--json" in flags, output=flags.get("--output"))


def _split(words: str) -> list[str]:
    """Several overrides in one word, as a shell would take them apart."""
    try:
        return shlex.split(words)
    except ValueError as error:
        raise ConfigError(
            f"{words!r} cannot be taken apart ({error})", path="plan diff", hint="close the quotes in it", code="E105"
        ) from None


def _composed_beside(words: Sequence[str], verb: str) -> dict[str, Any]:
    """What they compose, by another process while this one imports what comes after."""

    def compose() -> dict[str, Any]:
        from bmfgraph.config.compose import composed

        return composed(words)

    def import_the_rest() -> None:
        import av  # noqa: F401

        importlib.import_module("bmfgraph.cli.check" if verb == "check" else "bmfgraph.cli.plan")

    # Where Hydra is there already, little is left to do.
    alone = threading.active_count() == 1 and "hydra" not in sys.modules
    return run_in_child(compose, import_the_rest) if alone else compose()


def _compose_and_run(
    do: Callable[[dict[str, Any]], tuple[int, float | None]], words: list[str], heard: list[int], told: ProblemPrinter
) -> int:
    """Let Hydra compose the configuration, once or for each run, and do it; the worst exit code.

    ``do``: its exit code, and what Hydra's sweeper is told, such as an objective.
    """
    import hydra

    from bmfgraph.config.compose import composition_error, plain

    codes: list[int] = []

    def task(config: DictConfig) -> float | None:
        # Of a run that fails a sweeper learns that it has no value.
        value: float | None = math.nan

        def job() -> int:
            nonlocal value
            code, value = do(plain(config))
            return code

        codes.append(run_command(job, heard, debug=bool(config.get("debug")), printer=told))
        return value

    sys.argv = ["bmfgraph", *free_node_fields(literal_paths(words))]
    # With this set, Hydra lets exceptions out instead of printing them in its own way.
    traced = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra.main(version_base="1.3", config_path="pkg://bmfgraph.conf", config_name="config")(task)()
    except SystemExit as end:
        # argparse ends with 2 for a wrong flag, and has said why.
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except KeyboardInterrupt as why:
        print_problems(Cancelled(str(why) or _INTERRUPTED).problems)
        stop_listening()
        return Cancelled.exit_code
    except BrokenPipeError:
        raise
    except Exception as error:
        if traced:
            raise
        told(composition_error(error, words).problems)
        return ConfigError.exit_code
    finally:
        if not traced:
            del os.environ["HYDRA_FULL_ERROR"]
    return max(codes, default=0)
