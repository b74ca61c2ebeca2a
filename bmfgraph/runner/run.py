"""Run a plan: start BMF's graph, wait for its end, and raise one exception for any failure."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bmfgraph.plan.plan import Plan
from bmfgraph.plan.types import TensorSpec
from bmfgraph.runner.completeness import check_complete
from bmfgraph.runner.interrupts import stopped_by_signals
from bmfgraph.runner.monitor import NodeTimings, RunMonitor
from bmfgraph.runner.outputs import full_disk, temporary_outputs
from bmfgraph.runner.result import RunResult
from bmfgraph.system import ffmpeg, ffmpeg4, heap
from bmfgraph.system.bmf_signals import signals_left_alone
from bmfgraph.system.console import logger
from bmfgraph.system.progress import Progress, ProgressCallback
from bmfgraph.system.stdio import signals_kept, terminal_muted

__all__ = ["Tap", "run_plan", "steady_fps"]

Tap = Callable[..., None]
"""Receives the items of one frame, one from each input of a ``collect`` node."""

_POLL = 0.05
_PATIENCE = 4.0
"""Seconds that a stopped graph may take to end before it is abandoned."""
_GRAPHS = threading.Lock()
"""Held by the run that has a graph: BMF aborts when two graphs are created or destroyed at once, and changes its table
of modules without a lock."""


def run_plan(
    plan: Plan,
    *,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    taps: Mapping[str, Tap] | None = None,
    monitor: RunMonitor | None = None,
) -> RunResult:
    """Run a plan to its end. Output files appear under their names only if the whole run succeeds.

    Several plans may run at once, on threads of their own. If the error's attribute ``abandoned`` is true, a node did
    not return from its work, and its threads go on.

    Args:
        plan: A plan whose engines exist.
        overwrite: Replace outputs that exist.
        progress: Called about 20 times a second, on this thread.
        taps: Receivers of the items that reach ``collect`` nodes, by node name; called on BMF's threads.
        monitor: Watches this run; its ``cancel`` stops it from another thread.

    Raises:
        RunError: A node failed; names the node, the frame and its time.
        Cancelled: The run was stopped, by SIGINT or SIGTERM if this is the main thread, or by ``monitor.cancel``.
        EngineError: An engine cannot be loaded.
        InstallError: A library is missing.
    """
    began = time.perf_counter()
    heap.limit_arenas()
    heap.keep_blocks()
    # BMF's own logger reads it once, when it is loaded.
    os.environ.setdefault("BMF_LOG_LEVEL", "FATAL")
    source = ffmpeg4.prepare()
    monitor = monitor or RunMonitor()
    with (
        stopped_by_signals(monitor) as interruptible,
        monitor.held,
        temporary_outputs(plan, overwrite=overwrite) as (working, publish),
    ):
        try:
            engines = _drive(working, monitor, progress, taps or {}, interruptible)
        except KeyboardInterrupt:
            if monitor.error is None:
                raise
        _raise(monitor, plan)
        warnings = check_complete(plan, monitor)
        _raise(monitor, plan)
        outputs = publish()
    heap.trim()
    sink = max((monitor.timings[node.name] for node in plan if not node.outputs), key=lambda timings: timings.frames)
    first = sink.first_done or began
    return RunResult(
        plan=plan,
        seconds=time.perf_counter() - began,
        frames=sink.frames,
        first_frame_seconds=first - began,
        steady_fps=steady_fps(sink, _burst(plan), began),
        outputs={name: output.path for name, output in outputs.items()},
        sizes={name: output.size for name, output in outputs.items()},
        timings=monitor.timings,
        engines=engines,
        ffmpeg={"pyav": ffmpeg.ffmpeg_version(), "bmf": f"{ffmpeg4.version()} from {source}"},
        warnings=tuple(warnings),
        problems=tuple(monitor.problems),
        losses=monitor.losses,
        selected=monitor.selected,
        peak_rss=_peak_rss(),
        peak_gpu=_peak_gpu(plan),
    )


def _burst(plan: Plan) -> int:
    """Return the number of frames that arrive at once: those decoded ahead, and a batch of frames or of windows."""
    batches = (engine.batch for _, engine in plan.engines())
    types = (port.type for node in plan for port in node.outputs)
    windows = (len(kind.window.outputs) for kind in types if isinstance(kind, TensorSpec))
    ahead = max((getattr(node.params, "ahead", 0) for node in plan), default=0)
    return plan.batch * ahead + max(plan.batch, max(batches, default=1) * max(windows, default=1))


def steady_fps(sink: NodeTimings, burst: int, began: float) -> float:
    """Return the frames per second after the first burst.

    Args:
        sink: Timings of the sink.
        burst: Number of frames that arrive at once. With fewer than three bursts, the rate of the whole run counts.
        began: Clock at the start of the run, in seconds.
    """
    count, since, done = sink.frames, began, sink.done
    if done.count >= 3 * burst:
        place = -(-(burst - 1) // done.step)
        count, since = done.count - 1 - place * done.step, done[place]
    return count / (sink.last_done - since) if sink.last_done > since else 0.0


def _raise(monitor: RunMonitor, plan: Plan) -> None:
    if monitor.error:
        monitor.error.trace = monitor.trace
        raise full_disk(monitor.error, plan) or monitor.error


def _drive(
    plan: Plan,
    monitor: RunMonitor,
    progress: ProgressCallback | None,
    taps: Mapping[str, Tap],
    interruptible: contextlib.AbstractContextManager[None],
) -> dict[str, str]:
    """Create the graph and wait for its end. Return the description of each inference node's engine, by node name."""
    with terminal_muted(), _root_logger_kept(), heap.collection_paused():
        from bmfgraph.runner.graph import NO_MODULES, assemble
        from bmfgraph.runner.modules.base import HANDOVER
    expected = max((info.frames for _, info in plan.sources()), default=0)
    sinks = [node.name for node in plan if not node.outputs]

    def report_progress() -> None:
        if progress:
            frames = max((monitor.timings[name].frames for name in sinks), default=0)
            progress(Progress(plan.name, frames, expected, "frames"))

    with interruptible, heap.collection_paused():
        assembly = assemble(plan, monitor)
        for stage in assembly.stages:
            if stage.name in taps:
                stage.receive = taps[stage.name]  # type: ignore[attr-defined]
    engines = {
        stage.name: stage.engine_description for stage in assembly.stages if hasattr(stage, "engine_description")
    }
    try:
        for name, runs_on in engines.items():
            node = plan.node(name)
            logger.info("%s: %s in %s", name, node.spec.engine_request(node).model, runs_on)
        if not monitor.stopped:
            with heap.existing_objects_frozen():
                _run_graph(assembly.config, monitor, report_progress)
    finally:
        # Threads of an abandoned run still use the stages.
        if not getattr(monitor.error, "abandoned", False):
            for callback in monitor.on_shutdown:
                callback()
            for stage in assembly.stages:
                _close_stage(plan, stage, monitor)
        for config in assembly.config["nodes"]:
            # BMF takes the entry when it creates the node; it is left if the graph was never created.
            HANDOVER.pop(config["option"]["job"], None)
        with _GRAPHS:
            while NO_MODULES in sys.path:
                sys.path.remove(NO_MODULES)
    return engines


