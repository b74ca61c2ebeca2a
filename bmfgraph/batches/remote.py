"""Reach files on S3, on Google Cloud Storage and on web servers through fsspec, and explain what fails there."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote

from bmfgraph import error_codes as codes
from bmfgraph.errors import BmfgraphError, ConfigError, InstallError, first_line, without_passwords
from bmfgraph.media.clips import LIST_BYTES, is_video_name
from bmfgraph.media.naming import input_words, is_object
from bmfgraph.media.opening import is_url
from bmfgraph.media.picture_files import WILDCARDS, natural_order
from bmfgraph.system.text import shortened, size_text

__all__ = [
    "ABSENT",
    "State",
    "clips_of",
    "exists",
    "explained",
    "file_state",
    "file_system",
    "has_state",
    "is_object",
    "is_one_object",
    "is_remote",
    "opened",
    "several_at",
    "states_of",
    "suffix_of",
]

State = list[Any]
"""Size and time or tag of a file, which tell a change without reading it."""
ABSENT: State = [-1, -1]
_TAGS = ("ETag", "etag", "Last-Modified", "LastModified", "mtime", "updated")
"""What servers tell of a version of a file, the surest first."""
_CREDENTIALS = re.compile("credential|profile|token|auth", re.IGNORECASE)
"""What the names of exceptions have that stand for missing credentials."""
_REFUSED = (401, 403)
_LIST = ".txt"
_QUESTIONS = 32
"""Questions to servers at once."""


def is_remote(name: str) -> bool:
    """Return whether a name is an address that fsspec reads."""
    return is_object(name) or is_url(name)


def suffix_of(name: str) -> str:
    """Return the extension of a path or an address in lower case."""
    return PurePosixPath(name.partition("?")[0] if is_url(name) else name).suffix.lower()


def file_system(name: str) -> Any:
    """Return fsspec's file system for an address. What it lists is always up to date.

    Raises:
        ConfigError: The address holds a password.
        InstallError: The package for the address is not installed.
    """
    protocol = name.partition("://")[0].lower()
    if is_object(name) and without_passwords(name) != name:
        raise ConfigError(
            f"{name!r} holds a user or password",
            path="input",
            hint="leave it out; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
            code=codes.REFUSED_ACCESS,
        )
    try:
        import fsspec

        return fsspec.filesystem(protocol, use_listings_cache=False)
    except ImportError:
        raise InstallError(
            f"{name!r}: the package that reads {protocol}:// is not installed",
            path="input",
            hint="pip install 'bmfgraph[cloud]'" + " gcsfs" * (protocol == "gs"),
            code=codes.MISSING_CLOUD,
        ) from None


@contextlib.contextmanager
def explained(name: str, work: str, path: str = "input") -> Iterator[None]:
    """Turn what fsspec raises into errors with a code.

    Args:
        name: The address.
        work: What the block does with it: ``listed``, ``read`` or ``written``.
        path: The key that names it.

    Raises:
        ConfigError: It does not exist, or this user may not do so.
        BmfgraphError: The server or the network fails, or the disk is full.
    """
    try:
        yield
    except BmfgraphError:
        raise
    except FileNotFoundError:
        raise ConfigError(
            f"{name!r} cannot be {work}: there is no such bucket, folder or file",
            path=path,
            hint="correct the address; AWS_ENDPOINT_URL and AWS_PROFILE say which server and account are meant",
            code=codes.MISSING_OBJECT,
        ) from None
    except FileExistsError:
        raise ConfigError(
            f"{name!r} exists",
            path=path,
            hint="set overwrite=true to replace it, or name another file",
            code=codes.EXISTING_OUTPUT,
        ) from None
    except Exception as error:
        raise _failure(name, work, path, error) from None


def _failure(name: str, work: str, path: str, error: Exception) -> BmfgraphError:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BmfgraphError(
            f"{name!r} cannot be {work}: the disk of the temporary folder is full",
            path=path,
            hint="make room, set TMPDIR to a folder of a larger disk, or run fewer clips side by side",
            code=codes.DISK_FULL,
        )
    response = getattr(error.__cause__ or error, "response", None)
    code = str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
    status = getattr(error, "status", getattr(error, "code", None))
    kind = type(error).__name__
    if isinstance(error, PermissionError) or status in _REFUSED or _CREDENTIALS.search(kind):
        reason = "there are no valid credentials" if _CREDENTIALS.search(kind) else "access is refused"
        return ConfigError(
            f"{name!r} cannot be {work}: {reason} ({code or kind})",
            path=path,
            hint="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and check what the user may do; for "
            "gs:// run `gcloud auth application-default login`",
            code=codes.REFUSED_ACCESS,
        )
    return BmfgraphError(
        f"{name!r} cannot be {work} ({shortened(code or f'{kind}: {first_line(error)}', 300)})",
        path=path,
        hint="check the network, the address and AWS_ENDPOINT_URL; retries=3 tries a clip again",
        code=codes.REMOTE_FAILURE,
    )


def file_state(name: str, path: str = "input") -> State:
    """Return the state of a file or of an address; ``ABSENT`` if there is none.

    Args:
        name: The path or address.
        path: The key that names it.

    Raises:
        BmfgraphError: The server does not tell.
    """
    if not is_remote(name):
        try:
            found = Path(name).stat()
        except OSError:
            return ABSENT
        return [found.st_size, found.st_mtime_ns]
    system = file_system(name)
    with explained(name, "read", path):
        try:
            info = system.info(name)
        except FileNotFoundError:
            return ABSENT
    if info.get("type") == "directory":
        return ABSENT
    tag = next((str(info[tag]) for tag in _TAGS if info.get(tag)), "")
    # The journal would take digits alone for a number.
    return [info.get("size") or 0, f"tag {tag}"]


def states_of(names: Iterable[str]) -> dict[str, State]:
    """Return the states of those names that are addresses; the servers are asked side by side.

    Raises:
        BmfgraphError: A server does not tell.
    """
    remote = [*filter(is_remote, dict.fromkeys(names))]
    with ThreadPoolExecutor(_QUESTIONS) as pool:
        return dict(zip(remote, pool.map(file_state, remote), strict=True))


def exists(name: str) -> bool:
    """Return whether there is an output of that name; a link that leads nowhere counts."""
    return file_state(name, "output") != ABSENT or os.path.lexists(name)


def has_state(name: str) -> bool:
    """Return whether the state of an address can be had, and may be kept: it holds no password or signature."""
    known = is_object(name) or all(map(importlib.util.find_spec, ("fsspec", "aiohttp")))
    return known and without_passwords(name) == name


@contextlib.contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """Open an address for reading.

    Raises:
        BmfgraphError: It cannot be read.
    """
    system = file_system(name)
    with explained(name, "read"), system.open(name, "rb") as file:
        yield file


# ---------------------------------------------------------------------------------------------- listing


def several_at(name: str) -> bool:
    """Return whether an address names a pattern, a folder or a list, so that a server must be asked for clips."""
    return is_remote(name) and (is_object(name) or _is_many(name))


def is_one_object(name: str) -> bool:
    """Return whether a name is the address of a single file of a store."""
    return is_object(name) and not _is_many(name)


def _is_many(name: str) -> bool:
    return _is_pattern(name) or name.endswith("/") or suffix_of(name) == _LIST


def _is_pattern(name: str) -> bool:
    # Brackets and question marks have a meaning of their own in addresses of the web.
    return bool(WILDCARDS.search(name)) if is_object(name) else "*" in name.partition("?")[0]


def clips_of(name: str) -> Iterator[tuple[str, str]]:
    """List the clips of a pattern, a folder or a list at an address; each with the path below the folder of all.

    Args:
        name: The address. One that names a clip is listed itself.

    Raises:
        BmfgraphError: It does not exist, or cannot be listed.
    """
    if suffix_of(name) == _LIST:
        yield from _of_list(name)
        return
    alone = (name, input_words(name)["stem"])
    if not several_at(name):
        yield alone
        return
    system = file_system(name)
    pattern = _is_pattern(name)
    with explained(name, "listed"):
        is_clip = not name.endswith("/") and (system.isfile(name) if pattern else is_video_name(name))
        if is_clip or not (pattern or name.endswith("/") or system.isdir(name)):
            yield alone
            return
        found = system.glob(name, detail=True).values() if pattern else system.ls(name, detail=True)
        names = [system.unstrip_protocol(each["name"]) for each in found if each["type"] == "file"]
        folder = f"{name[: WILDCARDS.search(name).start()].rpartition('/')[0]}/" if pattern else f"{name.rstrip('/')}/"  # type: ignore[union-attr]
        if not names:
            # An empty answer hides a bucket that does not exist.
            system.ls(folder if is_url(name) else "/".join(name.split("/")[:3]))
    # A page may have links to other servers.
    clips = [each for each in names if each.startswith(folder) and (pattern or is_video_name(each))]
    for clip in sorted(clips, key=natural_order):
        yield clip, _below(folder, clip)


def _below(folder: str, name: str) -> str:
    """Return the path below a folder without extension; the stem if it would lead out of the folder."""
    rest = name.removeprefix(folder)
    path = PurePosixPath(unquote(rest) if is_url(name) else rest).with_suffix("")
    leads_out = path.is_absolute() or ".." in path.parts
    return input_words(name)["stem"] if leads_out else path.as_posix()


def _of_list(name: str) -> Iterator[tuple[str, str]]:
    with opened(name) as file:
        data = file.read(LIST_BYTES + 1)
    if len(data) > LIST_BYTES:
        raise ConfigError(
            f"{name!r} has more than {size_text(LIST_BYTES)}",
            path="input",
            hint="name the clips in a manifest, which is read row by row",
            code=codes.UNREADABLE_FILE,
        )
    lines = (line.strip() for line in data.decode("utf-8", "surrogateescape").splitlines())
    for line in lines:
        if not line or line.startswith("#"):
            continue
        # A list in a list could name itself.
        if is_remote(line) and suffix_of(line) != _LIST:
            yield from clips_of(line)
        else:
            yield line, input_words(line)["stem"]
