"""Run a plan: start BMF's graph, watch it, and turn every end but the good one into one exception."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from bmfgraph import ffmpeg4
from bmfgraph.errors import RunError
from bmfgraph.nodes.decoder import DecoderWork
from bmfgraph.plan import Plan, PlanNode
from bmfgraph.quiet import signals_kept, terminal_muted

__all__ = ["Outcome", "Progress", "run_plan"]

Progress = Callable[[int, int], None]
"""Called now and then with the frames written so far and those expected (0: unknown)."""

_POLL = 0.05
_PATIENCE = 4.0
"""Seconds that a stopped graph gets to come down before it is left behind."""
_GRAPHS = threading.Lock()
"""BMF aborts the process when two graphs are made or destroyed at once."""


@dataclass(frozen=True)
class Outcome:
    """How a run went."""

    plan: Plan
    seconds: float
    """Wall time from start to the last rename."""
    frames: int
    """Frames written by the sink that wrote most."""
    outputs: tuple[Path, ...]
    meters: dict[str, Any]
    """Node name -> :class:`bmfgraph.nodes.modules.watch.Meter`."""
    engines: dict[str, str]
    """Inference node -> what ran it."""
    ffmpeg: str
    warnings: tuple[str, ...]
    peak_rss: int
    """Bytes."""


def run_plan(plan: Plan, *, progress: Progress | None = None, announce: Callable[[str], None] | None = None) -> Outcome:
    """Run to the end. Output files appear under their names only if the whole run succeeds.

    ``announce`` is called with a line for every engine: what runs on what. Raises RunError (or Cancelled on
    SIGINT and SIGTERM, when called on the main thread) with the node that failed, EngineError, or InstallError.
    Afterwards the process can run the next plan.
    """
    began = time.perf_counter()
    # BMF's own logger reads this once, when it is loaded.
    os.environ.setdefault("BMF_LOG_LEVEL", "FATAL")
    source = ffmpeg4.prepare()
    with _partial_outputs(plan) as (working, publish):
        from bmfgraph.nodes.modules.watch import Watch

        watch = Watch()
        engines = _drive(working, watch, progress, announce or (lambda _: None))
        if watch.error:
            watch.error.trace = watch.trace  # type: ignore[attr-defined]
            raise watch.error
        warnings = _check_complete(plan, watch)
        outputs = publish()
    sinks = [watch.meters[node.name].frames for node in plan if not node.outputs]
    return Outcome(
        plan=plan,
        seconds=time.perf_counter() - began,
        frames=max(sinks, default=0),
        outputs=outputs,
        meters=watch.meters,
        engines=engines,
        ffmpeg=source,
        warnings=tuple(warnings),
        peak_rss=_peak_rss(),
    )


def _drive(plan: Plan, watch: Any, progress: Progress | None, announce: Callable[[str], None]) -> dict[str, str]:
    """Make the graph and wait for its end, good or bad. Returns what each inference ran on."""
    with terminal_muted():
        from bmf.lib._bmf import engine
        from bmf.lib._bmf.sdk import LogBuffer

        from bmfgraph.graph import assemble
    expected = max((node.work.frame_count for node in plan if isinstance(node.work, DecoderWork)), default=0)
    sinks = [node.name for node in plan if not node.outputs]
    with tempfile.TemporaryDirectory(prefix="bmfgraph-") as folder:
        assembly = assemble(plan, watch, folder)
        engines = {
            stage.name: stage.engine_description for stage in assembly.stages if hasattr(stage, "engine_description")
        }
        for name, runs_on in engines.items():
            announce(f"{name}: {plan.node(name).work.model} in {runs_on}")
        log = LogBuffer(watch.ffmpeg_log, "error")
        try:
            with _GRAPHS, signals_kept(), terminal_muted():
                graph = engine.Graph(json.dumps(assembly.config), False, True)
                graph.start()
            ended = threading.Event()
            threading.Thread(target=_close, args=(graph, watch, ended), daemon=True).start()
            with _signals(watch):
                _wait(ended, watch, progress, sinks, expected)
            with _GRAPHS:
                del graph
        finally:
            log.close()
            for stage in assembly.stages:
                stage.close()
            while folder in sys.path:
                sys.path.remove(folder)
    return engines


def _close(graph: Any, watch: Any, ended: threading.Event) -> None:
    try:
        graph.close()
    except BaseException as error:
        watch.fail(watch.meter("graph", "bmf"), error)
    finally:
        ended.set()


def _wait(ended: threading.Event, watch: Any, progress: Progress | None, sinks: list[str], expected: int) -> None:
    stopped_at: float | None = None
    while not ended.wait(_POLL):
        if progress:
            progress(max((watch.meters[name].frames for name in sinks), default=0), expected)
        if watch.stopped:
            stopped_at = stopped_at or time.monotonic()
            if time.monotonic() - stopped_at > _PATIENCE:
                watch.error.abandoned = True
                return
    if progress and not watch.stopped:
        progress(max((watch.meters[name].frames for name in sinks), default=0), expected)


@contextlib.contextmanager
def _signals(watch: Any) -> Iterator[None]:
    """SIGINT and SIGTERM stop the run; a second one of them stops the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: FrameType | None) -> None:
        if watch.stopped:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        watch.cancel({signal.SIGINT: "interrupted (Ctrl-C)", signal.SIGTERM: "terminated"}[signal.Signals(number)])

    saved = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in saved.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _partial_outputs(plan: Plan) -> Iterator[tuple[Plan, Callable[[], tuple[Path, ...]]]]:
    """Every sink writes beside its final name; ``publish`` renames, and whatever is left over is deleted."""
    from dataclasses import replace

    final: dict[str, Path] = {}
    parts: dict[str, Path] = {}
    nodes: list[PlanNode] = []
    try:
        for node in plan:
            if node.outputs or not getattr(node.work, "path", None):
                continue
            path = Path(node.work.path)
            final[node.name], parts[node.name] = path, _reserve(node, path)
            nodes.append(replace(node, work=replace(node.work, path=str(parts[node.name]))))

        def publish() -> tuple[Path, ...]:
            for name, path in final.items():
                parts[name].replace(path)
            return tuple(final.values())

        yield plan.replace(*nodes), publish
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _reserve(node: PlanNode, path: Path) -> Path:
    """Make an empty file beside ``path``: whoever may not write there learns it before a frame is decoded."""
    hint = f"set pipeline.nodes.{node.name}.path to a place where you may write"
    if path.is_dir():
        raise RunError(node.name, node.kind, f"output {str(path)!r} is a folder", hint=hint)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(13, "Permission denied")
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.fchmod(number, 0o666 & ~_umask())
        os.close(number)
    except OSError as error:
        raise RunError(
            node.name, node.kind, f"output {str(path)!r} cannot be written ({error.strerror})", hint=hint
        ) from None
    return Path(name)


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def _check_complete(plan: Plan, watch: Any) -> list[str]:
    """A decoder that ends early says nothing: compare what came with what the file promised."""
    warnings = []
    for node in plan:
        work = node.work
        if not isinstance(work, DecoderWork):
            continue
        meter = watch.meters[node.name]
        if meter.frames == 0:
            raise RunError(node.name, node.kind, "not one frame could be decoded", hint="is the file damaged?")
        reached = float(meter.last_time or 0) + float(work.tick)
        short = (
            work.frame_count - meter.frames > max(2, work.frame_count // 100)
            if work.exact_count
            else work.duration - reached > max(0.5, work.duration / 50)
        )
        if not short:
            continue
        promised = f"{work.frame_count} frames" if work.exact_count else f"{work.duration:.2f} s"
        came = f"{meter.frames} frames" if work.exact_count else f"{reached:.2f} s"
        text = f"the file promises {promised}, but only {came} could be decoded"
        if not work.allow_truncated:
            raise RunError(
                node.name,
                node.kind,
                text,
                frame=meter.frames,
                time=meter.last_time,
                hint="it is cut off or damaged; set decoder.allow_truncated=true to keep what is there",
            )
        warnings.append(f"{node.name}: {text}")
    return warnings


def _peak_rss() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
