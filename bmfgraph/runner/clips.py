"""Prepare the runs of several clips, and report them together."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bmfgraph import error_codes as codes
from bmfgraph.compile.job import CheckResult, compile_job
from bmfgraph.config.job import JobReading
from bmfgraph.errors import ConfigError, MediaError, one_error
from bmfgraph.media.clips import clip_names, relative_name
from bmfgraph.plan.plan import Plan, files_written
from bmfgraph.runner.preflight import preflight_errors, report_path
from bmfgraph.system.console import say
from bmfgraph.system.progress import ProgressCallback

if TYPE_CHECKING:
    from bmfgraph.runner.side_by_side import ClipResult, ClipRun, Work

__all__ = ["merged", "names_of", "of_clip", "of_first_clip", "refuse_several", "run_clips"]

_CLIP_WORD = re.compile(r"(?<!\{)\{(relpath|index)\}(?!\})")
SCHEMA = 1
"""Version of the report of several clips."""


def of_clip(config: Mapping[str, Any], name: str, index: int | str, relative: str | None = None) -> dict[str, Any]:
    """Return a configuration whose nodes read one clip instead of all that ``input`` names.

    Args:
        config: The configuration.
        name: The clip.
        index: Its place in the list, from 0, for the word ``{index}`` of names.
        relative: Text for the word ``{relpath}``; None: the path below the folder that ``input`` names.
    """
    whole = config["input"]
    words = {"index": str(index), "relpath": relative_name(whole, name) if relative is None else relative}

    def replaced(value: Any) -> Any:
        if value == whole:
            return name
        if isinstance(value, str):
            return _CLIP_WORD.sub(lambda word: words[word[1]].replace("{", "{{").replace("}", "}}"), value)
        return {key: replaced(part) for key, part in value.items()} if isinstance(value, Mapping) else value

    named = {key: replaced(config[key]) for key in ("pipeline", "report", "output") if key in config}
    return {**config, **named, "input": name}


def of_first_clip(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the configuration of the first clip where ``input`` is a list; else None."""
    names = names_of(config) if isinstance(config.get("input"), list) else None
    return of_clip(config, names[0], 0) if names else None


