"""Run the verbs that take a configuration: composed once, or for every run of a sweep."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bmfgraph import error_codes as codes
from bmfgraph.cli.hydra_main import hydra_main
from bmfgraph.cli.signals import INTERRUPTED, ProblemPrinter, end_interrupted, run_command
from bmfgraph.config.overrides import dir_flags, sweeps, title_of, wants_traceback
from bmfgraph.errors import Cancelled, ConfigError
from bmfgraph.system.console import print_problems, repeats_dropped, say

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from bmfgraph.config.grid import Grid
    from bmfgraph.config.variants import Variants

__all__ = ["Request", "batch", "build", "check", "plan", "run"]

Config = dict[str, Any]
Runs = Iterator[tuple[dict[str, str], Config]]
"""The varied keys of each run, and its configuration."""


@dataclass(frozen=True)
class Request:
    """Arguments of a verb that takes a configuration."""

    overrides: tuple[str, ...]
    flags: tuple[str, ...]
    """Hydra's flags, each followed by its value."""
    printer: ProblemPrinter
    """Shows the problems of a failure."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """Overrides, then flags: Hydra's own parser accepts overrides only in one group."""
        return (*self.overrides, *self.flags)


def run(request: Request) -> int:
    """Run a pipeline, or a sweep; return the exit code."""
    if sweeps(request.arguments):
        return _guarded(lambda: _sweep(request), request)
    return _compose_once(lambda config: _run_job(config, request), request)


def build(request: Request) -> int:
    """Build the engines of a pipeline, or of every run of a sweep; return the exit code."""
    if sweeps(request.arguments):
        return _guarded(lambda: _build_runs(request), request)
    return _compose_once(_build_job, request)


def batch(request: Request) -> int:
    """Run a pipeline over many clips; return the exit code."""

    def command() -> int:
        from bmfgraph.config.variants import Variants

        if sweeps(request.arguments):
            raise ConfigError(
                "a batch is not swept",
                path="-m",
                hint="name values that differ from clip to clip in a manifest, or run a batch for each value",
                code=codes.INVALID_ARGUMENT,
            )
        return _batched(Variants.of_arguments(request.arguments))

    return _guarded(command, request)


def _batched(variants: Variants) -> int:
    from bmfgraph.batches.run import run_batch
    from bmfgraph.runner.resources import needs_watching
    from bmfgraph.system.progress import show_progress

    config = variants.config({})
    exit_codes = [0]
    with repeats_dropped(), show_progress(config.get("progress") is not False) as progress:
        isolated = True if needs_watching() else None
        for ended in run_batch(variants.config, progress=progress, isolated=isolated):
            exit_codes.append(ended.exit_code)
    return worst(exit_codes)


def check(request: Request, *, as_json: bool) -> int:
    """Check a configuration, or every run of a sweep; return the exit code."""

    def check_one(config: Config) -> int:
        from bmfgraph.batches.entries import is_manifest, names_remote
        from bmfgraph.cli.check import check_job, show_problems

        if is_manifest(config.get("input")) or names_remote(config.get("input")):
            from bmfgraph.batches.check import check_clips
            from bmfgraph.config.variants import Variants

            result = check_clips(Variants.of_arguments(request.arguments).config)
            return show_problems(list(result.problems), result.plan, as_json=as_json)
        return check_job(config, as_json=as_json)

    def check_runs() -> int:
        from bmfgraph.cli.check_sweep import check_sweep

        grid, compose = _grid(request)
        return check_sweep(grid, compose, as_json=as_json)

    return _guarded(check_runs, request) if sweeps(request.arguments) else _compose_once(check_one, request)


