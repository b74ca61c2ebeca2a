"""Run a batch: list its clips, leave out those that are done, run the others side by side, and write the summary."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.api import Job
from bmfgraph.batches.check import shared_name
from bmfgraph.batches.entries import Entry, entries, is_manifest
from bmfgraph.batches.files import ClipFiles, local_journal
from bmfgraph.batches.journal import Journal, Row
from bmfgraph.batches.launchers import Launch, in_parts, launcher
from bmfgraph.batches.names import Names
from bmfgraph.batches.remote import exists, file_state
from bmfgraph.batches.summary import write_summary
from bmfgraph.batches.watch import new_entries
from bmfgraph.batches.work import NOTHING
from bmfgraph.config.job import JobSpec, shard_of
from bmfgraph.config.options import Folders
from bmfgraph.config.variants import Variants
from bmfgraph.errors import BmfgraphError, Cancelled, ConfigError, RunError, SpecError, without_passwords
from bmfgraph.media.clips import clip_seconds
from bmfgraph.plan.plan import files_read
from bmfgraph.runner.clips import of_clip
from bmfgraph.runner.result import RunResult
from bmfgraph.runner.side_by_side import Amount, ClipResult, Work, run_side_by_side
from bmfgraph.sweep.cells import code_version, identity
from bmfgraph.system.console import say
from bmfgraph.system.machine import find_libraries, find_machine
from bmfgraph.system.obstacles import explaining
from bmfgraph.system.progress import ProgressCallback

__all__ = ["batch", "run_batch"]

_DEATHS = 3
"""Number of times that the process may end while a clip runs."""
_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds before the second attempt, and at most."""


def run_batch(
    configure: Callable[[Mapping[str, Any]], dict[str, Any]],
    *,
    progress: ProgressCallback | None = None,
    isolated: bool | None = None,
) -> Generator[ClipResult, None, None]:
    """Run one pipeline over many clips, and yield each result as its run ends.

    Clips that an earlier run of the same journal has done are left out, unless their settings, their files or their
    outputs have changed. Closing the iterator stops the batch.

    Args:
        configure: Returns the configuration with the overrides of a clip; without any, the common one.
        progress: Called with the seconds of video of all clips, on this thread.
        isolated: As for :meth:`bmfgraph.Job.run`.

    Raises:
        BmfgraphError: The configuration, the list or the journal is wrong, or two clips would write one file; or a clip
            failed, and ``on_error`` is ``stop``.
    """
    batch = _Batch(configure, isolated)
    journal = Journal(batch.journal_path)
    try:
        yield from batch.run(journal, progress)
    finally:
        journal.close()


@explaining
def batch(
    pipeline: str | None = None,
    *overrides: str,
    config_dir: Folders = (),
    progress: ProgressCallback | None = None,
    **values: Any,
) -> Generator[ClipResult, None, None]:
    """Run a pipeline over many clips as the verb ``batch`` does, and iterate over the results as they come.

    Args:
        pipeline: As for :func:`bmfgraph.compose`, like ``overrides``, ``config_dir`` and ``values``.
        overrides: Such as ``on_error=skip`` and ``parallel=4``.
        config_dir: Folders of configuration besides the packaged one.
        progress: Called with the seconds of video of all clips, on this thread.
        values: Values of top-level keys, such as ``input="clips/*.mp4"``.

    Yields:
        The result or the failure of each clip that ran; not of those that were done before.

    Raises:
        BmfgraphError: As for :func:`run_batch`.

    Example:
        >>> for ended in batch("face_detection", "on_error=skip", input="clips"):
        ...     print(ended.clip, ended.result.frames if ended.result else ended.error)
    """
    variants = Variants.of_values(pipeline, overrides, config_dir, values)
    yield from run_batch(variants.config, progress=progress)


