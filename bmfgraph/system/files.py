"""Write files atomically, and compute their checksums."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

from bmfgraph.system.temporary import publish, reserved

__all__ = [
    "DISK_FULL",
    "cache_folder",
    "file_error",
    "file_sha256",
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


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def unwritable(path: Path) -> int:
    """Check whether a file can be written, without writing.

    Returns:
        The ``errno`` of the obstacle, or 0 if none is visible.
    """
    try:
        if path.exists() and not os.access(path, os.W_OK):
            return errno.EACCES
        if path.exists() and not path.is_file():
            return 0
        # A new file is written next to the old one and then renamed, so the folder must be writable, too.
        folder = next(parent for parent in path.absolute().parents if parent.exists())
    except OSError as error:
        return error.errno or errno.EIO
    if not folder.is_dir():
        return errno.ENOTDIR
    return 0 if os.access(folder, os.W_OK | os.X_OK) else errno.EACCES


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file atomically. Devices and pipes are written directly.

    Args:
        path: The file.
        content: Bytes, or text that is encoded as UTF-8.

    Raises:
        OSError: The file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    with reserved(path) as part:
        part.write_bytes(data)
        publish(part, path)
