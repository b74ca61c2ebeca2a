"""The verbs that work: build the engines of a configuration, or run it, from its plan to its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bmfgraph.compile.job import compile_job
from bmfgraph.errors import BmfgraphError, Cancelled, ConfigError, one_error
from bmfgraph.media.quality import measure
from bmfgraph.plan.plan import Plan
from bmfgraph.runner.engines import prepare_engines
from bmfgraph.runner.preflight import preflight_errors, preflight_warnings, reference_of, report_path
from bmfgraph.runner.report import make_report, summary
from bmfgraph.runner.run import run_plan
from bmfgraph.system.console import print_problems, say
from bmfgraph.system.files import write_whole
from bmfgraph.system.progress import shown_progress

__all__ = ["build_job", "run_job"]

_TOLD = ("W102", "W103")
"""Warnings that the run's own lines repeat: what runs on what, and why."""


def build_job(data: dict[str, Any]) -> None:
    """Build the engines that the pipeline needs, and run nothing."""
    plan = _here(data)
    print_problems(problem for problem in preflight_warnings(plan) if problem.code in _TOLD)
    paths = prepare_engines(plan, progress=bool(data.get("progress")))
    for node, path in paths.items():
        say(f"{node}: {path}")
    if not paths:
        say(f"{plan.name}: its models run as they are, there is nothing to build")


def run_job(data: dict[str, Any]) -> None:
    """Compile, build missing engines, run, measure, report."""
    plan = _here(data)
    if errors := preflight_errors(plan, data):
        raise one_error(errors)
    print_problems(problem for problem in preflight_warnings(plan) if problem.code not in _TOLD)
    report = report_path(data.get("report"), plan, make=True)
    reference = reference_of(data.get("reference"), plan)
    prepare_engines(plan, progress=bool(data.get("progress")))
    with shown_progress(plan.name, bool(data.get("progress"))) as progress:
        outcome = run_plan(plan, progress=progress, announce=say)
    for line in (*outcome.warnings, *summary(outcome)):
        say(line)
    try:
        quality = _measured(plan, outcome.outputs[reference.node], reference.path) if reference else None
        if quality:
            ssim = f", SSIM {quality['ssim']:.4f}" if "ssim" in quality else ""
            say(f"luma PSNR against {quality['reference']}: {quality['psnr_y']:.2f} dB{ssim}")
    except KeyboardInterrupt as why:
        raise Cancelled(
            str(why) or "interrupted (Ctrl-C)", hint="the output is complete; only measuring it was cut short"
        ) from None
    except BmfgraphError:
        # The run is good, and its report is not to be lost.
        _write_report(report, make_report(outcome, data))
        raise
    _write_report(report, make_report(outcome, data, quality))


def _measured(plan: Plan, output: Path, reference: Path) -> dict[str, Any]:
    # A clip that is read from its begin, and not to its end, is compared as far as it is read.
    part = any(info.end is not None and info.start is None for _, info in plan.sources())
    return measure(output, reference, whole=not part)


def _here(data: dict[str, Any]) -> Plan:
    if data.get("target") is not None:
        raise ConfigError(
            "a pipeline is run, and its engines are built, on this machine only",
            path="target",
            hint="leave it out; `check` and `plan` take it",
            code="E113",
        )
    return compile_job(data)


def _write_report(path: Path | None, report: dict[str, Any]) -> None:
    if path is None:
        return
    try:
        write_whole(path, json.dumps(report, indent=2) + "\n")
    except OSError as error:
        raise BmfgraphError(
            f"report: {str(path)!r} cannot be written ({error.strerror}); the run itself is complete",
            hint="make room on the disk, or write elsewhere",
            code="E805",
        ) from None
