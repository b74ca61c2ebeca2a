"""What all BMF modules of ours share: each hosts one node, or a chain of them, inside BMF's graph.

Hosting the native decoder, filters and encoder too gives every node the same three things that BMF
lacks: a failure names its node, each call is timed, and any node can end the run. A run ends early by
every node passing an end of stream on instead of work, so that BMF takes the graph down as usual: an
exception thrown through BMF would leak its threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from bmf import Module, Packet, ProcessResult, Timestamp

from bmfgraph.plan.description import BmfModuleSpec
from bmfgraph.plan.types import Matrix
from bmfgraph.runner.monitor import NodeTimings, RunMonitor

__all__ = ["HANDOVER", "MICRO", "BmfModule", "ModuleConfig", "OutputStream"]

MICRO = 1_000_000
"""BMF's packets count time in microseconds."""


@dataclass(frozen=True)
class OutputStream:
    """One outgoing stream. ``video_frame``: BMF's own packets, for native nodes; ``item``: our objects."""

    port: int
    payload: Literal["video_frame", "item"]


@dataclass
class ModuleConfig:
    """The node that a module runs, taken from ``HANDOVER`` by the module that a spec's ``bmf_module`` names."""

    meter: NodeTimings
    watch: RunMonitor
    spec: BmfModuleSpec
    params: Any = None
    outlets: tuple[OutputStream, ...] = ()
    matrix: Matrix = "bt709"
    """YUV matrix of the frames that it produces."""


HANDOVER: dict[str, Any] = {}
"""Hand-over to the modules that BMF makes by name: it passes options as JSON only. Emptied as they start."""


class BmfModule(Module):  # type: ignore[misc]
    """What both hosts do alike: end the stream when the run is stopped, and never throw through BMF."""

    watch: RunMonitor
    name: str

    def _begin(self, watch: RunMonitor, name: str) -> None:
        self.watch, self.name = watch, name
        watch.started()
        watch.working.add(name)

    def process(self, task: Any) -> Any:
        try:
            if self.watch.stopped:
                self._end(task)
            else:
                self._work(task)
        except BaseException as error:
            try:
                self._failed(error)
            finally:
                # An item that a stage broke may break the telling, too.
                self.watch.fail(self.watch.meter(self.name, "node"), error)
                self._end(task)
        return ProcessResult.OK

    def close(self) -> None:
        self.watch.working.discard(self.name)

    def _work(self, task: Any) -> None:
        raise NotImplementedError

    def _failed(self, error: BaseException) -> None:
        raise NotImplementedError

    def _end(self, task: Any) -> None:
        for queue in task.get_inputs().values():
            while not queue.empty():
                queue.get()
        for queue in task.get_outputs().values():
            queue.put(Packet.generate_eof_packet())
        task.timestamp = Timestamp.DONE
