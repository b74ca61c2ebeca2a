"""Define the base of the BMF modules that run nodes.

BMF's own decoder, filters and encoder run inside such a module too. That gives every node three things that BMF
lacks: a failure names its node, each call is timed, and any node can end the run. To end a run early, every node
passes an end of stream on instead of its output, and BMF takes the graph down as usual. An exception thrown through
BMF would leak its threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from bmf import Module, Packet, ProcessResult, Timestamp

from bmfgraph.plan.description import BmfModuleSpec
from bmfgraph.plan.types import FrameSpec
from bmfgraph.runner.monitor import NodeTimings, RunMonitor
from bmfgraph.stages.items import Frame, batches

__all__ = ["HANDOVER", "MICRO", "BmfModule", "ModuleConfig", "OutputStream"]

MICRO = 1_000_000
"""Ticks per second of the timestamps of BMF's packets."""


@dataclass(frozen=True)
class OutputStream:
    """Describe one output stream of a BMF node.

    Attributes:
        port: Number of the node's output port.
    """

    port: int


@dataclass
class ModuleConfig:
    """Configure the module that a spec's ``bmf_module`` names; the module takes it from ``HANDOVER``.

    Attributes:
        timings: Timings of the node.
        monitor: Monitor of the run.
        spec: The module and its options.
        params: Parameters of the node.
        arity: Number of streams that enter the node.
        outputs: Streams that leave the node.
        frames: Type of the node's frames: those that leave it, or those that enter a sink; None without any.
        stream: The CUDA stream of the run's stages; None where none of them is on the GPU.
        batch: Largest number of frames that travel together.
        kept: Of a sink, where the run is one part of a clip: numbers of the first frame that is written, and of the
            first one behind them.
    """

    timings: NodeTimings
    monitor: RunMonitor
    spec: BmfModuleSpec
    params: Any = None
    arity: int = 0
    outputs: tuple[OutputStream, ...] = ()
    frames: FrameSpec | None = None
    stream: Any = None
    batch: int = 1
    kept: tuple[int, int] | None = None


HANDOVER: dict[str, Any] = {}
"""Configs of modules that BMF has not created yet, by key. BMF passes options as JSON only, so the option is the key.
Each module removes its config when it is created."""


class BmfModule(Module):  # type: ignore[misc]
    """Base of all modules. It ends the streams of a stopped run, and never raises into BMF."""

    monitor: RunMonitor
    name: str

    def _taken(self, option: dict[str, Any]) -> ModuleConfig:
        """Take the module's config from ``HANDOVER``, and register the node."""
        config = HANDOVER.pop(option["job"])
        assert isinstance(config, ModuleConfig)
        self._register(config.monitor, config.timings.name)
        return config

    def _register(self, monitor: RunMonitor, name: str) -> None:
        self.monitor, self.name = monitor, name
        monitor.started()
        monitor.working.add(name)

    def process(self, task: Any) -> Any:
        """Do the work of one BMF task, or end the streams where the run is stopped."""
        try:
            if self.monitor.stopped:
                self._end(task)
            else:
                self._work(task)
        except BaseException as error:
            try:
                self._report(error)
            finally:
                # Building the error message can itself fail on a malformed item.
                self.monitor.fail(self.monitor.timings_of(self.name, "node"), error)
                self._end(task)
        return ProcessResult.OK

    def close(self) -> None:
        """Mark the node as closed."""
        self.monitor.working.discard(self.name)

    def _work(self, task: Any) -> None:
        """Take packets from the task's inputs, and put packets into its outputs."""
        raise NotImplementedError

    def _report(self, error: BaseException) -> None:
        """Report the failure to the monitor, with the node and the frame."""
        raise NotImplementedError

    def _put(self, outputs: Any, streams: Iterable[int], item: Any, at: Fraction) -> None:
        """Put an item on the output streams of these numbers; ``at`` is its time in seconds."""
        for number in streams:
            packet = Packet(item)
            packet.timestamp = round(at * MICRO)
            outputs[number].put(packet)

    def _put_frames(self, outputs: Any, streams: Iterable[int], frames: Sequence[Frame], size: int) -> None:
        """Put frames on the output streams, in batches of at most ``size``."""
        numbers = tuple(streams)
        for batch in batches(frames, size):
            self._put(outputs, numbers, batch, batch.items[0].time)

    def _end(self, task: Any) -> None:
        """Drop all input, and put an end of stream on every output."""
        for queue in task.get_inputs().values():
            while not queue.empty():
                queue.get()
        for queue in task.get_outputs().values():
            queue.put(Packet.generate_eof_packet())
        task.timestamp = Timestamp.DONE
