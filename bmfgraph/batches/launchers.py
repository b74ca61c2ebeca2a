"""Run the clips of a batch in this process, or on the workers of a Ray cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.batches.staging import run_clip
from bmfgraph.config.job import JobSpec
from bmfgraph.errors import BmfgraphError, Cancelled, InstallError, RunError, first_line
from bmfgraph.runner.result import RunResult
from bmfgraph.system.console import say
from bmfgraph.system.progress import Progress, ProgressCallback

__all__ = ["Launch", "launcher"]

Launch = Callable[[Mapping[str, Any], bool | None, ProgressCallback], RunResult]
"""Runs a configuration, which may replace its outputs if the second argument is true."""
_POLL = 0.2
"""Seconds between two questions for a worker's progress."""
_START = 120.0
"""Seconds in which the first worker must start."""
_END = 5.0
"""Seconds in which a clip must end when the batch stops."""
_NOTHING = Progress("", 0, 0, "frames")
_RESTARTS = 3
"""Number of times that Ray runs a clip again whose worker has died."""


@contextlib.contextmanager
def launcher(spec: JobSpec, isolated: bool | None) -> Iterator[Launch]:
    """Give what runs clips, as the key ``launcher`` says.

    Args:
        spec: The common configuration.
        isolated: As for :meth:`bmfgraph.Job.run`.

    Raises:
        InstallError: Ray is not installed.
        BmfgraphError: Ray cannot start, or the cluster cannot be reached.
    """
    if spec.launcher == "ray":
        with _ray_workers(spec) as launch:
            yield launch
        return
    apart = True if spec.launcher == "local" else isolated

    def run(config: Mapping[str, Any], overwrite: bool | None, report: ProgressCallback) -> RunResult:
        return run_clip(config, overwrite, report, apart)

    yield run


# ------------------------------------------------------------------------------------------------------ Ray


@dataclass(frozen=True)
class _Outcome:
    """What a worker sends back: a result or an error, and where it ran."""

    result: RunResult | None
    error: BmfgraphError | None
    place: str


