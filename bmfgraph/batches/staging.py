"""Run a clip whose files lie in a store: fetch its inputs, run it on copies, and send its outputs after success."""

from __future__ import annotations

import contextlib
import copy
import errno
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.api import Job
from bmfgraph.batches.files import ClipFiles, Place
from bmfgraph.batches.remote import ABSENT, explained, file_state, file_system, is_object
from bmfgraph.batches.work import NOTHING
from bmfgraph.compile.job import CheckResult
from bmfgraph.config.job import Isolation
from bmfgraph.errors import BmfgraphError, Problem, without_passwords
from bmfgraph.plan.plan import Plan
from bmfgraph.runner.parts import Launch
from bmfgraph.runner.result import RunResult
from bmfgraph.system.console import say
from bmfgraph.system.files import write_whole
from bmfgraph.system.progress import ProgressCallback
from bmfgraph.system.temporary import temporary_folder
from bmfgraph.system.text import size_text

__all__ = ["check_clip", "run_clip"]

_LOG = logging.getLogger("bmfgraph")
_PART = 8 << 20
"""Bytes that are sent at once: a run stops between two parts."""
_PARTS = 1000
_CHECK_SECONDS = 3600


def run_clip(
    config: Mapping[str, Any],
    overwrite: bool | None,
    report: ProgressCallback,
    isolated: bool | Isolation | None = None,
    launch: Launch | None = None,
) -> RunResult:
    """Run the job of a clip on this machine, on copies of those of its files that lie in a store.

    Args:
        config: The configuration.
        overwrite: As for :meth:`bmfgraph.Job.run`, like ``isolated``.
        report: Called while the job runs and while files are fetched and sent; what it raises ends the run.
        isolated: As for :meth:`bmfgraph.Job.run`.
        launch: Likewise.

    Raises:
        BmfgraphError: As for :meth:`bmfgraph.Job.run`; or a file cannot be fetched or sent. No output appears then.
    """
    files = ClipFiles.of(config)
    ways: dict[str, Any] = {"progress": report, "overwrite": overwrite, "isolated": isolated, "launch": launch}
    if files.are_local:
        return Job.from_config(config).run(**ways)
    replaced = bool(config.get("overwrite") if overwrite is None else overwrite)
    with temporary_folder() as folder:
        stage = _Stage.at(folder, config, files)
        with stage.addresses_shown():
            taken = {name: stage.taken(name, path, replaced) for name, path in stage.sent.items()}
            for name, (local, path) in stage.fetched.items():
                _fetch(name, local, path, report)
            old = [path for path in files.writes.values() if not is_object(path) and os.path.lexists(path)]
            result = Job.from_config(stage.config).run(**ways)
            kept = {name: path for name, path in result.outputs.items() if not path.is_relative_to(folder)}
            try:
                if document := files.writes.get(("", "report")):
                    stage.correct(document, result.plan)
                stage.send_all(taken, report)
            except BaseException:
                for output in kept.values():
                    if str(output) not in old:
                        output.unlink(missing_ok=True)
                raise
        sent = {node: name for (node, _), name in files.writes.items() if node in result.outputs and is_object(name)}
        problems = tuple(map(stage.with_addresses, result.problems))
        told = tuple(map(stage.text, result.warnings))
        return replace(result, outputs=kept, uploaded=sent, config=config, problems=problems, warnings=told)


def check_clip(config: Mapping[str, Any]) -> CheckResult:
    """Check the job of a clip. A clip in a store is read through a temporary address, without a download.

    Raises:
        BmfgraphError: The configuration is wrong, or a store cannot be reached.
    """
    files = ClipFiles.of(config)
    if files.are_local:
        return Job.from_config(config).check()
    with temporary_folder() as folder:
        stage = _Stage.at(folder, config, files, {name: _signed(name) for name in files.reads.values()})
        problems: list[Problem] = []
        with stage.addresses_shown():
            for name, path in stage.sent.items():
                try:
                    stage.taken(name, path, bool(config.get("overwrite")))
                except BmfgraphError as error:
                    problems += error.problems
            unread = [name for name, (local, _) in stage.fetched.items() if not local]
            for name, (_, path) in stage.fetched.items():
                if file_state(name, path) == ABSENT:
                    with explained(name, "read", path):
                        raise FileNotFoundError
            hint = "run it: its mistakes show then; or fetch the clip, and check the copy"
            problems += [
                Problem("input", f"{name!r} is not read: the store gives no temporary address", codes.UNREAD_CLIP, hint)
                for name in unread
            ]
            result = CheckResult((), Plan(files.title, ())) if unread else Job.from_config(stage.config).check()
        return CheckResult((*map(stage.with_addresses, result.problems), *problems), result.plan)


