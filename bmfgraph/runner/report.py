"""Make the report of a run: plain data with a schema number, for people, sweeps and other tools."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from array import array
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from bmfgraph import __version__
from bmfgraph.nodes.engine import reason_text
from bmfgraph.plan.plan import PlanNode, json_ready
from bmfgraph.plan.types import FrameSpec
from bmfgraph.system.machine import find_libraries

if TYPE_CHECKING:
    from bmfgraph.runner.run import RunResult

__all__ = ["SCHEMA", "make_report", "percentile", "summary"]

SCHEMA = 1
"""Raised when a reader of the old form would misread the new one."""

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


def make_report(outcome: RunResult, config: dict[str, Any], quality: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the facts of a finished run. Times in seconds, or ms where the key says so; sizes in bytes."""
    plan = outcome.plan
    frames_in = sum(outcome.meters[node.name].frames for node, _ in plan.sources())
    return {
        "schema": SCHEMA,
        "bmfgraph": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {
            "platform": platform.platform(),
            "python": sys.version.split()[0],
            "cores": len(os.sched_getaffinity(0)),
            "gpu": str(plan.machine.gpu) if plan.machine.gpu else None,
            "packages": _versions(),
            "ffmpeg4": outcome.ffmpeg,
        },
        "config": {key: value for key, value in config.items() if key != "samples"},
        "plan": {"name": plan.name, "hash": plan.hash()},
        "engines": [
            {
                "node": node.name,
                "model": node.spec.engine_request(node).model,
                "runs_on": outcome.engines.get(node.name),
                **json_ready(engine),
                "why": reason_text(engine.reason, engine.precision),
            }
            for node, engine in plan.engines()
        ],
        "frames": {"in": frames_in, "out": outcome.frames},
        "seconds": round(outcome.seconds, 4),
        "fps": round(outcome.frames / outcome.seconds, 3) if outcome.seconds else 0.0,
        "first_frame_seconds": round(outcome.first_frame, 4),
        "steady_fps": round(outcome.steady_fps, 3),
        "latency_ms": _latency(outcome),
        "nodes": [_node(node, outcome.meters[node.name]) for node in plan],
        "memory": {"peak_rss": outcome.peak_rss, "peak_gpu": outcome.peak_gpu},
        "outputs": [
            {"node": name, "path": str(path), "bytes": path.stat().st_size} for name, path in outcome.outputs.items()
        ],
        "quality": quality,
        "warnings": list(outcome.warnings),
    }


def _latency(outcome: RunResult) -> dict[str, float] | None:
    """Time from a source's output of a frame until the last sink is done with it, in ms."""
    plan, meters = outcome.plan, outcome.meters
    sources = [meters[node.name].done for node, _ in plan.sources()]
    sinks = [meters[node.name].done for node in plan if not node.outputs]
    whole = [done for done in sinks if len(done) == outcome.frames]
    if len(sources) != 1 or not whole or len(sources[0]) < outcome.frames:
        # With several inputs, or frames left out, the outputs cannot be matched with inputs.
        return None
    last = (max(times) for times in zip(*whole, strict=True))
    ordered = sorted(1000 * (end - begin) for begin, end in zip(sources[0], last, strict=False))
    if not ordered:
        return None
    latency = {"mean": sum(ordered) / len(ordered)}
    latency |= {f"p{percent}": percentile(ordered, percent) for percent in (50, 95, 99)}
    return {name: round(value, 3) for name, value in latency.items()}


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions | {library.module: library.version for library in find_libraries()}


def _node(node: PlanNode, meter: Any) -> dict[str, Any]:
    total = sum(meter.seconds)
    ordered = sorted(meter.seconds)
    return {
        "name": node.name,
        "kind": node.kind,
        "host": node.bmf_node,
        "device": node.device,
        "frames": meter.frames,
        "calls": len(ordered),
        "seconds": round(total, 4),
        "frame_ms": round(1000 * total / meter.frames, 4) if meter.frames else None,
        "call_ms": {
            "mean": round(1000 * total / len(ordered), 4),
            "p50": round(1000 * percentile(ordered, 50), 4),
            "p95": round(1000 * percentile(ordered, 95), 4),
            "p99": round(1000 * percentile(ordered, 99), 4),
        }
        if ordered
        else None,
        "queue": _queue(meter.queued),
    }


def _queue(depths: array[int]) -> dict[str, float] | None:
    """Number of packets that waited at the node when it was called."""
    if not depths:
        return None
    return {"mean": round(sum(depths) / len(depths), 3), "max": max(depths)}


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of values in rising order."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


def summary(outcome: RunResult) -> list[str]:
    """Return one line for every written file."""
    lines = []
    for name, path in outcome.outputs.items():
        size = path.stat().st_size
        shown = f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
        node = outcome.plan.node(name)
        about = _video_facts(outcome, node) if node.files.video else ""
        lines.append(f"{path}: {outcome.meters[node.name].frames} frames{about}, {shown}")
    if not outcome.outputs:
        lines.append(f"{outcome.frames} frames, nothing written")
    lines[-1] += f" in {outcome.seconds:.1f} s ({outcome.frames / max(outcome.seconds, 1e-9):.1f} fps)"
    return lines


def _video_facts(outcome: RunResult, node: PlanNode) -> str:
    frames = outcome.plan.type_of(node.inputs[0])
    return f", {frames.width}x{frames.height}, {float(frames.rate):g} fps" if isinstance(frames, FrameSpec) else ""
