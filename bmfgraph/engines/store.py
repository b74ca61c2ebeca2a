"""Keep built engines in a folder, and build the missing ones.

    <root>/<model>/<first 16 digits of the key>/{engine.plan,manifest.json,build.log}

An engine appears by one rename, after all its files are written, so a killed build or a full disk never leaves a half
engine under its name. One lock per key lets many processes ask for the same engine while one of them builds it.
Readers need neither a lock nor write access. Links inside the store are not followed, and files and folders of another
form are not touched.
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
    BuildResult,
    StoredEngine,
    is_entry,
    make_manifest,
    mark_used,
    read_entry,
    size_of,
)
from bmfgraph.system.untrusted import is_real_folder, make_real_folder

if TYPE_CHECKING:
    from filelock import FileLock

__all__ = ["BuildFunction", "EngineStore", "ForeignFolderError", "Removed", "StoreError"]

_FAILED = ".failed.log"
_LOCKS = ".locks"
"""Folder that every build creates in a store. By it, or by an intact engine, a store is recognized."""
_BUILDING = ".building"
_REMAINS = re.compile(rf"\.([0-9a-f]{{{DIGITS}}})\.[0-9a-f]{{8}}{re.escape(_BUILDING)}")
_FAILED_LOG = re.compile(rf"[0-9a-f]{{{DIGITS}}}{re.escape(_FAILED)}")


class StoreError(Exception):
    """The store cannot be read or written; ``errno`` is the system's error number."""

    def __init__(self, message: str, errno: int | None = None) -> None:
        super().__init__(message)
        self.errno = errno


class ForeignFolderError(StoreError):
    """The folder is not an engine store, so nothing in it may be deleted."""


BuildFunction = Callable[[Path, str], BuildResult]
"""Writes ``engine.plan`` and ``build.log`` into a folder; the text is the reason for the build."""


@dataclass(frozen=True)
class Removed:
    """A folder or log that ``prune`` has deleted."""

    folder: Path
    bytes: int
    why: str


