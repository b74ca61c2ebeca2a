"""Files that appear under their names only when they are complete, and what tells them apart."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import threading
from pathlib import Path

__all__ = [
    "DISK_FULL",
    "cache_folder",
    "file_sha256",
    "publish",
    "reserve",
    "size_text",
    "unwritable",
    "write_whole",
]

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers that mean: no room to write, by the disk, the quota or the largest file size."""
_UMASK = threading.Lock()


def cache_folder() -> Path:
    """``$BMFGRAPH_CACHE``, else ``bmfgraph`` in the user's cache folder. Raises OSError where there is no home."""
    named = os.environ.get("BMFGRAPH_CACHE")
    if named:
        return Path(named)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bmfgraph"
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "no home folder is known") from None


def file_sha256(path: Path) -> str:
    """Sha256 (hex) of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def size_text(size: float) -> str:
    """Return a number of bytes for people: ``1,234.5 MB``, or ``12.3 kB`` below 0.1 MB."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"


def reserve(path: Path) -> Path:
    """Make an empty file beside ``path``, to be filled and then published. Raises OSError where that cannot be."""
    # Beside the file that a link leads to, so that the link stays one.
    target = Path(os.path.realpath(path))
    # A name as long as the file system allows has no room for more.
    number, name = tempfile.mkstemp(prefix=f".{target.name[:40]}.", suffix=".part", dir=target.parent)
    os.fchmod(number, 0o666 & ~_umask())
    os.close(number)
    return Path(name)


def publish(part: Path, path: Path) -> None:
    """Give a reserved file its final name. Raises OSError."""
    part.replace(os.path.realpath(path))


def unwritable(path: Path) -> int:
    """The system's number of the reason why a file cannot be written there, as far as can be seen without writing; 0 if
    it can.
    """
    try:
        if path.exists() and not os.access(path, os.W_OK):
            return errno.EACCES
        if path.exists() and not path.is_file():
            return 0
        # A file is written beside the one that it replaces.
        folder = next(parent for parent in path.absolute().parents if parent.exists())
    except OSError as error:
        return error.errno or errno.EIO
    if not folder.is_dir():
        return errno.ENOTDIR
    return 0 if os.access(folder, os.W_OK | os.X_OK) else errno.EACCES


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file at once, text as UTF-8; a device or pipe is written as it is. Raises OSError."""
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    part = reserve(path)
    try:
        part.write_bytes(data)
        publish(part, path)
    finally:
        part.unlink(missing_ok=True)


def _umask() -> int:
    """The process's file mode creation mask, which can only be read by setting it."""
    with _UMASK:
        value = os.umask(0o077)
        os.umask(value)
    return value
