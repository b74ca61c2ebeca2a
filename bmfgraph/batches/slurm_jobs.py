"""Do work as jobs of Slurm, through submitit; without Slurm, as processes of this machine."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.batches.work import NOTHING, POLL, Call, Outcome, Work, outcome_of
from bmfgraph.config.job import JobSpec, share
from bmfgraph.errors import InstallError, RunError, first_line
from bmfgraph.system.console import say
from bmfgraph.system.progress import ProgressCallback

__all__ = ["slurm_jobs"]

_LOGS = Path("outputs", "batch", "slurm")


@contextlib.contextmanager
def slurm_jobs(spec: JobSpec) -> Iterator[Call]:
    """Give the function that has work done as a job.

    Raises:
        InstallError: submitit is not installed.
    """
    try:
        import submitit
    except ModuleNotFoundError:
        raise InstallError(
            "launcher=slurm: submitit is not installed",
            hint="pip install 'bmfgraph[slurm]'",
            code=codes.MISSING_SUBMITIT,
        ) from None
    executor = submitit.AutoExecutor(folder=_LOGS)
    cpus = math.ceil(share(spec.resources.cpus, spec.parallel, spec.parallel))
    gpus = math.ceil(share(spec.resources.gpus, spec.parallel if spec.device == "cuda" else 0, spec.parallel))
    executor.update_parameters(
        name="bmfgraph",
        cpus_per_task=max(1, cpus),
        gpus_per_node=gpus,
        timeout_min=spec.resources.minutes,
        **({"slurm_partition": spec.resources.partition} if spec.resources.partition else {}),
    )
    if executor.cluster == "local":
        say("launcher=slurm: there is no Slurm here; the jobs are processes of this machine")
    yield partial(_call, executor)


def _call(executor: Any, work: Work, report: ProgressCallback) -> Outcome:
    job = executor.submit(_done, work)
    try:
        while not job.done():
            report(NOTHING)
            time.sleep(POLL)
    except BaseException:
        job.cancel()
        raise
    try:
        outcome: Outcome = job.result()
    except Exception as error:
        raise RunError(
            "batch",
            "pipeline",
            f"job {job.job_id} was lost ({first_line(error)})",
            hint=f"see {job.paths.stderr}; the next command tries the clip again",
            path="launcher",
            code=codes.LOST_WORKER,
        ) from None
    return outcome


def _done(work: Work) -> Outcome:
    return outcome_of(work, lambda progress: None, f"{socket.gethostname()}, process {os.getpid()}")
