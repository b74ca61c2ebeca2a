"""Send signals at random moments of a run."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from random import Random

from tests.hostile.fuzz.configurations import inputs
from tests.hostile.fuzz.trial import Case, Outcome, faults, run

__all__ = ["case", "judge"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGKILL)
_RUN = (
    "pipeline=super_resolution",
    "input=clip.mp4",
    "output=out.mp4",
    "encoder.preset=ultrafast",
    "model.file=double.onnx",
)
_SWEEP = (*_RUN, "-m", "engine.batch=1,2", "sweep.dir=sweep", "sweep.reference=null", "sweep.warmup=false")
_CPU_SECONDS = 60.0
"""A run imports torch and BMF; a sweep does so for each cell."""


def case(random: Random, folder: Path) -> Case:
    """Return a run or a sweep that gets a signal."""
    for name, content in zip(("clip.mp4", "double.onnx"), inputs(), strict=True):
        (folder / name).write_bytes(content)
    command, moment = (_SWEEP, random.uniform(0.1, 8.0)) if random.random() < 0.3 else (_RUN, random.uniform(0.05, 3.0))
    return Case(
        folder, command, new_interpreter=True, signal=(moment, random.choice(_SIGNALS)), cpu_seconds=_CPU_SECONDS
    )


def judge(case: Case) -> tuple[Outcome, list[str]]:
    """Run a case; after SIGKILL run it again, because the next run cleans up."""
    outcome = run(case)
    assert case.signal is not None
    number = case.signal[1]
    if number == signal.SIGKILL and outcome.code == -signal.SIGKILL:
        second = replace(case, signal=None)
        outcome = run(second)
        return outcome, faults(second, outcome)
    problems = faults(case, outcome)
    allowed = {0} if number == signal.SIGPIPE else {0, 130}
    if outcome.code not in allowed:
        problems.append(f"it ended with {outcome.code} after {signal.Signals(number).name}")
    if outcome.code == 130 and not outcome.output.strip():
        problems.append("it ended without a word")
    return outcome, problems
