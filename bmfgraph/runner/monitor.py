"""What the nodes of one run share: how it stands, the first failure, and how long each node took."""

from __future__ import annotations

import re
import threading
import traceback
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from bmfgraph.errors import BmfgraphError, Cancelled, RunError, first_line
from bmfgraph.system.files import DISK_FULL

__all__ = ["NodeTimings", "RunMonitor", "failure"]

_BMF_ERROR = re.compile(r"BMF\(.*error: \(.*?\) (.*?)(?: in function .*)?$")
"""What BMF's exceptions say, between its version and source line and its function."""


@dataclass
class NodeTimings:
    """Times of one node. Written by the one thread that the node runs on."""

    name: str
    kind: str
    seconds: array[float] = field(default_factory=lambda: array("d"))
    """Of each call that took or made something."""
    frames: int = 0
    """Frames taken, or made by a source."""
    queued: array[int] = field(default_factory=lambda: array("l"))
    """Packets that waited at the node whenever it was called."""
    last_time: Fraction | None = None
    """Presentation time of the newest frame, in seconds."""
    first_done: float | None = None
    """When the first frame was done with, and the newest one, on the clock of ``time.perf_counter``."""
    last_done: float = 0.0
    done: array[float] = field(default_factory=lambda: array("d"))
    """When each frame was done with, on the same clock."""

    def add(self, began: float, ended: float, frames: int = 1) -> None:
        """Count a call that was done with so many frames."""
        self.seconds.append(ended - began)
        self.done.extend([ended] * frames)
        self.first_done = self.first_done or ended
        self.last_done = ended


class RunMonitor:
    """One run as its nodes see it. The first failure wins; every node asks ``stopped`` before it goes on."""

    def __init__(self) -> None:
        # Taken by a signal handler too, on whatever the main thread was doing.
        self._lock = threading.RLock()
        self.error: BmfgraphError | None = None
        self.trace = ""
        self.meters: dict[str, NodeTimings] = {}
        self.ffmpeg_log: list[str] = []
        """What FFmpeg complained of, oldest first; of all runs of this process that go on at once."""
        self.second_signal = False
        """Whether to wait for nothing any more: somebody asked twice."""
        self.started: Callable[[], None] = lambda: None
        """Called as each node is made inside BMF."""
        self.working: set[str] = set()
        """Nodes that BMF has made and not yet closed."""
        self.on_shutdown: list[Callable[[], None]] = []
        """What nodes leave to be done once the whole graph is down."""

    @property
    def stopped(self) -> bool:
        """Whether the run shall end now."""
        return self.error is not None

    def meter(self, name: str, kind: str) -> NodeTimings:
        """The meter of a node, made once."""
        return self.meters.setdefault(name, NodeTimings(name, kind))

    def cancel(self, why: str) -> None:
        """End the run, because somebody asked to."""
        with self._lock:
            self.error = self.error or Cancelled(why)

    def fail(
        self,
        meter: NodeTimings,
        error: BaseException,
        *,
        doing: str = "",
        frame: int | None = None,
        time: Fraction | None = None,
        hint: str = "",
    ) -> None:
        """End the run, because a node failed; on that frame, if one is given."""
        if isinstance(error, BmfgraphError):
            told = error
        else:
            told = failure(meter.name, meter.kind, error, doing=doing, frame=frame, time=time, hint=hint)
        with self._lock:
            if self.error is None:
                self.error = told
                self.trace = "".join(traceback.format_exception(error))


def failure(
    name: str,
    kind: str,
    error: BaseException,
    *,
    doing: str = "",
    frame: int | None = None,
    time: Fraction | None = None,
    hint: str = "",
) -> RunError:
    """What to tell of an exception that came out of a node; ``doing``: what the node was at, if not a frame."""
    if isinstance(error, OSError) and error.strerror:
        cause = error.strerror + (f": {str(error.filename)!r}" if error.filename else "")
        if error.errno in DISK_FULL:
            hint = hint or "make room on the disk, or write elsewhere"
    else:
        first = first_line(error)
        native = _BMF_ERROR.search(first)
        cause = native[1] if native else type(error).__name__ + (f": {first}" if first else "")
    if doing:
        cause = f"{doing}: {cause}"
    return RunError(
        name, kind, cause, frame=frame, time=time, hint=hint or "debug=true shows where it happened", code="E801"
    )
