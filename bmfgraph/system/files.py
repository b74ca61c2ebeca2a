"""Write files atomically, and compute their checksums."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

from bmfgraph.system.temporary import publish, reserved
from bmfgraph.system.untrusted import open_regular

__all__ = [
    "DISK_FULL",
    "cache_folder",
    "file_error",
    "file_sha256",
    "make_parent",
    "unwritable",
    "write_whole",
]

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers for a full disk, an exhausted quota and a file that is too large."""


def cache_folder() -> Path:
    """Return ``$BMFGRAPH_CACHE``, or ``bmfgraph`` in the user's cache folder.

    Raises:
        OSError: The user has no home folder.
    """
    if folder := os.environ.get("BMFGRAPH_CACHE"):
        return Path(folder)
    import platformdirs

    try:
        return platformdirs.user_cache_path("bmfgraph")
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "no home folder is known") from None


def file_error(path: Path | str, action: str, error: OSError) -> str:
    """Describe a failed file operation.

    Args:
        path: The file or folder.
        action: A past participle, such as "written".
        error: The reason.

    Returns:
        A text such as ``'/a/b.json' cannot be written (No space left on device)``.
    """
    return f"{str(path)!r} cannot be {action} ({error.strerror or error})"


def file_sha256(path: Path, *, follow: bool = True) -> str:
    """Return the SHA-256 of a regular file's bytes, in hexadecimal digits.

    Args:
        path: The file.
        follow: Follow a link in the last part of the path.

    Raises:
        OSError: The file cannot be read, or it is a pipe, a device or, unless ``follow`` is true, a link.
    """
    digest = hashlib.sha256()
    with open_regular(path, follow=follow) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def unwritable(path: Path, *, deep: bool = False) -> str:
    """Check whether a file can be written, without writing.

    Args:
        path: The file.
        deep: All folders above it will be created, also outside the current folder.

    Returns:
        The obstacle, such as ``Permission denied``; "" if none is visible.
    """
    try:
        if path.exists() and not os.access(path, os.W_OK):
            return os.strerror(errno.EACCES)
        if path.is_dir():
            return os.strerror(errno.EISDIR)
        if path.exists() and not path.is_file():
            return _endless(path)
        # A new file is written next to the old one and then renamed, so the folder must be writable, too.
        folders = list(Path(os.path.realpath(path)).parents)
        folder = next(folder for folder in folders if folder.exists())
        # The current folder may hold a link to another disk.
        named = Path(os.path.abspath(path)).parents  # noqa: PTH100 - resolve() follows links
        if not (deep or folder in folders[:2] or Path.cwd() in folders or Path.cwd() in named):
            # A mistyped path must not leave a tree of folders somewhere on the disk.
            return f"the folder {str(folders[1])!r} does not exist"
    except OSError as error:
        return os.strerror(error.errno or errno.EIO)
    if not folder.is_dir():
        return os.strerror(errno.ENOTDIR)
    return "" if os.access(folder, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)


def make_parent(path: Path) -> None:
    """Create the folder of a file that will be written; in the current folder, also the folders above it.

    Raises:
        OSError: The folder cannot be created, or the file cannot be written.
    """
    if obstacle := unwritable(path):
        raise OSError(errno.EINVAL, obstacle, str(path))
    path.parent.mkdir(parents=True, exist_ok=True)


def _endless(path: Path) -> str:
    """Return why a special file is not written: a pipe waits for its reader, and a disk is no file; "" for others."""
    mode = path.stat().st_mode
    # Such as /dev/stdout, which may be a pipe.
    own = os.path.realpath(path).startswith("/proc/")
    if stat.S_ISBLK(mode) or (not own and not stat.S_ISCHR(mode)):
        return "it is a pipe, a socket or a disk, not a file"
    return ""


def write_whole(path: Path, content: str | bytes, *, overwrite: bool = True) -> None:
    """Write a file atomically. Devices such as /dev/null and the pipes of this process are written directly.

    Args:
        path: The file.
        content: Bytes, or text that is encoded as UTF-8.
        overwrite: Replace a file that exists.

    Raises:
        OSError: The file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        if obstacle := unwritable(path):
            raise OSError(errno.EINVAL, obstacle, str(path))
        path.write_bytes(data)
        return
    with reserved(path) as part:
        part.write_bytes(data)
        publish(part, path, overwrite=overwrite)