@contextlib.contextmanager
def _root_logger_kept() -> Iterator[None]:
    """Remove the handlers that BMF adds to the root logger when it is imported."""
    handlers = logging.root.handlers[:]
    try:
        yield
    finally:
        logging.root.handlers[:] = handlers


def _run_graph(config: dict[str, Any], monitor: RunMonitor, report_progress: Callable[[], None]) -> None:
    """Run a graph to its end, or until it is abandoned."""
    from bmf.lib._bmf import engine

    signals_left_alone()
    ended = threading.Event()
    graphs: list[Any] = []
    started = threading.Event()
    # The thread starts before the graph: a graph that is never closed aborts the process at its end.
    threading.Thread(target=_close, args=(graphs, monitor, started, ended), daemon=True, name="bmfgraph-close").start()
    try:
        with _GRAPHS, signals_kept() as monitor.started, terminal_muted():
            if not monitor.stopped:
                graphs.append(engine.Graph(json.dumps(config), False, True))
                try:
                    graphs[0].start()
                except Exception as error:
                    monitor.fail(monitor.timings_of("graph", "bmf"), error, doing="cannot start")
    finally:
        started.set()
    try:
        _wait(ended, monitor, report_progress)
    except BaseException:
        # The caller's progress callback may raise.
        monitor.cancel("the caller gave up")
        _wait(ended, monitor, lambda: None)
        raise


def _close(graphs: list[Any], monitor: RunMonitor, started: threading.Event, ended: threading.Event) -> None:
    """Wait for the graph's start and for its end inside BMF, and destroy the graph."""
    started.wait()
    if graphs:
        graph = graphs.pop()
        try:
            graph.close()
        except BaseException as error:
            monitor.fail(monitor.timings_of("graph", "bmf"), error)
        with _GRAPHS:
            del graph
    ended.set()


def _wait(ended: threading.Event, monitor: RunMonitor, report_progress: Callable[[], None]) -> None:
    stopped_at: float | None = None
    while not ended.wait(_POLL):
        report_progress()
        if monitor.stopped:
            stopped_at = stopped_at or time.monotonic()
            if monitor.second_signal or time.monotonic() - stopped_at > _PATIENCE:
                monitor.error.abandoned = True  # type: ignore[union-attr]
                return
    if not monitor.stopped:
        report_progress()


def _close_stage(plan: Plan, stage: Any, monitor: RunMonitor) -> None:
    from bmfgraph.runner.graph import without_capture

    try:
        with without_capture(stage.device):
            stage.close()
    except Exception as error:
        node = plan.node(stage.name)
        monitor.fail(monitor.timings_of(node.name, node.kind), error, doing="cannot be closed")


def _peak_rss() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _peak_gpu(plan: Plan) -> int | None:
    if not plan.uses_gpu:
        return None
    import torch

    return torch.cuda.max_memory_reserved()
