"""Run the clips of a batch, the parts of clips, and the cells of a sweep here or elsewhere."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bmfgraph.batches.ray_workers import ray_workers
from bmfgraph.batches.slurm_jobs import slurm_jobs
from bmfgraph.batches.staging import run_clip
from bmfgraph.batches.work import NOTHING, POLL, Call, Work
from bmfgraph.config.job import JobSpec
from bmfgraph.runner.result import RunResult
from bmfgraph.runner.side_by_side import Amount, ClipRun, run_side_by_side
from bmfgraph.sweep.cell_process import run_cell
from bmfgraph.system.console import say
from bmfgraph.system.progress import ProgressCallback

__all__ = ["Launch", "in_parts", "launcher", "run_cells"]

Launch = Callable[[Mapping[str, Any], bool | None, ProgressCallback], RunResult]
"""Runs a configuration, which may replace its outputs if the second argument is true."""
_ELSEWHERE: Mapping[str, Callable[[JobSpec], contextlib.AbstractContextManager[Call]]] = {
    "ray": ray_workers,
    "slurm": slurm_jobs,
}


@contextlib.contextmanager
def launcher(spec: JobSpec, isolated: bool | None) -> Iterator[Launch]:
    """Give what runs clips, as the key ``launcher`` says.

    Args:
        spec: The common configuration.
        isolated: As for :meth:`bmfgraph.Job.run`.

    Raises:
        InstallError: The library of the cluster is not installed.
        BmfgraphError: The cluster cannot be reached.
    """
    elsewhere = _ELSEWHERE.get(str(spec.launcher))
    if elsewhere is not None:
        with elsewhere(spec) as call:
            yield partial(_run_elsewhere, call)
        return
    apart = True if spec.launcher == "local" else isolated

    def run(config: Mapping[str, Any], overwrite: bool | None, report: ProgressCallback) -> RunResult:
        return run_clip(config, overwrite, report, apart)

    yield run


def in_parts(launch: Launch, parallel: int) -> Launch:
    """Return what runs clips in parts: ``launch`` runs each part, ``parallel`` of all clips together at once."""
    slots = threading.Semaphore(parallel)

    def part(config: Mapping[str, Any], report: ProgressCallback) -> RunResult:
        while not slots.acquire(timeout=POLL):
            report(NOTHING)
        try:
            return launch(config, True, report)
        finally:
            slots.release()

    def run(config: Mapping[str, Any], overwrite: bool | None, report: ProgressCallback) -> RunResult:
        return run_clip(config, overwrite, report, launch=part)

    return run


def run_cells(spec: JobSpec, folders: Sequence[Path], progress: ProgressCallback | None = None) -> None:
    """Run the cells of a sweep elsewhere, ``parallel`` of them at once; each writes its own result.

    Args:
        spec: The configuration of the first cell: its ``launcher``, ``parallel`` and ``resources`` count.
        folders: The folders of the cells, on storage that all workers share.
        progress: Called with the number of cells that are done.

    Raises:
        InstallError: The library of the cluster is not installed.
        BmfgraphError: The cluster cannot be reached, or a worker is lost.
    """
    with _ELSEWHERE[str(spec.launcher)](spec) as call:
        works = [(folder.name, 1.0, _cell_run(call, folder.absolute())) for folder in folders]
        amount = Amount("sweep", len(works), len(works))
        for _ in run_side_by_side(works, amount=amount, parallel=spec.parallel, on_error="stop", progress=progress):
            pass


def _cell_run(call: Call, folder: Path) -> ClipRun:
    def run(report: ProgressCallback) -> Any:
        outcome = call(partial(_cell_in, folder), report)
        if outcome.error is not None:
            raise outcome.error
        say(f"{outcome.result}: {outcome.place}")
        return outcome.result

    return run


def _cell_in(folder: Path, report: ProgressCallback) -> Any:
    return run_cell(folder)["varied"]


def _run_elsewhere(
    call: Call, config: Mapping[str, Any], overwrite: bool | None, report: ProgressCallback
) -> RunResult:
    work: Work = partial(run_clip, dict(config), overwrite)
    outcome = call(work, report)
    if outcome.error is not None:
        say(f"{config['input']}: failed on {outcome.place}")
        raise outcome.error
    result: RunResult = outcome.result
    say(f"{config['input']}: {result.frames} frames in {result.seconds:.1f} s on {outcome.place}")
    return result