def _signed(name: str) -> str:
    """Return a temporary address of an object for FFmpeg; "" if the store gives none."""
    system = file_system(name)
    try:
        return str(system.sign(name, expiration=_CHECK_SECONDS))
    except Exception:
        # A file system without this raises NotImplementedError; others need credentials of a certain kind.
        return ""


@dataclass(frozen=True)
class _Stage:
    """A run that reads and writes copies."""

    config: Mapping[str, Any]
    """The configuration with the names of the copies."""
    fetched: Mapping[str, tuple[str, str]]
    """Copy, and key in the configuration, of each address that is read."""
    sent: Mapping[str, str]
    """Key in the configuration of each address that is written."""
    copies: Mapping[str, str]
    """Address of each copy."""

    @classmethod
    def at(
        cls, folder: Path, config: Mapping[str, Any], files: ClipFiles, given: Mapping[str, str] | None = None
    ) -> _Stage:
        """Name the copies in a folder.

        Args:
            folder: The folder.
            config: The configuration with the addresses.
            files: Its files.
            given: What is read instead of copies, by address.
        """
        moved = copy.deepcopy(dict(config))
        fetched: dict[str, tuple[str, str]] = {}
        sent: dict[str, str] = {}
        copies: dict[str, str] = {}
        for place, name in files.reads.items():
            # No other characters: they could make a pattern of the name.
            suffix = re.sub(r"[^\w.]", "", PurePosixPath(name).suffix)
            local = str(folder / f"input{len(fetched)}{suffix}") if given is None else given[name]
            local, _ = fetched.setdefault(name, (local, _key(place)))
            copies[local] = name
            _put(moved, place, local)
        for place, name in files.writes.items():
            local = name
            if is_object(name):
                target = folder / f"output{len(sent)}" / PurePosixPath(name).name
                target.parent.mkdir()
                local, sent[name] = str(target), _key(place)
                copies[local] = name
            _put(moved, place, local.replace("{", "{{").replace("}", "}}"))
        # A signature is taken out of messages.
        copies |= {without_passwords(local): name for local, name in copies.items()}
        longest_first = sorted(filter(None, copies), key=len, reverse=True)
        return cls(moved, fetched, sent, {local: copies[local] for local in longest_first})

    def text(self, text: str) -> str:
        """Return a text with the addresses of the copies that it names."""
        for local, name in self.copies.items():
            text = text.replace(local, name)
        return text

    def with_addresses(self, problem: Problem) -> Problem:
        """Return a problem that names addresses."""
        return replace(problem, message=self.text(problem.message), hint=self.text(problem.hint))

    @contextlib.contextmanager
    def addresses_shown(self) -> Iterator[None]:
        """Name addresses instead of copies in messages and errors of the block."""

        def shown(record: logging.LogRecord) -> bool:
            record.msg, record.args = self.text(record.getMessage()), ()
            return True

        _LOG.addFilter(shown)
        try:
            yield
        except BmfgraphError as error:
            for each in (error, *getattr(error, "errors", ())):
                each.problems = tuple(map(self.with_addresses, each.problems))
                each.args = tuple(self.text(str(part)) for part in each.args)
                texts = {key: self.text(value) for key, value in vars(each).items() if isinstance(value, str)}
                vars(each).update(texts)
            raise
        finally:
            _LOG.removeFilter(shown)

    def taken(self, name: str, path: str, replaced: bool) -> bool:
        """Return whether there is an object of the name of an output, which may then be replaced.

        Raises:
            ConfigError: It may not be replaced, or the bucket does not exist.
        """
        if file_state(name, path) != ABSENT:
            if not replaced:
                with explained(name, "written", path):
                    raise FileExistsError
            return True
        system, bucket = file_system(name), "/".join(name.split("/")[:3])
        with explained(name, "written", path), contextlib.suppress(PermissionError):
            if not system.exists(bucket):
                raise FileNotFoundError
        return False

    def send_all(self, taken: Mapping[str, bool], report: ProgressCallback) -> None:
        """Send the outputs and the report; none of them stays if one cannot be sent."""
        done: list[str] = []
        try:
            for local, name in self.copies.items():
                if name not in self.sent:
                    continue
                path = self.sent[name]
                # The list of several files comes last.
                files = sorted(Path(local).parent.iterdir(), key=lambda file: (str(file) == local, file))
                for file in files:
                    target = f"{name.rpartition('/')[0]}/{file.name}"
                    _send(file, target, path, report, replaced=taken[name])
                    done.append(target)
                say(f"{name}: sent, {size_text(sum(file.stat().st_size for file in files))}")
        except BaseException:
            for target in done:
                with contextlib.suppress(Exception):
                    file_system(target).rm_file(target)
            raise

    def correct(self, name: str, plan: Plan) -> None:
        """Name addresses in the report of that name, and give it the hash of the plan with addresses."""
        report = next((Path(local) for local, address in self.copies.items() if address == name), Path(name))
        if not report.is_file():
            # It went into a pipe or a device.
            return
        data = report.read_text()
        for local, name in self.copies.items():
            data = data.replace(json.dumps(local)[1:-1], json.dumps(name)[1:-1])
        document = json.loads(data)
        text = json.dumps(plan.as_json(), sort_keys=True, separators=(",", ":"))
        document["plan"]["hash"] = hashlib.sha256(self.text(text).encode()).hexdigest()
        write_whole(report, json.dumps(document, indent=2) + "\n")