def names_of(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the clips that ``input`` names; None for one.

    Raises:
        ConfigError: A list of names cannot be read.
    """
    whole = config.get("input")
    listed = isinstance(whole, list) and all(isinstance(name, str) for name in whole)
    if not listed and not isinstance(whole, str):
        return None
    try:
        return clip_names(tuple(whole) if isinstance(whole, list) else whole)
    except MediaError as error:
        raise ConfigError(str(error), path="input", hint=error.hint, code=error.code) from None
    except OSError:
        # The error of the node that opens it says so.
        return None


def merged(results: Sequence[CheckResult], readings: Mapping[str, JobReading]) -> CheckResult:
    """Return the problems of all clips, and of their names, each once."""
    problems = dict.fromkeys(problem for result in results for problem in result.problems)
    try:
        compiled_clips(readings)
    except ConfigError as error:
        problems |= dict.fromkeys(error.problems)
    return CheckResult(tuple(problems), results[0].plan)


def refuse_several(config: Mapping[str, Any], work: str) -> None:
    """Refuse several clips for work that takes one.

    Raises:
        ConfigError: ``input`` names several.
    """
    names = names_of(config)
    if names is None:
        return
    raise ConfigError(
        f"it names {len(names):,} clips, from {names[0]!r} to {names[-1]!r}, and {work} takes one",
        path="input",
        hint="name one of them; `run`, `check` and `build`, Job.clips() and Job.run_each() take several",
        code=codes.SEVERAL_CLIPS,
    )


def compiled_clips(readings: Mapping[str, JobReading]) -> dict[str, Plan]:
    """Compile the job of each clip, by its name.

    Raises:
        ConfigError: Two of them would write one file.
    """
    plans: dict[str, Plan] = {}
    owners: dict[Path, str] = {}
    for name, reading in readings.items():
        plan = plans[name] = compile_job(reading)
        written = files_written(plan)
        if not plan.errors and (report := report_path(reading.spec.report, plan, overwrite=True)) is not None:
            written |= {report.resolve(): "report"}
        for path, node in written.items():
            if (other := owners.setdefault(path, name)) != name:
                raise ConfigError(
                    f"the clips {other!r} and {name!r} would both write {str(path)!r}",
                    path="report" if node == "report" else f"pipeline.nodes.{node}.path",
                    hint="put {stem} or {name} into it; clips of one name in several folders need runs of their own",
                    code=codes.SHARED_OUTPUT,
                )
    return plans


def run_clips(
    jobs: Sequence[tuple[str, JobReading, ClipRun]],
    *,
    parallel: int,
    on_error: Literal["stop", "skip"],
    progress: ProgressCallback | None,
    overwrite: bool,
) -> Iterator[ClipResult]:
    """Run the job of each clip, yield the results as the runs end, and write a report of all.

    Args:
        jobs: Name, configuration and run of each clip.
        parallel: Number of clips that run at once.
        on_error: Whether a clip that fails stops the others.
        progress: See :func:`run_side_by_side`.
        overwrite: Whether outputs may exist.

    Raises:
        BmfgraphError: Two clips would write one file; or a clip is wrong or failed, and ``on_error`` is ``stop``.
    """
    from bmfgraph.runner.side_by_side import Amount, ClipResult, run_side_by_side

    began = time.perf_counter()
    plans = compiled_clips({name: reading for name, reading, _ in jobs})
    results: list[ClipResult] = []
    runs: list[Work] = []
    for name, reading, run in jobs:
        plan = plans[name]
        errors = plan.errors or preflight_errors(plan, reading.spec, overwrite=overwrite)
        if errors and on_error == "stop":
            raise one_error(errors)
        if errors:
            results.append(ClipResult(name, None, one_error(errors)))
        else:
            runs.append((name, max((info.frames for _, info in plan.sources()), default=0), run))
    yield from results
    title = next(iter(plans.values())).name
    lengths = [frames for _, frames, _ in runs]
    amount = Amount(title, len(runs), sum(lengths) if all(lengths) else 0)
    for ended in run_side_by_side(runs, amount=amount, parallel=parallel, on_error=on_error, progress=progress):
        results.append(ended)
        yield ended
    name, reading, _ = jobs[0]
    if reading.spec.report is not None and not plans[name].errors:
        report = report_path(reading.spec.report, plans[name], overwrite=True, make=True)
        assert report is not None
        path = _write_report(report, title, time.perf_counter() - began, results, overwrite=overwrite)
        say(f"report of all clips: {path}")


def _write_report(
    report: Path, pipeline: str, seconds: float, results: Sequence[ClipResult], *, overwrite: bool
) -> Path:
    """Write one report of all clips as JSON, beside those of the clips.

    Args:
        report: The report of one of the clips.
        pipeline: Name of the pipeline.
        seconds: Time from the first clip's start to the last one's end.
        results: The results of the clips.
        overwrite: Replace a file that exists.

    Raises:
        BmfgraphError: The file cannot be written.
    """
    from bmfgraph.runner.report import write_document

    path = report.with_name(f"{pipeline}_clips.json")
    frames = sum(result.result.frames for result in results if result.result)
    document = {
        "schema": SCHEMA,
        "pipeline": pipeline,
        "seconds": seconds,
        "frames": frames,
        "fps": frames / seconds if seconds else 0.0,
        "clips": [dict(_entry(result)) for result in results],
    }
    write_document(path, document, "the runs themselves are complete", overwrite=overwrite)
    return path


def _entry(ended: ClipResult) -> Iterator[tuple[str, Any]]:
    yield "input", ended.clip
    yield "exit_code", ended.exit_code
    if (result := ended.result) is not None:
        yield "frames", result.frames
        yield "seconds", result.seconds
        yield "fps", result.fps
        yield "outputs", {name: str(path) for name, path in result.outputs.items()}
    if ended.error is not None:
        yield "errors", [{"code": problem.code, "message": problem.message} for problem in ended.error.problems]
