"""Make the report of a run: plain data with a schema number, for people, sweeps and other tools."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bmfgraph import __version__, error_codes as codes
from bmfgraph.errors import BmfgraphError, Cancelled, without_passwords
from bmfgraph.media.quality import measure
from bmfgraph.nodes.engine import reason_text
from bmfgraph.plan.plan import PlanNode, json_ready
from bmfgraph.plan.types import FrameSpec
from bmfgraph.runner.preflight import Reference
from bmfgraph.runner.result import NodeResult, RunResult, percentile
from bmfgraph.runner.series import Series
from bmfgraph.system.console import problems_as_json, say
from bmfgraph.system.files import write_whole
from bmfgraph.system.machine import Gpu, find_libraries, installed_version
from bmfgraph.system.text import size_text

__all__ = [
    "SCHEMA",
    "finished",
    "machine_section",
    "make_report",
    "summary",
    "with_quality",
    "write_document",
    "write_report",
]

SCHEMA = 1
"""Version of the report; raised when a reader of the old form would misread the new one."""

_PACKAGES = (
    "BabitMF",
    "BabitMF-GPU",
    "decord",
    "torch",
    "onnxruntime",
    "PyNvVideoCodec",
    "av",
    "hydra-core",
    "pydantic",
)


def make_report(result: RunResult) -> dict[str, Any]:
    """Return the report of a finished run.

    Times are in seconds or, where the key says so, ms; sizes in bytes.
    """
    plan, nodes = result.plan, result.nodes
    frames_in = sum(result.timings[node.name].frames for node, _ in plan.sources())
    return {
        "schema": SCHEMA,
        "bmfgraph": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine_section(plan.machine.gpu) | {"ffmpeg": dict(result.ffmpeg)},
        "config": {key: value for key, value in result.config.items() if key != "samples"},
        "plan": {"name": plan.name, "hash": plan.hash()},
        "engines": [
            {
                "node": node.name,
                "model": node.spec.engine_request(node).model,
                "runs_on": result.engines.get(node.name),
                **json_ready(engine),
                "why": reason_text(engine.reason, engine.precision),
            }
            for node, engine in plan.engines()
        ],
        "frames": {"in": frames_in, "out": result.frames},
        "seconds": round(result.seconds, 4),
        "fps": round(result.fps, 3),
        "first_frame_seconds": round(result.first_frame_seconds, 4),
        "steady_fps": round(result.steady_fps, 3),
        "latency_ms": _latency(result),
        "nodes": [_node(node, nodes[node.name], result.timings[node.name].queued) for node in plan],
        "memory": {"peak_rss": result.peak_rss, "peak_gpu": result.peak_gpu},
        "outputs": [
            {"node": name, "path": str(path), "bytes": result.sizes[name]}
            for name, path in {**result.outputs, **result.uploaded}.items()
        ],
        "quality": result.quality,
        "warnings": list(result.warnings),
        "problems": problems_as_json(result.problems)["problems"],
        "losses": {name: asdict(loss) for name, loss in result.losses.items()},
        "selected": {name: asdict(selected) for name, selected in result.selected.items()},
    }


def machine_section(gpu: Gpu | None) -> dict[str, Any]:
    """Return the section of a report about the machine: platform, Python, CPU cores, GPU, and package versions."""
    return {
        "platform": platform.platform(),
        "python": sys.version.split()[0],
        "cores": len(os.sched_getaffinity(0)),
        "gpu": str(gpu) if gpu else None,
        "packages": _versions(),
    }


def _latency(result: RunResult) -> dict[str, float] | None:
    """Return the time from a source's output of a frame until the last sink has finished it, in ms."""
    plan, timings = result.plan, result.timings
    sources = [timings[node.name].done for node, _ in plan.sources()]
    sinks = [timings[node.name].done for node in plan if not node.outputs]
    whole = [done for done in sinks if done.count == result.frames]
    if len(sources) != 1 or not whole or sources[0].count < result.frames:
        # With several sources, or with dropped frames, output frames cannot be matched with input frames.
        return None
    step = max(done.step for done in (*sources, *whole))
    begun, *ended = (done[:: step // done.step] for done in (*sources, *whole))
    last = (max(times) for times in zip(*ended, strict=True))
    ordered = sorted(1000 * (end - begin) for begin, end in zip(begun, last, strict=False))
    if not ordered:
        return None
    latency = {"mean": sum(ordered) / len(ordered)}
    latency |= {f"p{percent}": percentile(ordered, percent) for percent in (50, 95, 99)}
    return {name: round(value, 3) for name, value in latency.items()}


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = installed_version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions | {library.module: library.version for library in find_libraries()}


def _node(node: PlanNode, result: NodeResult, queued: Series) -> dict[str, Any]:
    times = {"mean": result.mean_ms, "p50": result.p50_ms, "p95": result.p95_ms, "p99": result.p99_ms}
    return {
        "name": node.name,
        "kind": node.kind,
        "host": node.bmf_node,
        "device": node.device,
        "frames": result.frames,
        "calls": result.calls,
        "seconds": round(result.seconds, 4),
        "frame_ms": round(1000 * result.seconds / result.frames, 4) if result.frames else None,
        "call_ms": {name: round(value, 4) for name, value in times.items() if value is not None} or None,
        "queue": _queue(queued),
    }


def _queue(depths: Series) -> dict[str, float] | None:
    """Summarise the number of packets that waited at the node when it was called."""
    if not depths.count:
        return None
    return {"mean": round(depths.total / depths.count, 3), "max": int(depths.most)}


def summary(result: RunResult) -> list[str]:
    """Return one line for every written file."""
    lines = []
    for name, path in result.outputs.items():
        node = result.plan.node(name)
        about = _video_facts(result, node) if node.files.video else ""
        lines.append(f"{path}: {result.timings[node.name].frames} frames{about}, {size_text(result.sizes[name])}")
    if not result.outputs:
        lines.append(f"{result.frames} frames, nothing written")
    lines[-1] += f" in {result.seconds:.1f} s ({result.frames / max(result.seconds, 1e-9):.1f} fps)"
    return lines


def _video_facts(result: RunResult, node: PlanNode) -> str:
    frames = result.plan.type_of(node.inputs[0])
    return f", {frames.width}x{frames.height}, {float(frames.rate):g} fps" if isinstance(frames, FrameSpec) else ""


def finished(
    result: RunResult, *, reference: Reference | None, whole: bool, report: Path | None, overwrite: bool
) -> RunResult:
    """Print the summary of a run, measure its quality, and write its report.

    Args:
        result: The run.
        reference: A clip to compare with, as for :func:`with_quality`, like ``whole``; None for none.
        whole: Whether the output must be as long as the reference.
        report: The file; None for none.
        overwrite: Replace it.

    Raises:
        BmfgraphError: The quality cannot be measured, or the report not be written.
    """
    for line in (*result.warnings, *summary(result)):
        say(line)
    try:
        result = with_quality(result, reference, whole=whole) if reference else result
    finally:
        # The run has succeeded even if the measurement fails, so its report is written.
        if report is not None:
            write_report(report, result, overwrite=overwrite)
    return result


def with_quality(result: RunResult, reference: Reference, *, whole: bool) -> RunResult:
    """Return the result with the quality of an output against its reference.

    Args:
        result: The run.
        reference: The clip, and the node whose output it is compared with.
        whole: Whether the output must be as long as the reference.

    Raises:
        RunError: The two differ in size or length, or cannot be read.
        Cancelled: Measuring was interrupted.
    """
    try:
        quality = measure(result.outputs[reference.node], reference.path, whole=whole)
    except KeyboardInterrupt as reason:
        raise Cancelled(
            str(reason) or "interrupted (Ctrl-C)", hint="the output is complete; only measuring it was cut short"
        ) from None
    ssim = f", SSIM {quality['ssim']:.4f}" if "ssim" in quality else ""
    say(f"luma PSNR against {quality['reference']}: {quality['psnr_y']:.2f} dB{ssim}")
    return replace(result, quality=quality)


def write_report(path: Path, result: RunResult, *, overwrite: bool = False) -> None:
    """Write the report as JSON.

    Args:
        path: The file.
        result: The run.
        overwrite: Replace a file that exists.

    Raises:
        BmfgraphError: The file cannot be written.
    """
    write_document(path, result.report(), "the run itself is complete", overwrite=overwrite)


def write_document(path: Path, document: Mapping[str, Any], state: str, *, overwrite: bool) -> None:
    """Write a report as JSON.

    Args:
        path: The file.
        document: Plain data.
        state: What is complete although the report cannot be written, for the error.
        overwrite: Replace a file that exists.

    Raises:
        BmfgraphError: The file cannot be written.
    """
    try:
        write_whole(path, without_passwords(json.dumps(document, indent=2)) + "\n", overwrite=overwrite)
    except OSError as error:
        raise BmfgraphError(
            f"report: {str(path)!r} cannot be written ({error.strerror}); {state}",
            hint="make room on the disk, or write elsewhere",
            code=codes.UNWRITTEN_REPORT,
        ) from None