def _key(place: Place) -> str:
    node, field = place
    return f"pipeline.nodes.{node}.{field}" if node else field


def _put(config: dict[str, Any], place: Place, value: str) -> None:
    node, field = place
    (config["pipeline"]["nodes"][node] if node else config)[field] = value


def _fetch(name: str, local: str, path: str, report: ProgressCallback) -> None:
    """Copy an object to a file."""
    size, _ = file_state(name, path)
    with explained(name, "read", path):
        if size < 0:
            raise FileNotFoundError
        free = shutil.disk_usage(Path(local).parent).free
        if size > free:
            raise BmfgraphError(
                f"{name!r} has {size_text(size)}, and {size_text(free)} are free for temporary files",
                path=path,
                hint="make room, set TMPDIR to a folder of a larger disk, or run fewer clips side by side",
                code=codes.DISK_FULL,
            )
        file_system(name).get_file(name, local, callback=_stopping(report, size))
        if Path(local).stat().st_size != size:
            raise OSError(errno.EIO, "it changed during the transfer, or the transfer was cut off")


def _send(file: Path, name: str, path: str, report: ProgressCallback, *, replaced: bool) -> None:
    """Copy a file to an object, which appears when it is whole; it never replaces one that somebody else made."""
    size = file.stat().st_size
    chunk = _PART * (1 + size // (_PART * _PARTS))
    mode = "overwrite" if replaced else "create"
    with explained(name, "written", path):
        report(NOTHING)
        file_system(name).put_file(str(file), name, callback=_stopping(report, size), chunksize=chunk, mode=mode)


def _stopping(report: ProgressCallback, size: int) -> Any:
    """Return a callback for fsspec that ends a transfer when the run must end."""
    from fsspec.callbacks import Callback

    def hook(size_: int, value: int, **_: Any) -> None:
        # Once all is sent, the object may be there.
        if value < size:
            report(NOTHING)

    return Callback(size=size, hooks={"stop": hook})
