"""The engine store: a folder of engines, each under its key with a manifest that says all about it.

    <root>/<model>/<first 16 digits of the key>/{engine.plan,manifest.json,build.log}

An engine appears by one rename, after everything in its folder was written, so that a killed build or a full disk
leaves nothing that could be taken for an engine. One lock per key lets any number of processes ask for the same engine
while one of them builds it. Readers need no lock, nor the right to write.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bmfgraph.engines.key import EngineKey
from bmfgraph.engines.manifest import (
    DIGITS,
    ENGINE,
    LOG,
    MANIFEST,
    USED,
    BuildResult,
    StoredEngine,
    make_manifest,
    read_entry,
    size_of,
)

if TYPE_CHECKING:
    from filelock import FileLock

__all__ = ["EngineStore", "Removed", "StoreError"]

_FAILED = ".failed.log"
_LOCKS = ".locks"
_BUILDING = ".building"


class StoreError(Exception):
    """The store cannot be read or written; ``number`` is the system's error number."""

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.number = number


Builder = Callable[[Path, str], BuildResult]
"""Writes ``engine.plan`` and ``build.log`` into the folder given; the words say why it is built."""


@dataclass(frozen=True)
class Removed:
    """A folder or log that prune has deleted."""

    folder: Path
    bytes: int
    why: str


