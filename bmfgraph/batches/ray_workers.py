"""Do work on the workers of a Ray cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.batches.work import NOTHING, POLL, Call, Outcome, Work, outcome_of
from bmfgraph.config.job import JobSpec, share
from bmfgraph.errors import BmfgraphError, Cancelled, InstallError, RunError, first_line
from bmfgraph.system.progress import Progress, ProgressCallback

__all__ = ["ray_workers"]

_START = 120.0
"""Seconds in which the first worker must start."""
_END = 5.0
"""Seconds in which work must end when the batch stops."""
_RESTARTS = 3
"""Number of times that Ray does work again whose worker has died."""


class _Worker:
    """Do work in a process of the cluster, which keeps its engines from clip to clip."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._stopped = False
        self._place = f"{socket.gethostname()}, process {os.getpid()}"

    def call(self, work: Work) -> Outcome:
        """Do the work."""
        self._progress = None
        return outcome_of(work, self._note, self._place)

    def _note(self, progress: Progress) -> None:
        self._progress = progress
        if self._stopped:
            raise Cancelled("the batch stops")

    def stop(self) -> None:
        """End the work, so that its temporary files are deleted."""
        self._stopped = True

    def progress(self) -> Progress | None:
        """Return how far the clip is."""
        return self._progress


@contextlib.contextmanager
def ray_workers(spec: JobSpec) -> Iterator[Call]:
    """Start workers, and give the function that has them do work.

    Raises:
        InstallError: Ray is not installed.
        BmfgraphError: Ray cannot start, or the cluster cannot be reached.
    """
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
        yield workers.call
    finally:
        workers.end()
        if started:
            ray.shutdown()


class _Workers:
    """The workers of a batch. Each thread of the batch uses one at a time; Ray starts a dead one again."""

    def __init__(self, ray: Any, spec: JobSpec) -> None:
        self._ray = ray
        total = ray.cluster_resources()
        cpus = share(spec.resources.cpus, total.get("CPU", 1), spec.parallel)
        gpus = share(spec.resources.gpus, total.get("GPU", 0) if spec.device != "cpu" else 0, spec.parallel)
        needs = {"num_cpus": cpus, "num_gpus": gpus}
        # The second thread answers the questions for the progress.
        options = {"max_restarts": -1, "max_task_retries": _RESTARTS, "max_concurrency": 2}
        self._kind = ray.remote(**needs, **options)(_Worker)
        self._needs = f"{cpus:g} CPUs" + f" and {gpus:g} GPUs" * bool(gpus)
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

    def call(self, work: Work, report: ProgressCallback) -> Outcome:
        """Have a worker that is idle do some work."""
        worker = self._next(report)
        try:
            outcome = self._watched(worker, worker.call.remote(work), report)
        except BmfgraphError:
            # The batch stops, or the worker is lost: only its end ends the work.
            self._ray.kill(worker)
            self._start()
            raise
        self._idle.put(worker)
        return outcome

    def _next(self, report: ProgressCallback) -> Any:
        """Wait for an idle worker. Those that the cluster has no room for are not waited for."""
        began = time.monotonic()
        while True:
            with contextlib.suppress(queue.Empty):
                return self._idle.get(timeout=POLL)
            report(NOTHING)
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

    def _watched(self, worker: Any, work: Any, report: ProgressCallback) -> Outcome:
        """Wait for a clip's end, and report its progress."""
        asked = None
        try:
            while True:
                if self._ray.wait([work], timeout=POLL)[0]:
                    outcome: Outcome = self._ray.get(work)
                    return outcome
                asked, progress = asked or worker.progress.remote(), None
                if self._ray.wait([asked], timeout=0)[0]:
                    progress, asked = self._ray.get(asked), None
                report(progress or NOTHING)
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
