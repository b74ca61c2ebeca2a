"""Hold what is known about a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bmfgraph.plan.plan import Plan
from bmfgraph.plan.types import Device
from bmfgraph.runner.monitor import NodeTimings

__all__ = ["NodeResult", "RunResult", "percentile"]


@dataclass(frozen=True)
class NodeResult:
    """The work of one node. The times of calls are None where there was none."""

    name: str
    kind: str
    device: Device
    frames: int
    """Frames taken, or produced by a source."""
    calls: int
    seconds: float
    """Time of all calls together."""
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class RunResult:
    """The outcome of a run. Times in seconds, sizes in bytes."""

    plan: Plan = field(repr=False)
    seconds: float
    """Wall time from the start to the last rename."""
    frames: int
    """Frames written by the sink that wrote most."""
    first_frame_seconds: float
    """Time from the start until that sink was done with its first frame: engines loaded, pipeline filled."""
    steady_fps: float
    """Its frames a second from then on; those that came with the first one, in its batch, do not count."""
    outputs: dict[str, Path]
    """The file that each node wrote, by node name."""
    timings: dict[str, NodeTimings] = field(repr=False)
    """The times of each node's calls, by node name."""
    engines: dict[str, str]
    """The runtime of each inference node, by node name."""
    ffmpeg: str
    """Where FFmpeg 4's libraries come from."""
    warnings: tuple[str, ...]
    peak_rss: int
    """Peak of the process's resident memory."""
    peak_gpu: int | None
    """Peak of the GPU memory that torch held; None if the GPU was not used."""
    quality: dict[str, Any] | None = None
    """Metrics of the output against the reference, if one was given."""
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The configuration of the run."""

    @property
    def fps(self) -> float:
        """Frames a second over the whole run."""
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def nodes(self) -> dict[str, NodeResult]:
        """The work of each node, by node name."""
        return {node.name: self._node(node.name, node.kind, node.device) for node in self.plan}

    def report(self) -> dict[str, Any]:
        """Return the run's report: plain data with a schema number, as ``report=FILE`` writes it."""
        from bmfgraph.runner.report import make_report

        return make_report(self)

    def _node(self, name: str, kind: str, device: Device) -> NodeResult:
        timings = self.timings[name]
        ordered = sorted(1000 * seconds for seconds in timings.seconds)
        total = sum(timings.seconds)
        return NodeResult(
            name,
            kind,
            device,
            timings.frames,
            len(ordered),
            total,
            1000 * total / len(ordered) if ordered else None,
            *(percentile(ordered, percent) if ordered else None for percent in (50, 95, 99)),
        )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of values in rising order."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]