def plan(request: Request, *, form: str, output: str | None) -> int:
    """Print a plan, the plans of a sweep, or the difference of two; return the exit code.

    Args:
        request: Overrides and flags; ``diff A B`` before them compares two plans.
        form: One of ``PLAN_FORMATS``; empty for JSON, or the text of a difference.
        output: The file to write, instead of standard output.
    """

    def plan_one(config: Config) -> int:
        from bmfgraph.cli.plan import plan_job

        plan_job(config, form or "--json", output)
        return 0

    if request.overrides[:1] == ("diff",):
        return _guarded(lambda: _diff((*request.overrides[1:], *request.flags), form, output), request)
    if sweeps(request.arguments):
        return _guarded(lambda: _plan_runs(request, form or "--json", output), request)
    return _compose_once(plan_one, request)


def _guarded(command: Callable[[], int], request: Request) -> int:
    return run_command(command, debug=lambda: wants_traceback(request.arguments), printer=request.printer)


def _run_job(config: Config, request: Request) -> int:
    from bmfgraph.api import Job
    from bmfgraph.batches.entries import is_manifest, names_clips_at
    from bmfgraph.batches.files import names_store
    from bmfgraph.runner.clips import names_of
    from bmfgraph.runner.resources import needs_watching
    from bmfgraph.system.progress import show_progress

    clips = config.get("input")
    if config.get("journal") or is_manifest(clips) or names_clips_at(clips):
        from bmfgraph.config.variants import Variants

        return _batched(Variants.of_arguments(request.arguments))
    job = Job.from_config(config)
    isolated = job.spec.isolated or needs_watching()
    with repeats_dropped(), show_progress(bool(job.spec.progress)) as progress:
        if names_of(job.config) is None:
            if names_store(config):
                from bmfgraph.batches.staging import run_clip

                return run_clip(config, None, progress or (lambda _: None), isolated).exit_code
            return job.run(progress=progress, isolated=isolated).exit_code
        exit_codes = []
        for ended in job.run_each(progress=progress, isolated=isolated):
            if ended.error is not None:
                say(f"{ended.clip}:")
                print_problems(ended.error.problems)
            exit_codes.append(ended.exit_code)
    failed = sum(code not in (0, 3) for code in exit_codes)
    say(f"{len(exit_codes)} clips: {len(exit_codes) - failed} done, {failed} failed")
    return worst(exit_codes)


def _build_job(config: Config) -> int:
    from bmfgraph.api import Job
    from bmfgraph.system.progress import show_progress

    job = Job.from_config(config)
    with show_progress(bool(job.spec.progress)) as progress:
        for one in job.clips():
            one.build(progress=progress)
    return 0


# ------------------------------------------------------------------------------------------------- sweeps


def _grid(request: Request) -> tuple[Grid, Callable[[Sequence[str]], Config]]:
    """Return the runs of a sweep, and a function that composes a run's overrides."""
    from bmfgraph.config.compose import composed, expanded

    dirs = dir_flags(request.arguments)
    return expanded(request.arguments), lambda overrides: composed([*overrides, *dirs])


def _configurations(request: Request) -> tuple[int, Runs]:
    """Return the number of runs, and an iterator that composes them."""
    grid, compose = _grid(request)
    return len(grid.runs), (
        (varied, compose(overrides)) for overrides, varied in zip(grid.runs, grid.varied, strict=True)
    )


def _plan_runs(request: Request, form: str, output: str | None) -> int:
    from bmfgraph.cli.plan import plan_runs

    count, runs = _configurations(request)
    if count > 1 and form != "--json" and (output is not None or form in ("--svg", "--png", "--bmf")):
        raise ConfigError(
            f"{count} runs cannot all be written to {output or 'one file'!r}",
            path=form if output is None else "--output",
            hint="take --json, --table or --mermaid without --output, or name one run",
            code=codes.INVALID_ARGUMENT,
        )
    plan_runs(runs, form, output)
    return 0


def _build_runs(request: Request) -> int:
    for varied, config in _configurations(request)[1]:
        say(title_of(varied))
        _build_job(config)
    return 0


