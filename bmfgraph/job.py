"""One composed configuration, from its plan to its report."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmfgraph.compile import compile_pipeline
from bmfgraph.compile.verify import files_read, files_written
from bmfgraph.errors import BmfgraphError, Cancelled, ConfigError, InstallError, did_you_mean, shown
from bmfgraph.files import write_text
from bmfgraph.machine import find_machine
from bmfgraph.media import MediaError, probe
from bmfgraph.plan import Plan
from bmfgraph.ports import FrameSpec
from bmfgraph.prepare import check_runnable, prepare_engines
from bmfgraph.progress import shown_progress
from bmfgraph.quality import measure
from bmfgraph.report import make_report, summary
from bmfgraph.run import run_plan
from bmfgraph.sources import SourceError, locate, say
from bmfgraph.spec import parse_pipeline

__all__ = ["DEVICES", "build_job", "compile_job", "plan_job", "run_job"]

DEVICES = ("auto", "cpu", "cuda")


def compile_job(data: dict[str, Any]) -> Plan:
    """The plan for this machine. ``data``: the resolved config. Raises a BmfgraphError."""
    device = data.get("device", "auto")
    if device not in DEVICES:
        raise ConfigError(
            f"device: {shown(device)} is not allowed{did_you_mean(str(device), DEVICES)}; "
            f"allowed: {', '.join(DEVICES)}",
            hint="auto runs models on the GPU where there is one",
        )
    machine = find_machine()
    if device == "cuda" and machine.gpu is None:
        raise InstallError(
            f"device: cuda was asked for, but {machine.no_gpu}", hint="set device=auto to run on the CPU"
        )
    return compile_pipeline(parse_pipeline(data["pipeline"]), machine, device)


def plan_job(data: dict[str, Any]) -> None:
    """Print the plan as JSON."""
    print(json.dumps(compile_job(data).as_json(), indent=2))


def build_job(data: dict[str, Any]) -> None:
    """Build the engines that the pipeline needs, and run nothing."""
    plan = compile_job(data)
    paths = prepare_engines(plan, progress=bool(data.get("progress")))
    for node, path in paths.items():
        say(f"{node}: {path}")
    if not paths:
        say(f"{plan.name}: its models run as they are, there is nothing to build")


def run_job(data: dict[str, Any]) -> None:
    """Compile, build missing engines, run, measure, report."""
    plan = compile_job(data)
    report = _report_path(data.get("report"), plan)
    reference = _reference(data.get("reference"), plan)
    check_runnable(plan)
    prepare_engines(plan, progress=bool(data.get("progress")))
    with shown_progress(plan.name, bool(data.get("progress"))) as progress:
        outcome = run_plan(plan, progress=progress, announce=say)
    for line in (*outcome.warnings, *summary(outcome)):
        say(line)
    try:
        quality = measure(outcome.outputs[reference.node], reference.path) if reference else None
        if quality:
            say(f"luma PSNR against {quality['reference']}: {quality['psnr_y']:.2f} dB")
    except KeyboardInterrupt as why:
        raise Cancelled(
            str(why) or "interrupted (Ctrl-C)", hint="the output is complete; only measuring it was cut short"
        ) from None
    except BmfgraphError:
        # The run is good, and its report is not to be lost.
        _write_report(report, make_report(outcome, data))
        raise
    _write_report(report, make_report(outcome, data, quality))


def _report_path(value: Any, plan: Plan) -> Path | None:
    """Where the report goes; refused before a frame is decoded if it cannot be written, or is a file of the run's."""
    if value is None:
        return None
    path = Path(str(value))
    used = files_read(plan) | files_written(plan)
    if path.resolve() in used:
        raise ConfigError(f"report: {str(path)!r} is a file of node {used[path.resolve()]!r}", hint="name another file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, "Permission denied")
    except OSError as error:
        raise ConfigError(
            f"report: {str(path)!r} cannot be written ({error.strerror})", hint="name a file in a folder of yours"
        ) from None
    return path


def _write_report(path: Path | None, report: dict[str, Any]) -> None:
    if path is None:
        return
    try:
        write_text(path, json.dumps(report, indent=2) + "\n")
    except OSError as error:
        raise BmfgraphError(
            f"report: {str(path)!r} cannot be written ({error.strerror}); the run itself is complete",
            hint="make room on the disk, or write elsewhere",
        ) from None


@dataclass(frozen=True)
class _Reference:
    """The clip to measure against, and the encoder whose output is measured."""

    path: Path
    node: str


def _reference(value: Any, plan: Plan) -> _Reference | None:
    """What to measure; refused before a frame is decoded where it cannot be."""
    if value is None:
        return None
    writers = [node for node in plan if node.kind == "encoder" and node.work.path]
    if not writers:
        raise ConfigError(
            "reference: the pipeline writes no clip that could be measured",
            hint="leave the reference out, or choose another encoder",
        )
    if len(writers) != 1:
        raise ConfigError(
            f"reference: the pipeline writes {len(writers)} clips, and one is measured",
            hint="leave the reference out, or the other encoders",
        )
    try:
        path = locate(str(value))
        found = probe(path, audio=None).frames
    except (SourceError, MediaError) as error:
        raise ConfigError(f"reference: {error}", hint=error.hint) from None
    if path.resolve() in files_written(plan):
        raise ConfigError(f"reference: {str(path)!r} is what the run writes", hint="write to another file")
    made = plan.type_of(writers[0].inputs[0])
    if isinstance(made, FrameSpec) and (made.width, made.height) != (found.width, found.height):
        raise ConfigError(
            f"reference: {str(path)!r} is {found.width}x{found.height}, but the output is {made.width}x{made.height}",
            hint="give a reference of the output's size",
        )
    return _Reference(path, writers[0].name)
