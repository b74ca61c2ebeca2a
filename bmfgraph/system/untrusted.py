"""Read files that others may have written or replaced, and keep folders that others cannot write to.

A cache, an engine store, a target or a report may be a link, a pipe, a device, damaged, or far too large. Opening a
pipe waits for its writer, and a link of another user can point to any file. These functions fail at once instead.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

__all__ = [
    "check_private",
    "has_form",
    "is_real_folder",
    "make_private_folder",
    "make_real_folder",
    "open_regular",
    "read_bounded",
    "read_json",
    "replace_file",
]

_NOTE_LIMIT = 16 << 20
"""Bytes of the largest file that holds notes: a manifest, an entry of a cache, a report, a target."""


def open_regular(path: Path | str, *, follow: bool = True) -> IO[bytes]:
    """Open a regular file for reading. Never wait for a pipe or a device.

    Args:
        path: The file.
        follow: Follow a link in the last part of the path. Pass False where only bmfgraph itself writes.

    Raises:
        OSError: The file cannot be opened, is not a regular file, or is a link although ``follow`` is false.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, f"it is {_kind(mode)}, not a file", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bounded(path: Path | str, limit: int, *, follow: bool = True) -> bytes:
    """Return the bytes of a regular file.

    Args:
        path: The file.
        limit: Largest number of bytes.
        follow: As in :func:`open_regular`.

    Raises:
        OSError: As :func:`open_regular`, or the file is larger than ``limit``.
    """
    with open_regular(path, follow=follow) as file:
        # Python allocates what is asked for, so no more is asked for than the file has; files in /proc have size 0.
        content = file.read(min(limit, max(os.fstat(file.fileno()).st_size, 1 << 20)) + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit:,} bytes", str(path))
    return content


def read_json(path: Path | str, limit: int = _NOTE_LIMIT, *, follow: bool = True) -> Any:
    """Return the content of a JSON file.

    Args:
        path: The file.
        limit: Largest number of bytes.
        follow: As in :func:`open_regular`.

    Raises:
        OSError: As :func:`read_bounded`.
        ValueError: The file is not JSON, not UTF-8, or nested too deeply.
    """
    content = read_bounded(path, limit, follow=follow)
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def has_form(value: Any, form: Any) -> bool:
    """Return whether JSON data has a form.

    Args:
        value: The data.
        form: A type; None; a tuple of forms, of which one must fit; ``[form]`` for a list; or ``{name: form}`` for an
            object, which may have further names. The name ``*`` stands for every name, and ``name?`` may be missing.

    Example:
        >>> has_form({"name": "net", "dims": [1, 3]}, {"name": str, "dims": [int], "dtype?": str})
        True
    """
    if isinstance(form, tuple):
        return any(has_form(value, part) for part in form)
    if isinstance(form, list):
        return isinstance(value, list) and all(has_form(item, form[0]) for item in value)
    if isinstance(form, dict):
        return isinstance(value, dict) and all(
            all(has_form(item, part) for item in value.values())
            if name == "*"
            else has_form(value[name.rstrip("?")], part)
            if name.rstrip("?") in value
            else name.endswith("?")
            for name, part in form.items()
        )
    # True is an int in Python.
    return value is None if form is None else isinstance(value, form) and (form is bool or not isinstance(value, bool))


def replace_file(path: Path, content: bytes) -> None:
    """Write a file of this user atomically. Whatever has its name is replaced; a link is not followed.

    Raises:
        OSError: The file cannot be written.
    """
    descriptor, part = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def is_real_folder(path: Path) -> bool:
    """Return whether a path is a folder, and not a link to one.

    Raises:
        OSError: A parent folder cannot be searched.
    """
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def make_real_folder(path: Path) -> None:
    """Create a folder, with its parents, or keep an existing one.

    Raises:
        OSError: The folder cannot be created, or its name is a link.
    """
    path.mkdir(parents=True, exist_ok=True)
    if not is_real_folder(path):
        raise OSError(errno.ELOOP, "it is a link", str(path))


def make_private_folder(folder: Path) -> None:
    """Create a folder, with its parents, that only this user can write to; check it if it exists.

    Raises:
        OSError: The folder cannot be created, or :func:`check_private` refuses it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
    check_private(folder)


def check_private(path: Path) -> None:
    """Check that no other user than root could have written a file or a folder.

    Raises:
        OSError: It does not exist, is a link, belongs to another user, or is writable for everyone.
    """
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, "it is a link", str(path))
    if sys.platform != "win32" and status.st_uid not in (os.geteuid(), 0):
        raise PermissionError(errno.EPERM, "it belongs to another user", str(path))
    if status.st_mode & stat.S_IWOTH:
        raise PermissionError(errno.EPERM, "every user can write to it", str(path))


def _kind(mode: int) -> str:
    """Return the kind of a file that is neither regular nor a folder."""
    if stat.S_ISFIFO(mode):
        return "a pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"
