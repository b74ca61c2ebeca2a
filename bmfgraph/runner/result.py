"""Define the result of a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bmfgraph.errors import Problem
from bmfgraph.media.frame_selection import Selected
from bmfgraph.media.ledger import Loss
from bmfgraph.plan.plan import Plan
from bmfgraph.plan.types import Device
from bmfgraph.runner.monitor import NodeTimings

__all__ = ["NodeResult", "RunResult", "percentile"]


@dataclass(frozen=True)
class NodeResult:
    """The work of one node. Times of calls in ms; None if there was no call."""

    name: str
    kind: str
    device: Device
    frames: int
    """Frames consumed, or produced by a source."""
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
    """Frames written by the sink that wrote the most."""
    first_frame_seconds: float
    """Time from the start until that sink had finished its first frame: engines loaded, pipeline filled."""
    steady_fps: float
    """Frames per second of that sink after its first batch of frames."""
    outputs: dict[str, Path]
    """The file that each node wrote, by node name."""
    sizes: dict[str, int]
    """Bytes that each node wrote, by node name."""
    timings: dict[str, NodeTimings] = field(repr=False)
    """The times of each node's calls, by node name."""
    engines: dict[str, str]
    """Runtime and device of each inference node, by node name."""
    ffmpeg: Mapping[str, str]
    """The FFmpeg of each back end: version, and where it comes from."""
    warnings: tuple[str, ...]
    peak_rss: int
    """Peak of the process's resident memory."""
    peak_gpu: int | None
    """Peak of the GPU memory that torch held; None if the GPU was not used."""
    quality: dict[str, Any] | None = None
    """Metrics of the output against the reference, if one was given."""
    problems: tuple[Problem, ...] = ()
    """Warnings of nodes with their codes: results that contradict the model's config."""
    losses: Mapping[str, Loss] = field(default_factory=dict)
    """What could not be read of each damaged source, by node name; empty where all was read."""
    selected: Mapping[str, Selected] = field(default_factory=dict)
    """How many frames each source with ``every`` or ``fps`` left out and repeated, by node name."""
    uploaded: Mapping[str, str] = field(default_factory=dict)
    """The address of each file that a batch has sent to a store, by node name; ``outputs`` has the others."""
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The configuration of the run."""

    @property
    def fps(self) -> float:
        """Frames per second over the whole run."""
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def exit_code(self) -> int:
        """Exit code of the command: 3 where frames of a source were lost or damaged, else 0."""
        return 3 if any(loss.is_damage for loss in self.losses.values()) else 0

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
        count, total = timings.seconds.count, timings.seconds.total
        return NodeResult(
            name,
            kind,
            device,
            timings.frames,
            count,
            total,
            1000 * total / count if count else None,
            *(percentile(ordered, percent) if ordered else None for percent in (50, 95, 99)),
        )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of values in ascending order."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]