class EngineStore:
    """Engines under one folder, which need not exist yet."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def entries(self, model: str | None = None) -> list[StoredEngine]:
        """All engines, damaged ones too, in the order of their models and keys. Raises StoreError."""
        with self._oserror_as_store_error("read"):
            self._check_root()
            if not self.root.is_dir():
                return []
            names = [_folder_name(model)] if model is not None else sorted(self._names(self.root))
            folders = [self.root / name / digest for name in names for digest in sorted(self._names(self.root / name))]
            return [read_entry(folder) for folder in folders]

    def find(self, model: str, key: EngineKey) -> StoredEngine | None:
        """The engine of that key, whole or not; None when there is none."""
        folder = self.folder(model, key)
        with self._oserror_as_store_error("read"):
            self._check_root()
            return read_entry(folder) if folder.is_dir() else None

    def use(self, model: str, key: EngineKey) -> StoredEngine | None:
        """The engine of that key if it is there and whole, noted as used now."""
        found = self.find(model, key)
        if found is None or found.damage():
            return None
        with contextlib.suppress(OSError):  # Only pruning by age asks for it, and the store may be read-only.
            (found.folder / USED).touch()
        return found

    def nearest(self, model: str, key: EngineKey) -> tuple[StoredEngine, list[str]] | None:
        """The readable engine of that model which differs least, and the key's fields that differ."""
        others = [(entry, key.changes(entry.manifest["key"])) for entry in self.entries(model) if not entry.fault]
        return min(others, key=lambda other: (len(other[1]), -other[0].last_used), default=None)

    def reason(self, model: str, key: EngineKey) -> str:
        """Why an engine is built: it is the first, it is damaged, or the fields that differ from the nearest one."""
        found = self.find(model, key)
        if found and (damage := found.damage()):
            return f"rebuilt because: {damage}"
        if found:
            return "rebuilt because: it was asked for"
        nearest = self.nearest(model, key)
        return f"rebuilt because: {', '.join(nearest[1])}" if nearest else "the first of this model"

    def ensure(
        self, model: str, key: EngineKey, build: Builder, *, say: Callable[[str], None], rebuild: bool = False
    ) -> StoredEngine:
        """The engine of that key, built where it is missing or damaged, or anyway if ``fresh``.

        Raises what ``build`` raises, and StoreError.
        """
        # Nothing but a whole engine is ever seen under its name, so looking needs no lock.
        if not rebuild and (found := self.use(model, key)):
            return found
        with self._oserror_as_store_error("written"):
            lock = self._lock(self.folder(model, key))
            try:
                lock.acquire(timeout=0)
            except TimeoutError:
                say(f"waiting for another process that builds the engine for {model}")
                lock.acquire()
        try:
            if not rebuild and (found := self.use(model, key)):
                return found
            return self._build(model, key, build)
        finally:
            lock.release()

    def prune(
        self, why: Callable[[StoredEngine], str], *, dry_run: bool = False
    ) -> tuple[list[Removed], list[StoredEngine]]:
        """Delete the engines for which ``why`` has a reason, and what ended builds left behind.

        Returns what was deleted (or would be), and the engines kept because a process builds them right now.
        """
        removed: list[Removed] = []
        busy: list[StoredEngine] = []
        for entry in self.entries():
            if not (reason := why(entry)):
                continue
            with self._oserror_as_store_error("written"), self._unless_locked(entry.folder) as free:
                if not free:
                    busy.append(entry)
                    continue
                removed.append(_remove(entry.folder, reason, dry_run))
        with self._oserror_as_store_error("written"):
            for folder in sorted(self.root.glob(f"*/.*{_BUILDING}")):
                with self._unless_locked(folder.with_name(folder.name[1 : DIGITS + 1])) as free:
                    if free and folder.exists():
                        removed.append(_remove(folder, "left over from a build that did not end", dry_run))
            for log in sorted(self.root.glob(f"*/*{_FAILED}")):
                removed.append(Removed(log, log.stat().st_size, "log of a build that failed"))
                if not dry_run:
                    log.unlink(missing_ok=True)
        return removed, busy

    def folder(self, model: str, key: EngineKey) -> Path:
        """Where the engine of that key is, or would be."""
        return self.root / _folder_name(model) / key.digest()[:DIGITS]

    def failed_log(self, model: str, key: EngineKey) -> Path:
        """Where the log of a build that failed is kept until the next one."""
        folder = self.folder(model, key)
        return folder.with_name(f"{folder.name}{_FAILED}")

    def _build(self, model: str, key: EngineKey, build: Builder) -> StoredEngine:
        folder = self.folder(model, key)
        with self._oserror_as_store_error("written"):
            for left_over in folder.parent.glob(f".{folder.name}.*{_BUILDING}"):
                shutil.rmtree(left_over, ignore_errors=True)
            part = _beside(folder)
            part.mkdir(parents=True)
        try:
            began = time.monotonic()
            built = build(part, self.reason(model, key))
            with self._oserror_as_store_error("written"):
                seconds = round(time.monotonic() - began, 3)
                manifest = make_manifest(model, key, built, part / ENGINE, seconds)
                (part / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
                _publish(part, folder)
                self.failed_log(model, key).unlink(missing_ok=True)
        except Exception:
            with contextlib.suppress(OSError):
                (part / LOG).replace(self.failed_log(model, key))
            raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return StoredEngine(model, folder, manifest)

    def _lock(self, folder: Path) -> FileLock:
        locks = self.root / _LOCKS
        locks.mkdir(parents=True, exist_ok=True)
        # Not for those who only look.
        from filelock import FileLock

        return FileLock(locks / f"{folder.name}.lock")

    @contextlib.contextmanager
    def _unless_locked(self, folder: Path) -> Iterator[bool]:
        """Hold the lock of that key, or say False where a living process holds it."""
        lock = self._lock(folder)
        try:
            lock.acquire(timeout=0)
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    @contextlib.contextmanager
    def _oserror_as_store_error(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            message = f"the engine store {str(self.root)!r} cannot be {done} ({error.strerror or error})"
            raise StoreError(message, error.errno) from error

    def _check_root(self) -> None:
        if self.root.exists() and not self.root.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))

    @staticmethod
    def _names(folder: Path) -> list[str]:
        if not folder.is_dir():
            return []
        return [one.name for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")]


def _folder_name(model: str) -> str:
    """A model's name as a folder's; where letters had to go, a part of its checksum keeps names apart."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", model).lstrip(".")[:80]
    return safe if safe and safe == model else f"{safe}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"


def _publish(part: Path, folder: Path) -> None:
    """Give the finished folder its name, in place of what had it before."""
    for written in part.iterdir():
        with written.open("rb") as file:
            os.fsync(file.fileno())
    if folder.exists():
        old = _beside(folder)
        folder.rename(old)
        part.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        part.rename(folder)


def _beside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.{secrets.token_hex(4)}{_BUILDING}")


def _remove(folder: Path, why: str, dry_run: bool) -> Removed:
    removed = Removed(folder, size_of(folder), why)
    if not dry_run:
        # Under another name first, so that nobody meets half an engine.
        gone = folder if folder.name.endswith(_BUILDING) else folder.rename(_beside(folder))
        shutil.rmtree(gone)
    return removed