@dataclass(frozen=True)
class _Batch:
    configure: Callable[[Mapping[str, Any]], dict[str, Any]]
    isolated: bool | None
    left_out: list[ClipResult] = field(default_factory=list)
    """Clips that are listed but not run."""
    secret: dict[str, Entry] = field(default_factory=dict)
    """Clips with a password or a signature, which the journal must not hold, by key."""

    @cached_property
    def config(self) -> dict[str, Any]:
        return self.configure({})

    @cached_property
    def spec(self) -> JobSpec:
        reading = Job.from_config({**self.config, "input": "clip"}).reading
        if wrong := [problem for problem in reading.problems if problem.path.partition(".")[0] != "pipeline"]:
            raise SpecError(wrong)
        return reading.spec

    @property
    def value(self) -> str | list[str]:
        """The key ``input``."""
        value = self.config.get("input")
        return value if isinstance(value, list) else str(value or "")

    @cached_property
    def part(self) -> tuple[int, int]:
        return shard_of(self.spec.shard) if self.spec.shard else (0, 1)

    @cached_property
    def title(self) -> str:
        return self.spec.pipeline.name if self.spec.pipeline else "batch"

    @property
    def journal_path(self) -> Path:
        if self.spec.journal:
            return Path(local_journal(self.spec.journal))
        shard = "" if self.part == (0, 1) else f"_{self.part[0] + 1}-of-{self.part[1]}"
        return Path("outputs", "batch", f"{self.title}{shard}.journal")

    @cached_property
    def fingerprint(self) -> str:
        """What the results depend on besides the clips and their overrides, as hex digits."""
        machine = find_machine()
        facts = {
            "code": code_version(),
            "config": identity(Job.from_config(of_clip(self.config, "", "", ""))),
            "gpu": str(machine.gpu) if machine.gpu else None,
            "libraries": {library.module: library.version for library in find_libraries()},
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    # ---------------------------------------------------------------------------------------- the whole

    def run(self, journal: Journal, progress: ProgressCallback | None) -> Generator[ClipResult, None, None]:
        began = time.time()
        names = Names(self.configure)
        waiting, count = self._list(journal, names)
        counts = journal.counts()
        if kept := counts.get("kept", 0):
            say(f"{self.title}: {kept:,} of {sum(counts.values()):,} clips were done before")
        amount = Amount(self.title, 0 if self.spec.watch else waiting, journal.video("waiting"), "seconds")
        if self.spec.watch:
            amount = Amount(self.title, 0, 0, "seconds")
        launched = contextlib.ExitStack()
        try:
            yield from self.left_out
            if not waiting and not self.spec.watch:
                # A cluster would take seconds to start.
                return
            launch = launched.enter_context(launcher(self.spec, self.isolated))
            launch = in_parts(launch, self.spec.parallel) if self.spec.segments else launch
            yield from run_side_by_side(
                self._works(journal, names, launch, count),
                amount=amount,
                parallel=self.spec.parallel,
                on_error=self.spec.on_error,
                progress=progress,
            )
        finally:
            with launched:
                write_summary(journal, self.title, began)

    def _list(self, journal: Journal, names: Names) -> tuple[int, int]:
        """Enter the clips into the journal; return how many are to run here, and how many there are."""
        waiting = count = 0
        journal.begin_listing()
        try:
            for entry in self._entries():
                count += 1
                waiting += self._enter(journal, names, entry)
        except BaseException:
            journal.cancel_listing()
            raise
        if not count and not self.spec.watch:
            journal.cancel_listing()
            raise ConfigError(
                f"{self.value!r} names no clip",
                path="input",
                hint="name a folder of videos, a pattern that fits some, or a list",
                code=codes.FILE_EXPECTED,
            )
        journal.end_listing()
        return waiting, count

    def _entries(self) -> Iterator[Entry]:
        return entries(self.value)

    def _enter(self, journal: Journal, names: Names, entry: Entry) -> bool:
        """Enter a clip; return whether it is to run in this part of the batch."""
        key = _key(entry)
        for path in names.of(entry):
            if (owner := journal.take_name(path, entry.index)) is not None:
                other = next((each.clip for each in self._entries() if each.index == owner), f"number {owner}")
                raise shared_name(other, entry.clip, path)
        if not self._is_mine(key):
            return False
        self._note(journal, entry)
        if journal.is_up_to_date(key, self.fingerprint):
            journal.set_kept(key)
            return False
        if journal.set_waiting(key, clip_seconds(entry.clip)) >= _DEATHS:
            error = RunError(
                "batch",
                "pipeline",
                f"clip {entry.clip!r}: the process ended {_DEATHS} times while it ran, and it is left out this time",
                hint="launcher=local keeps a crash away from the others; the next command tries the clip again",
                code=codes.CLIP_CRASHES,
                path="input",
            )
            journal.fail(key, error.problems)
            self.left_out.append(ClipResult(entry.clip, None, error))
            return False
        return True

    def _note(self, journal: Journal, entry: Entry) -> None:
        key, plain = _key(entry), json.dumps([entry.clip, entry.changes])
        clip, changes = json.loads(without_passwords(plain))
        if [clip, changes] != json.loads(plain):
            self.secret[key] = entry
        journal.list_clip(key, entry.index, clip, entry.relative, changes)

    def _is_mine(self, key: str) -> bool:
        """Return whether a clip is of this part of the batch: by its name, so that a longer list moves no clip."""
        part, parts = self.part
        return int(key, 16) % parts == part

    def _is_known(self, journal: Journal, entry: Entry) -> bool:
        return not self._is_mine(_key(entry)) or journal.lists(_key(entry))

    # ------------------------------------------------------------------------------------------ one clip

    def _works(self, journal: Journal, names: Names, launch: Launch, count: int) -> Iterator[Work | None]:
        for row in journal.rows("waiting"):
            yield row.clip, row.video, partial(self._run, journal, row, launch)
        if not self.spec.watch or is_manifest(self.value):
            return
        for entry in new_entries(self._entries, lambda entry: self._is_known(journal, entry), count):
            if entry is None:
                yield None
                continue
            try:
                if self._enter(journal, names, entry):
                    row = journal.row(_key(entry))
                    yield row.clip, row.video, partial(self._run, journal, row, launch)
            except BmfgraphError as error:
                self._note(journal, entry)
                journal.fail(_key(entry), error.problems)
                yield entry.clip, 0, partial(_raise, error)

    def _run(self, journal: Journal, row: Row, launch: Launch, report: ProgressCallback) -> RunResult:
        try:
            entry = self.secret.get(row.key, row)
            common = self.configure(entry.changes) if entry.changes else self.config
            config = of_clip(common, entry.clip, row.place, row.relative)
            if row.deaths and not config.get("isolated"):
                # It may have ended the process, which would count against the clips beside it.
                config |= {"isolated": True}
            files = ClipFiles.of(config)
            # Before the run: an object may change meanwhile.
            reads, writes = files.states, files.outputs
            foreign = [path for path in writes if exists(path) and not journal.owns(path)]
        except BmfgraphError as error:
            journal.fail(row.key, error.problems)
            raise
        overwrite = True if not foreign else None
        began = time.perf_counter()
        attempt = 0
        while True:
            attempt += 1
            journal.begin(row.key, writes if overwrite else ())
            try:
                _pause(attempt, report)
                result = launch(config, overwrite, report)
            except Cancelled:
                journal.stop(row.key, writes)
                raise
            except BmfgraphError as error:
                if attempt <= self._retries(error):
                    say(f"{row.clip}: attempt {attempt} failed ({one_line(error)}); once more")
                    continue
                journal.fail(row.key, error.problems, writes)
                raise
            reads |= {str(path): file_state(str(path)) for path in files_read(result.plan) if path.exists()}
            seconds = time.perf_counter() - began
            paths = [*map(os.path.realpath, result.outputs.values()), *result.uploaded.values()]
            journal.end(row.key, self.fingerprint, reads=reads, writes=paths, frames=result.frames, seconds=seconds)
            return result

    def _retries(self, error: BmfgraphError) -> int:
        retries = self.spec.retries
        if isinstance(retries, int):
            # A wrong configuration stays wrong.
            return retries if error.exit_code == 1 else 0
        return max((retries.get(problem.code, 0) for problem in error.problems), default=0)


def _pause(attempt: int, report: ProgressCallback) -> None:
    """Wait before a further attempt; ``report`` ends the wait when the batch stops."""
    until = time.monotonic() + (min(_LONGEST_PAUSE, _PAUSE * 2 ** (attempt - 2)) if attempt > 1 else 0)
    while time.monotonic() < until:
        report(NOTHING)
        time.sleep(0.1)


def _raise(error: BmfgraphError, report: ProgressCallback) -> RunResult:
    raise error


def one_line(error: BmfgraphError) -> str:
    """Return the code and message of an error's first problem."""
    problem = error.problems[0]
    return f"{problem.code}: {problem}"


def _key(entry: Entry) -> str:
    text = json.dumps([entry.clip, entry.changes], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