class EngineStore:
    """The engines under one folder, which need not exist yet."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def entries(self, model: str | None = None) -> list[StoredEngine]:
        """List the engines, damaged ones included, sorted by model and key.

        Args:
            model: List the engines of this model only.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._oserror_as_store_error("read"):
            return [read_entry(folder) for folder in self._folders(model) if is_entry(folder)]

    def names(self) -> list[tuple[str, str]]:
        """List the names of the models' subfolders, each with the model, without a look at the engines.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._oserror_as_store_error("read"):
            folders = [path for path in self._folders() if not path.name.startswith(".") and is_real_folder(path)]
            return [(folder.name, read_entry(folder).model) for folder in folders]

    def find(self, model: str, key: EngineKey) -> StoredEngine | None:
        """Return the engine of a key, intact or damaged, or None. Raises StoreError."""
        folder = self.folder(model, key)
        with self._oserror_as_store_error("read"):
            self._check_root()
            return read_entry(folder) if is_real_folder(folder.parent) and is_real_folder(folder) else None

    def use(self, model: str, key: EngineKey) -> StoredEngine | None:
        """Return the engine of a key if it exists and is intact, and record the time of use. Raises StoreError."""
        entry = self.find(model, key)
        if entry is None or entry.damage():
            return None
        with contextlib.suppress(OSError):  # The store may be read-only, and only `prune --unused-days` reads the time.
            mark_used(entry.folder)
        return entry

    def nearest(self, model: str, key: EngineKey) -> tuple[StoredEngine, list[str]] | None:
        """Return the readable engine of a model whose key differs least, and the fields that differ."""
        others = [
            (entry, key.changes(entry.manifest["key"])) for entry in self.entries(model) if not entry.manifest_error
        ]
        return min(others, key=lambda other: (len(other[1]), -other[0].last_used), default=None)

    def reason(self, model: str, key: EngineKey) -> str:
        """Explain why an engine is built: it is the first, is damaged, or differs from the nearest in some fields."""
        entry = self.find(model, key)
        if entry and (damage := entry.damage()):
            return f"rebuilt because: {damage}"
        if entry:
            return "rebuilt because: it was asked for"
        nearest = self.nearest(model, key)
        return f"rebuilt because: {', '.join(nearest[1])}" if nearest else "the first of this model"

    def ensure(
        self, model: str, key: EngineKey, build: BuildFunction, *, say: Callable[[str], None], rebuild: bool = False
    ) -> StoredEngine:
        """Return the engine of a key, and build it first where it is missing or damaged.

        Args:
            build: Writes the engine, while this process holds the lock of the key.
            say: Called with a line for the user while another process builds the engine.
            rebuild: Build even if an intact engine exists.

        Raises:
            StoreError: The store cannot be read or written. Exceptions of ``build`` pass through.
        """
        # Looking needs no lock: only complete engines ever have their final name.
        if not rebuild and (entry := self.use(model, key)):
            return entry
        with self._oserror_as_store_error("written"):
            lock = self._lock(self.folder(model, key))
            try:
                lock.acquire(timeout=0)
            except TimeoutError:
                say(f"waiting for another process that builds the engine for {model}")
                lock.acquire()
        try:
            if not rebuild and (entry := self.use(model, key)):
                return entry
            return self._build(model, key, build)
        finally:
            lock.release()

    def prune(
        self, why: Callable[[StoredEngine], str], *, dry_run: bool = False
    ) -> tuple[list[Removed], list[StoredEngine]]:
        """Delete some engines, and the remains of builds that did not finish.

        Args:
            why: Returns the reason to delete an engine; empty to keep it.
            dry_run: Delete nothing.

        Returns:
            What was deleted (or would be), and the engines kept because a process builds them right now.

        Raises:
            ForeignFolderError: The folder is not an engine store.
            StoreError: The store cannot be read or written.
        """
        self._check_is_store()
        removed: list[Removed] = []
        busy: list[StoredEngine] = []
        for entry in self.entries():
            if not (reason := why(entry)):
                continue
            with self._oserror_as_store_error("written"), self._try_lock(entry.folder) as locked:
                if not locked:
                    busy.append(entry)
                    continue
                removed.append(_remove(entry.folder, reason, dry_run))
        with self._oserror_as_store_error("written"):
            for path in self._folders():
                if (match := _REMAINS.fullmatch(path.name)) and is_real_folder(path):
                    with self._try_lock(path.with_name(match[1])) as locked:
                        if locked and path.exists():
                            removed.append(_remove(path, "left over from a build that did not end", dry_run))
                elif _FAILED_LOG.fullmatch(path.name) and not is_real_folder(path):
                    removed.append(Removed(path, path.lstat().st_size, "log of a build that failed"))
                    if not dry_run:
                        path.unlink(missing_ok=True)
        return removed, busy

    def folder(self, model: str, key: EngineKey) -> Path:
        """Return the folder that holds, or would hold, the engine of a key."""
        return self.root / _folder_name(model) / key.digest()[:DIGITS]

    def failed_log(self, model: str, key: EngineKey) -> Path:
        """Return the path of the last failed build's log, which the next build replaces or deletes."""
        folder = self.folder(model, key)
        return folder.with_name(f"{folder.name}{_FAILED}")

    def _build(self, model: str, key: EngineKey, build: BuildFunction) -> StoredEngine:
        """Build into a temporary folder, then publish it. The caller holds the key's lock."""
        folder = self.folder(model, key)
        with self._oserror_as_store_error("written"):
            make_real_folder(folder.parent)
            for remains in folder.parent.glob(f".{folder.name}.*{_BUILDING}"):
                _delete(remains)
            part = _temporary(folder)
            part.mkdir()
        try:
            start = time.monotonic()
            result = build(part, self.reason(model, key))
            with self._oserror_as_store_error("written"):
                seconds = round(time.monotonic() - start, 3)
                manifest = make_manifest(model, key, result, part / ENGINE, seconds)
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
        make_real_folder(locks)
        # Imported here, because reading the store takes no lock.
        from filelock import FileLock

        return FileLock(locks / f"{folder.name}.lock")

    @contextlib.contextmanager
    def _try_lock(self, folder: Path) -> Iterator[bool]:
        """Hold a key's lock and yield True, or yield False where another process holds it."""
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
    def _oserror_as_store_error(self, action: str) -> Iterator[None]:
        """Translate OSError into StoreError; ``action`` is read or written."""
        try:
            yield
        except OSError as error:
            message = f"the engine store {str(self.root)!r} cannot be {action} ({error.strerror or error})"
            raise StoreError(message, error.errno) from error

    def _check_root(self) -> None:
        if self.root.exists() and not self.root.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))

    def _check_is_store(self) -> None:
        """Raise ForeignFolderError for a folder that holds folders, but nothing by which a store is recognized."""
        with self._oserror_as_store_error("read"):
            self._check_root()
            models = self._models()
            recognized = not models or is_real_folder(self.root / _LOCKS)
        if not recognized and all(entry.manifest_error for entry in self.entries()):
            raise ForeignFolderError(f"{str(self.root)!r} is not an engine store: it holds {models[0].name!r}")

    def _folders(self, model: str | None = None) -> list[Path]:
        """Return what lies in the folders of all models, or of one. Raises OSError."""
        self._check_root()
        models = self._models() if model is None else [self.root / _folder_name(model)]
        return [path for parent in models if is_real_folder(parent) for path in sorted(parent.iterdir())]

    def _models(self) -> list[Path]:
        """Return the visible folders, which hold the engines of a model each. Raises OSError."""
        paths = sorted(self.root.iterdir()) if self.root.exists() else []
        return [path for path in paths if not path.name.startswith(".") and is_real_folder(path)]


def _folder_name(model: str) -> str:
    """Turn a model's name into a folder's name; a checksum keeps changed names apart."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", model).lstrip(".")[:80]
    return safe if safe and safe == model else f"{safe}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"


def _publish(part: Path, folder: Path) -> None:
    """Rename a complete folder to its final name, in place of an older one."""
    for path in part.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    if os.path.lexists(folder):
        old = _temporary(folder)
        folder.rename(old)
        part.rename(folder)
        _delete(old)
    else:
        part.rename(folder)


def _delete(path: Path) -> None:
    """Delete a folder, or a file or a link in its place, as far as possible."""
    if is_real_folder(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _temporary(folder: Path) -> Path:
    """Return a hidden, unused name next to a folder."""
    return folder.with_name(f".{folder.name}.{secrets.token_hex(4)}{_BUILDING}")


def _remove(folder: Path, why: str, dry_run: bool) -> Removed:
    removed = Removed(folder, size_of(folder), why)
    if not dry_run:
        # Renamed first, so that a reader never sees a half-deleted engine.
        doomed = folder if folder.name.endswith(_BUILDING) else folder.rename(_temporary(folder))
        shutil.rmtree(doomed)
    return removed
