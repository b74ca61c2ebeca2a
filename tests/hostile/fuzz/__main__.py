"""Run the fuzzers: ``python -m tests.hostile.fuzz [--seed 1] [--seconds 60] [--cases N] [--only NAME[:NUMBER]]``."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.hostile.fuzz import caches, configurations, media, models, signals, urls
from tests.hostile.fuzz.trial import Case, Outcome, faults, run

__all__ = ["FUZZERS", "Fuzzer", "Tally", "fuzz"]


@dataclass(frozen=True)
class Fuzzer:
    """A maker of hostile input, and its judge."""

    case: Callable[[Random, Path], Case]
    judge: Callable[[Case], tuple[Outcome, list[str]]]


@dataclass
class Tally:
    """What became of the cases of a fuzzer."""

    tried: int = 0
    failed: dict[int, list[str]] = field(default_factory=dict)
    seconds: float = 0.0


def _judge(case: Case) -> tuple[Outcome, list[str]]:
    outcome = run(case)
    return outcome, faults(case, outcome)


FUZZERS: Mapping[str, Fuzzer] = {
    "configurations": Fuzzer(configurations.case, _judge),
    "models": Fuzzer(models.case, _judge),
    "caches": Fuzzer(caches.case, _judge),
    "urls": Fuzzer(urls.case, _judge),
    "signals": Fuzzer(signals.case, signals.judge),
    "media": Fuzzer(media.case, media.judge),
}


def fuzz(name: str, seed: int, numbers: range, seconds: float = 1e9, keep: Path | None = None) -> Tally:
    """Try the cases of a fuzzer.

    Args:
        name: The fuzzer.
        seed: Seed of its cases; seed and number give the same case again.
        numbers: Numbers of the cases.
        seconds: Time after which no further case begins.
        keep: Folder that keeps the files of the cases that fail.
    """
    fuzzer, tally, began = FUZZERS[name], Tally(), time.monotonic()
    for number in numbers:
        if time.monotonic() - began > seconds:
            break
        folder = Path(tempfile.mkdtemp(prefix="fuzz-")) / "case"
        folder.mkdir()
        case = fuzzer.case(Random(f"{seed} {name} {number}"), folder)
        outcome, problems = fuzzer.judge(case)
        tally.tried += 1
        if problems:
            tally.failed[number] = problems
            if keep is not None:
                _keep(keep / f"{name}-{seed}-{number}", case, outcome, problems)
        shutil.rmtree(folder.parent, ignore_errors=True)
    tally.seconds = time.monotonic() - began
    return tally


def _keep(target: Path, case: Case, outcome: Outcome, problems: list[str]) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(
        case.folder, target, symlinks=True, ignore=lambda top, names: [n for n in names if not _plain(top, n)]
    )
    command = f"{outcome.code}: {case.arguments!r} {dict(case.environment)} {case.signal or ''}"
    (target / "problems.txt").write_text("\n".join([*problems, command, ""]), encoding="utf-8", errors="replace")


def _plain(top: str, name: str) -> bool:
    """Return whether a file can be kept: no pipe, no device, nothing large."""
    path = Path(top) / name
    return path.is_symlink() or path.is_dir() or (path.is_file() and path.stat().st_size < 10_000_000)


def main() -> int:
    """Run the fuzzers, print a table, and return 1 if a case failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="time for each fuzzer")
    parser.add_argument("--cases", type=int, default=1_000_000, help="most cases for each fuzzer")
    parser.add_argument("--only", default="", help="NAME, or NAME:NUMBER for a single case")
    parser.add_argument("--keep", type=Path, default=Path("outputs/hostile"), help="folder for the cases that fail")
    options = parser.parse_args()
    only, _, number = options.only.partition(":")
    numbers = range(int(number), int(number) + 1) if number else range(options.cases)
    print(f"{'fuzzer':16}{'tried':>8}{'survived':>10}{'failed':>8}{'seconds':>9}   (seed {options.seed})", flush=True)
    failed = 0
    for name in [only] if only else FUZZERS:
        tally = fuzz(name, options.seed, numbers, options.seconds, options.keep)
        failed += len(tally.failed)
        survived = tally.tried - len(tally.failed)
        print(f"{name:16}{tally.tried:8}{survived:10}{len(tally.failed):8}{tally.seconds:9.0f}", flush=True)
        for case_number, problems in tally.failed.items():
            print(f"  {name}:{case_number}  {'; '.join(problems)}", flush=True)
    if failed:
        print(f"The files of the cases that failed are in {options.keep}.")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
