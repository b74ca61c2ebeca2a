"""Make temporary files and folders that do not stay behind for ever.

The process that makes one holds a lock (``flock``) on it. A killed process cannot delete its files, but the system
releases its lock. So the next process that makes a file of the same kind deletes those without a lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["publish", "remove_leftover_parts", "reserved", "reserved_folder", "temporary_folder"]

_RANDOM = r"[a-z0-9_]{8}"
"""The characters that ``tempfile`` puts into a name."""
_PART = re.compile(rf"\.(.+)\.{_RANDOM}\.part")
_FOLDER_PREFIX = "bmfgraph-tmp-"
_FOLDER = re.compile(rf"{_FOLDER_PREFIX}{_RANDOM}")
_NAME_LIMIT = 40
"""Characters of a file's name in the name of its part: the file system limits the length of names."""
_NO_SURPRISE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Flags with which opening neither follows a link nor waits for a pipe."""
_UMASK = threading.Lock()


@contextlib.contextmanager
def reserved(path: Path) -> Iterator[Path]:
    """Create an empty file in the folder of ``path``, to be filled and then published.

    The file is deleted at the end of the context unless it was published. Parts of the same file that a killed process
    has left are deleted, too.

    Yields:
        The path of the empty file. If ``path`` is a link, the file lies next to the link's target, so that publishing
        keeps the link.

    Raises:
        OSError: The file cannot be created.
    """
    target = Path(os.path.realpath(path))
    remove_leftover_parts(target)
    while True:
        lock, name = tempfile.mkstemp(prefix=f".{_base(target)}.", suffix=".part", dir=target.parent)
        if _hold(lock, name):
            break
    try:
        os.fchmod(lock, 0o666 & ~_umask())
        yield Path(name)
    finally:
        with contextlib.suppress(OSError):
            Path(name).unlink(missing_ok=True)
        os.close(lock)


@contextlib.contextmanager
def reserved_folder(path: Path) -> Iterator[Path]:
    """Create a folder beside ``path``, to be filled with files that are then published one by one.

    It is deleted at the end of the context. Those that a killed process has left are deleted, too.

    Yields:
        The empty folder.

    Raises:
        OSError: The folder cannot be created.
    """
    target = Path(os.path.realpath(path))
    remove_leftover_parts(target)
    while True:
        folder = tempfile.mkdtemp(prefix=f".{_base(target)}.", suffix=".part", dir=target.parent)
        try:
            lock = os.open(folder, os.O_RDONLY | _NO_SURPRISE)
        except FileNotFoundError:
            continue  # Another process has deleted it as a leftover.
        if _hold(lock, folder):
            break
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def publish(part: Path, path: Path, *, overwrite: bool = True) -> None:
    """Rename a reserved file to its final name.

    Args:
        part: The reserved file.
        path: The final name.
        overwrite: Replace a file of that name.

    Raises:
        FileExistsError: There is a file of that name, and ``overwrite`` is false.
        OSError: The file cannot be renamed.
    """
    target = os.path.realpath(path)
    if not overwrite:
        try:
            # Unlike a rename, a link never replaces a file that another process has just made.
            os.link(part, target)
        except FileExistsError:
            raise
        except OSError:
            # The file system has no hard links. An empty file takes the name first.
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _NO_SURPRISE, 0o600))
        else:
            part.unlink()
            return
    part.replace(target)


def remove_leftover_parts(path: Path) -> None:
    """Delete the parts of a file whose processes have ended; skip those that cannot be deleted."""
    target = Path(os.path.realpath(path))
    base = _base(target)
    for name in _names(target.parent):
        if (match := _PART.fullmatch(name)) and match[1] == base:
            _remove_unheld(target.parent / name, stat.S_ISREG, Path.unlink)
            _remove_unheld(target.parent / name, stat.S_ISDIR, shutil.rmtree)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder in the system's folder for temporary files, and delete it at the end of the context.

    Folders of this kind that a killed process has left are deleted, too.

    Yields:
        The empty folder.

    Raises:
        OSError: The folder cannot be created.
    """
    parent = Path(tempfile.gettempdir())
    for name in _names(parent):
        if _FOLDER.fullmatch(name):
            _remove_unheld(parent / name, stat.S_ISDIR, shutil.rmtree)
    while True:
        folder = tempfile.mkdtemp(prefix=_FOLDER_PREFIX, dir=parent)
        try:
            lock = os.open(folder, os.O_RDONLY | _NO_SURPRISE)
        except FileNotFoundError:
            # Another process has deleted the new folder as a leftover.
            continue
        if _hold(lock, folder):
            break
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _base(target: Path) -> str:
    """Return the file's name in the names of its parts; a part of a part counts as a part of the file itself."""
    match = _PART.fullmatch(target.name)
    # FFmpeg takes a percent sign in the path of numbered pictures for the place of the number.
    return match[1] if match else target.name[:_NAME_LIMIT].replace("%", "_")


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        # The caller reports a folder that it cannot write to.
        return []


def _hold(number: int, name: str) -> bool:
    """Lock a new file or folder; close it and return False if another process has just deleted it as a leftover."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = _is_at(number, name)
    except BlockingIOError:
        held = False
    except OSError:
        # The file system has no locks, so nobody deletes what lies there.
        held = True
    if not held:
        os.close(number)
    return held


def _remove_unheld(path: Path, kind: Callable[[int], bool], remove: Callable[[Path], None]) -> None:
    """Delete a file or folder of this user's that no process holds; never follow a link.

    Args:
        path: The file or folder.
        kind: Returns whether a mode of ``stat`` is the expected one.
        remove: Deletes it.
    """
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        number = os.open(path, os.O_RDONLY | _NO_SURPRISE)
        stack.callback(os.close, number)
        status = os.fstat(number)
        if kind(status.st_mode) and status.st_uid == os.geteuid():
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(number, path):
                remove(path)


def _is_at(number: int, path: str | Path) -> bool:
    """Return whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(number), os.lstat(path))
    except FileNotFoundError:
        return False


def _umask() -> int:
    """Return the file mode creation mask of the process. It can only be read by setting it."""
    with _UMASK:
        value = os.umask(0o077)
        os.umask(value)
    return value