def _sweep(request: Request) -> int:
    from hydra.core.hydra_config import HydraConfig

    from bmfgraph.api import Job
    from bmfgraph.batches.launchers import run_cells
    from bmfgraph.sweep.run import cell_job, run_sweep

    arguments = list(request.arguments)
    grid, compose = _grid(request)

    def job(config: Config) -> tuple[int, float | None]:
        return 0, cell_job(Job.from_config(config), HydraConfig.get().overrides.task, arguments, grid.swept)

    def launch(launched: Sequence[str]) -> int:
        # The sweep adds its own overrides at the end.
        added = launched[len(arguments) :]
        return _launch(job, (*request.overrides, *added, *request.flags))

    try:
        return run_sweep(arguments, grid, lambda overrides: Job.from_config(compose(overrides)), launch, run_cells)
    except KeyboardInterrupt as interruption:
        raise Cancelled(str(interruption) or INTERRUPTED, hint="repeat the command to continue the sweep") from None


# --------------------------------------------------------------------------------------------------- diff


def _diff(arguments: Sequence[str], form: str, output: str | None) -> int:
    """Run ``plan diff A B COMMON...``; A and B are overrides, several of them in quotes."""
    from bmfgraph.cli.plan import diff_job
    from bmfgraph.config.compose import composed

    if any(argument.startswith("-") for argument in (*arguments, "-", "-")[:2]):
        raise ConfigError(
            "diff takes two sets of overrides, then the overrides of both",
            path="plan",
            hint='plan diff engine=fp32 "engine=fp16 engine.batch=4" pipeline=super_resolution',
            code=codes.INVALID_ARGUMENT,
        )
    shared = [argument for argument in arguments if argument.startswith("pipeline=")]
    if len(shared) == 1 and shared[0] in arguments[:2] and len(arguments) > 2:
        # The pipeline was written first, and belongs to both.
        arguments = [*(argument for argument in arguments if argument != shared[0]), shared[0]]
    first, second, *common = arguments
    configs = (composed([*_split(overrides), *common]) for overrides in (first, second))
    return diff_job(*configs, form=form, output=output)


def _split(overrides: str) -> list[str]:
    """Split several overrides in one argument, as a shell would."""
    try:
        return shlex.split(overrides)
    except ValueError as error:
        raise ConfigError(
            f"{overrides!r} cannot be split ({error})",
            path="plan diff",
            hint="close the quotes in it",
            code=codes.INVALID_OVERRIDE,
        ) from None


# ---------------------------------------------------------------------------------------------- composing


def _compose_once(job: Callable[[Config], int], request: Request) -> int:
    """Compose the configuration and do the job with it; return the exit code."""
    config: Config | None = None

    def command() -> int:
        from bmfgraph.config.compose import composed

        nonlocal config
        config = composed(request.arguments)
        return job(config)

    return run_command(command, debug=lambda: wants_traceback(request.arguments, config), printer=request.printer)


def _launch(job: Callable[[Config], tuple[int, float | None]], arguments: Sequence[str]) -> int:
    """Let Hydra compose the configuration of each run of a sweep, and do the job with it.

    Args:
        job: Returns its exit code, and a value for Hydra's sweeper, such as an objective.
        arguments: Overrides and Hydra's flags.

    Returns:
        The worst exit code.

    Raises:
        ConfigError: Hydra cannot compose a run.
    """
    from bmfgraph.config.compose import errors_of_hydra, plain

    exit_codes: list[int] = []

    def task(config: DictConfig) -> float | None:
        # A failed run reports NaN to the sweeper.
        value: float | None = math.nan

        def command() -> int:
            nonlocal value
            code, value = job(plain(config))
            return code

        exit_codes.append(run_command(command, debug=lambda: wants_traceback(arguments, config)))
        return value

    try:
        with errors_of_hydra(arguments):
            hydra_main(task, arguments)
    except SystemExit as end:
        # A cancelled run ends all runs.
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except KeyboardInterrupt as interruption:
        return end_interrupted(interruption)
    return worst(exit_codes)


def worst(exit_codes: Sequence[int]) -> int:
    """Return the exit code of many runs: a failed run counts more than one that has lost frames (3)."""
    return max(exit_codes, key=lambda code: (code not in (0, 3), code), default=0)
