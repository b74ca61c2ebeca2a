"""Runs the recipe's commands as processes of their own, side by side over the GPUs, until a time is up."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_CAPACITY = 5  # of a device: a network and two small jobs, or five small jobs
_SECONDS_A_LOOK = 0.5
_LEAST = 20.0  # seconds; with less no job starts
_GRACE = 20.0  # seconds that a job gets to end after its time is up, and again after it was told to
_TAIL = 1500  # characters of a failed job's log that are shown

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A command of the recipe.

    Attributes:
        name: of the job and of its log.
        arguments: of ``recipe``; ``--seconds-now`` and the seconds that are left are added to them.
        is_done: whether there is nothing left to do.
        after: names of jobs that must be done before.
        weight: share of a device's capacity of 5 that it fills.
    """

    name: str
    arguments: Sequence[str]
    is_done: Callable[[], bool]
    after: Sequence[str] = ()
    weight: int = 1


@dataclass
class _Running:
    job: Job
    device: str
    process: subprocess.Popen[bytes]


def run_jobs(jobs: Sequence[Job], devices: Sequence[str], seconds: float, logs: Path) -> dict[str, str]:
    """Runs jobs in order, each as soon as what it needs is done and a device has room for it.

    A job that fails stops only those that need it.  A job that is not done when its process ends is left for
    the next call.

    Args:
        jobs: what to run.
        devices: values of ``CUDA_VISIBLE_DEVICES``; one empty string for the CPU.
        seconds: time for all of it.
        logs: folder for ``<job>.log``, to which every call adds; made when missing.

    Returns:
        "done", "failed", "unfinished" or "not started", by job.
    """
    logs.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + seconds
    waiting, states = list(jobs), {job.name: "not started" for job in jobs}
    running: list[_Running] = []
    try:
        while waiting or running:
            left = deadline - time.monotonic()
            for job in list(waiting) if left > _LEAST else []:
                if job.is_done():
                    states[job.name] = "done"
                elif any(states[name] == "failed" for name in job.after):
                    states[job.name] = "failed"
                else:
                    room = {device: _CAPACITY - _load(running, device) for device in devices}
                    device = max(room, key=lambda name: room[name])
                    if room[device] < job.weight or any(states[name] != "done" for name in job.after):
                        continue
                    running.append(_Running(job, device, _start(job, device, left, logs)))
                    states[job.name] = "unfinished"
                waiting.remove(job)
            for some in list(running):
                if some.process.poll() is not None:
                    running.remove(some)
                    states[some.job.name] = _ended(some, logs)
            if left <= _LEAST:
                waiting = []
                _press(running, -left)
            time.sleep(_SECONDS_A_LOOK)
    finally:
        for some in running:
            some.process.terminate()
    return states


def _load(running: Sequence[_Running], device: str) -> int:
    return sum(some.job.weight for some in running if some.device == device)


def _start(job: Job, device: str, left: float, logs: Path) -> subprocess.Popen[bytes]:
    _log.info("%s starts%s, %.0f s left", job.name, f" on GPU {device}" if device else "", left)
    command = [sys.executable, "-m", f"{__package__}.recipe", *job.arguments, "--seconds-now", str(round(left, 1))]
    with (logs / f"{job.name}.log").open("ab") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | {"CUDA_VISIBLE_DEVICES": device}
        )


def _ended(some: _Running, logs: Path) -> str:
    code = some.process.returncode
    state = "done" if some.job.is_done() else "unfinished" if code == 0 else "failed"
    _log.info("%s: %s, exit status %d", some.job.name, state, code)
    if state == "failed":
        _log.warning("%s", (logs / f"{some.job.name}.log").read_text(errors="replace")[-_TAIL:])
    return state


def _press(running: Sequence[_Running], over: float) -> None:
    """Tells jobs to end that are late by more than the grace, and ends them after another."""
    for some in running:
        if over > 2 * _GRACE:
            some.process.kill()
        elif over > _GRACE:
            some.process.terminate()