class _Worker:
    """Run clips in a process of the cluster, which keeps its engines from clip to clip."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._stopped = False
        self._place = f"{socket.gethostname()}, process {os.getpid()}"

    def run(self, config: Mapping[str, Any], overwrite: bool | None) -> _Outcome:
        """Run a configuration."""
        self._progress = None
        try:
            result = run_clip(config, overwrite, self._note)
        except BmfgraphError as error:
            return _Outcome(None, error, self._place)
        return _Outcome(result, None, self._place)

    def _note(self, progress: Progress) -> None:
        self._progress = progress
        if self._stopped:
            raise Cancelled("the batch stops")

    def stop(self) -> None:
        """End the clip, so that its temporary files are deleted."""
        self._stopped = True

    def progress(self) -> Progress | None:
        """Return how far the clip is."""
        return self._progress


@contextlib.contextmanager
def _ray_workers(spec: JobSpec) -> Iterator[Launch]:
    try:
        import ray
    except ModuleNotFoundError:
        raise InstallError(
            "launcher=ray: Ray is not installed", hint="pip install 'bmfgraph[ray]'", code=codes.MISSING_RAY
        ) from None
    # Ray would report its use to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    started = not ray.is_initialized()
    if started:
        try:
            # The cluster of RAY_ADDRESS; without one, workers on this machine.
            ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False, configure_logging=False)
        except Exception as error:
            raise BmfgraphError(
                f"launcher=ray: the cluster cannot be reached ({first_line(error)})",
                hint="start it with `ray start --head`, correct RAY_ADDRESS, or unset it to run on this machine",
                path="launcher",
                code=codes.CLUSTER_FAILURE,
            ) from None
    workers = _Workers(ray, spec)
    try:
        yield workers.run
    finally:
        workers.end()
        if started:
            ray.shutdown()


class _Workers:
    """The workers of a batch. Each thread of the batch uses one at a time; Ray starts a dead one again."""

    def __init__(self, ray: Any, spec: JobSpec) -> None:
        self._ray = ray
        total = ray.cluster_resources().get("CPU", 1)
        cpus = min(1, total / spec.parallel) if spec.resources.cpus is None else spec.resources.cpus
        needs = {"num_cpus": cpus, "num_gpus": spec.resources.gpus}
        # The second thread answers the questions for the progress.
        options = {"max_restarts": -1, "max_task_retries": _RESTARTS, "max_concurrency": 2}
        self._kind = ray.remote(**needs, **options)(_Worker)
        self._needs = f"{cpus:g} CPUs" + f" and {spec.resources.gpus:g} GPUs" * bool(spec.resources.gpus)
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._starting: dict[Any, Any] = {}
        self._all: list[Any] = []
        for _ in range(spec.parallel):
            self._start()

    def _start(self) -> None:
        worker = self._kind.remote()
        with self._guard:
            self._all.append(worker)
            self._starting[worker.progress.remote()] = worker

    def run(self, config: Mapping[str, Any], overwrite: bool | None, report: ProgressCallback) -> RunResult:
        """Run a configuration on a worker that is idle."""
        worker = self._next(report)
        try:
            outcome = self._watched(worker, worker.run.remote(dict(config), overwrite), report)
        except BmfgraphError:
            # The batch stops, or the worker is lost: only its end ends the work.
            self._ray.kill(worker)
            self._start()
            raise
        self._idle.put(worker)
        if outcome.error is not None:
            say(f"{config['input']}: failed on {outcome.place}")
            raise outcome.error
        assert outcome.result is not None
        say(f"{config['input']}: {outcome.result.frames} frames in {outcome.result.seconds:.1f} s on {outcome.place}")
        return outcome.result

    def _next(self, report: ProgressCallback) -> Any:
        """Wait for an idle worker. Those that the cluster has no room for are not waited for."""
        began = time.monotonic()
        while True:
            with contextlib.suppress(queue.Empty):
                return self._idle.get(timeout=_POLL)
            report(_NOTHING)
            with self._guard:
                ready = self._ray.wait(list(self._starting), timeout=0)[0] if self._starting else []
                for reference in ready:
                    self._idle.put(self._starting.pop(reference))
                none = len(self._starting) == len(self._all)
            if none and time.monotonic() - began > _START:
                raise RunError(
                    "batch",
                    "pipeline",
                    f"no worker started within {_START:.0f} s: each needs {self._needs}, and the cluster has "
                    f"{self._ray.available_resources()} left",
                    hint="set resources.cpus and resources.gpus to what a node has, or wait for other work to end",
                    path="resources",
                    code=codes.CLUSTER_FAILURE,
                )

    def _watched(self, worker: Any, work: Any, report: ProgressCallback) -> _Outcome:
        """Wait for a clip's end, and report its progress."""
        asked = None
        try:
            while True:
                if self._ray.wait([work], timeout=_POLL)[0]:
                    outcome: _Outcome = self._ray.get(work)
                    return outcome
                asked, progress = asked or worker.progress.remote(), None
                if self._ray.wait([asked], timeout=0)[0]:
                    progress, asked = self._ray.get(asked), None
                report(progress or _NOTHING)
        except BmfgraphError:
            worker.stop.remote()
            self._ray.wait([work], timeout=_END)
            raise
        except self._ray.exceptions.RayError as error:
            raise RunError(
                "batch",
                "pipeline",
                f"its worker was lost {_RESTARTS + 1} times ({type(error).__name__})",
                hint="see the logs of the cluster in /tmp/ray; the next command tries the clip again",
                path="launcher",
                code=codes.LOST_WORKER,
            ) from None

    def end(self) -> None:
        """End all workers."""
        for worker in self._all:
            self._ray.kill(worker)
