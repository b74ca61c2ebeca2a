"""Watch one run: its state, its first failure, and the timings of its nodes."""

from __future__ import annotations

import contextlib
import re
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from bmfgraph import error_codes as codes
from bmfgraph.errors import BmfgraphError, Cancelled, Problem, RunError, first_line
from bmfgraph.media.frame_selection import Selected
from bmfgraph.media.ledger import Loss
from bmfgraph.runner.series import Series
from bmfgraph.system.console import print_problems
from bmfgraph.system.files import DISK_FULL
from bmfgraph.system.obstacles import obstacle, shortage

__all__ = ["NodeTimings", "RunMonitor", "failure"]

_BMF_ERROR = re.compile(r"BMF\(.*error: \(.*?\) (.*?)(?: in function .*)?$")
"""The cause in the text of a BMF exception: it stands between BMF's version and source line and the function."""


@dataclass
class NodeTimings:
    """Collect the timings of one node. Only the thread that runs the node writes them.

    Times of the clock are those of ``time.perf_counter``, in seconds.

    Attributes:
        name: Name of the node.
        kind: Kind of the node.
        seconds: Duration of each call that consumed or produced something. A long run keeps a part of such series.
        frames: Number of frames consumed, or produced by a source.
        queued: Number of packets that waited at the node at each call.
        last_time: Presentation time of the newest frame, in seconds.
        first_done: Clock when the first frame was finished.
        last_done: Clock when the newest frame was finished.
        done: Clock when each frame was finished.
        left_out: Number of frames that a sink did not write, because they belong to other parts of the clip.
        sent: Number of frames or results given to the next BMF nodes; None where that is not counted.
    """

    name: str
    kind: str
    seconds: Series = field(default_factory=Series)
    frames: int = 0
    queued: Series = field(default_factory=Series)
    last_time: Fraction | None = None
    first_done: float | None = None
    last_done: float = 0.0
    done: Series = field(default_factory=Series)
    left_out: int = 0
    sent: int | None = None

    def add(self, started: float, ended: float, frames: int = 1) -> None:
        """Add a call that finished ``frames`` frames, by the clock at its start and end."""
        self.seconds.add(ended - started)
        self.done.add(ended, frames)
        self.first_done = self.first_done or ended
        self.last_done = ended


class RunMonitor:
    """Share the state of one run between its nodes. The first failure counts; every node checks ``stopped``.

    Attributes:
        error: The first failure; None while all is well.
        trace: Python traceback of that failure.
        timings: Timings of each node, by name.
        second_signal: Whether the user asked twice to stop, so that the run must not wait for anything.
        started: Called on BMF's thread as each node is created.
        working: Names of the nodes that BMF has created and not yet closed.
        on_shutdown: Callbacks of nodes for after the end of the whole graph.
        held: Locks on the run's files, which end with the run.
        problems: Warnings of the nodes, in the order of time.
        losses: What each source could not read, by node name.
        selected: How many frames each source left out and repeated because its options ask for it, by node name.
    """

    def __init__(self) -> None:
        # Reentrant: a signal handler on the main thread may interrupt the holder of the lock.
        self._lock = threading.RLock()
        self.error: BmfgraphError | None = None
        self.trace = ""
        self.timings: dict[str, NodeTimings] = {}
        self.second_signal = False
        self.started: Callable[[], None] = lambda: None
        self.working: set[str] = set()
        self.on_shutdown: list[Callable[[], None]] = []
        self.held = contextlib.ExitStack()
        self.problems: list[Problem] = []
        self.losses: dict[str, Loss] = {}
        self.selected: dict[str, Selected] = {}

    @property
    def stopped(self) -> bool:
        """Whether the run must end now."""
        return self.error is not None

    def timings_of(self, name: str, kind: str) -> NodeTimings:
        """Return the timings of a node, new ones at the first call."""
        return self.timings.setdefault(name, NodeTimings(name, kind))

    def warn(self, problem: Problem) -> None:
        """Keep a warning of a node, and log it at once, because a run may take hours."""
        with self._lock:
            self.problems.append(problem)
        print_problems([problem])

    def cancel(self, why: str) -> None:
        """End the run because the user or the caller wants it; ``why`` is the text of the error."""
        with self._lock:
            self.error = self.error or Cancelled(why)

    def fail(
        self,
        timings: NodeTimings,
        error: BaseException,
        *,
        doing: str = "",
        frame: int | None = None,
        time: Fraction | None = None,
        hint: str = "",
    ) -> None:
        """End the run because a node failed.

        Args:
            timings: Timings of the node, which name it.
            error: The exception. Any but a BmfgraphError is converted by :func:`failure`.
            doing: Description of the node's activity where it did not process a frame.
            frame: Index of the frame that the node processed.
            time: Presentation time of that frame in seconds.
            hint: Advice for the user.
        """
        if isinstance(error, BmfgraphError):
            reported = error
        else:
            reported = failure(timings.name, timings.kind, error, doing=doing, frame=frame, time=time, hint=hint)
        if isinstance(reported, RunError) and reported.problems[0].code == codes.NODE_FAILURE:
            reported = _with_shortage(reported)
        with self._lock:
            if self.error is None:
                self.error = reported
                self.trace = "".join(traceback.format_exception(error))


def _with_shortage(error: RunError) -> RunError:
    """Return the error, or one that names the shortage which has probably caused it.

    FFmpeg gives an allocation that failed many names, and often none.
    """
    if (problem := shortage(error.cause)) is None:
        return error
    return RunError(
        error.node,
        error.kind,
        problem.message,
        frame=error.frame,
        time=error.time,
        hint=problem.hint,
        code=problem.code,
    )


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
    """Convert an exception of a node to a RunError.

    Args:
        name: Name of the node.
        kind: Kind of the node.
        error: The exception.
        doing: Description of the node's activity where it did not process a frame.
        frame: Index of the frame that the node processed.
        time: Presentation time of that frame in seconds.
        hint: Advice for the user; the default depends on the exception.

    Returns:
        The error, to be raised or reported by the caller: E801, or the code of what the surroundings lack.
    """
    code: str = codes.NODE_FAILURE
    if (problem := obstacle(error)) is not None:
        cause, hint, code = problem.message, problem.hint, problem.code
    elif isinstance(error, OSError) and error.strerror:
        cause = error.strerror + (f": {str(error.filename)!r}" if error.filename else "")
        if error.errno in DISK_FULL:
            hint = hint or "make room on the disk, or write elsewhere"
    else:
        line = first_line(error)
        bmf_error = _BMF_ERROR.search(line)
        cause = bmf_error[1] if bmf_error else type(error).__name__ + (f": {line}" if line else "")
    if doing:
        cause = f"{doing}: {cause}"
    return RunError(
        name,
        kind,
        cause,
        frame=frame,
        time=time,
        hint=hint or "debug=true shows where it happened",
        code=code,
    )
