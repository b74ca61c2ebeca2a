"""What the nodes of one run share: how it stands, the first failure, and how long each node took."""

from __future__ import annotations

import threading
import traceback
from array import array
from dataclasses import dataclass, field
from fractions import Fraction

from bmfgraph.errors import BmfgraphError, Cancelled, RunError

__all__ = ["Meter", "Watch"]


@dataclass
class Meter:
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


class Watch:
    """One run as its nodes see it. The first failure wins; every node asks ``stopped`` before it goes on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.error: BmfgraphError | None = None
        self.trace = ""
        self.meters: dict[str, Meter] = {}
        self.ffmpeg_log: list[str] = []
        """What FFmpeg complained of, oldest first."""

    @property
    def stopped(self) -> bool:
        """Whether the run shall end now."""
        return self.error is not None

    def meter(self, name: str, kind: str) -> Meter:
        """The meter of a node, made once."""
        return self.meters.setdefault(name, Meter(name, kind))

    def cancel(self, why: str) -> None:
        """End the run, because somebody asked to."""
        with self._lock:
            self.error = self.error or Cancelled(why)

    def fail(self, meter: Meter, error: BaseException, *, hint: str = "") -> None:
        """End the run, because a node failed on the frame after the last that it finished."""
        if isinstance(error, BmfgraphError):
            told = error
        else:
            cause = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            told = RunError(meter.name, meter.kind, cause, frame=meter.frames, time=meter.last_time, hint=hint)
        with self._lock:
            if self.error is None:
                self.error = told
                self.trace = "".join(traceback.format_exception(error))
