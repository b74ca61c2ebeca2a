"""List the clips of a batch: those that ``input`` names, or the rows of a manifest."""

from __future__ import annotations

import contextlib
import csv
import glob
import io
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bmfgraph import error_codes as codes
from bmfgraph.batches.remote import clips_of, is_one_object, is_remote, opened, several_at, suffix_of
from bmfgraph.config.job import path_keys
from bmfgraph.errors import ConfigError, MediaError
from bmfgraph.media.clips import clip_names, relative_name
from bmfgraph.media.naming import input_words
from bmfgraph.media.picture_files import WILDCARDS

__all__ = ["Entry", "entries", "is_manifest", "names_clips_at", "names_remote"]

_CSV, _LINES = ".csv", ".jsonl"
_CLIP = "input"
"""The column of the clips."""
_PROGRAM = re.compile(r"\.(command|python|allow_host_code)$")
"""Keys that run a program or code of somebody else."""
_LONGEST = 1 << 20
"""Characters of a line of a manifest."""


@dataclass(frozen=True)
class Entry:
    """A clip of a batch."""

    index: int
    """Place in the whole list, from 0."""
    clip: str
    relative: str
    """Text for the word ``{relpath}``."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Overrides for this clip: value by dotted key."""


def is_manifest(value: object) -> bool:
    """Return whether the key ``input`` names a table of clips with overrides."""
    return isinstance(value, str) and suffix_of(value) in (_CSV, _LINES)


def names_remote(value: object) -> bool:
    """Return whether the key ``input``, or its list of names, has an address that only a batch reads."""
    parts = value if isinstance(value, list | tuple) else [value]
    if isinstance(value, str) and suffix_of(value) == ".txt" and not is_remote(value):
        with contextlib.suppress(MediaError, OSError):
            parts = clip_names(value) or ()
    return any(isinstance(part, str) and several_at(part) for part in parts)


def names_clips_at(value: object) -> bool:
    """Return whether the key ``input`` names clips at an address that are more than one, or must be asked for."""
    return names_remote(value) and not (isinstance(value, str) and is_one_object(value))


def entries(value: str | Sequence[str] | None) -> Iterator[Entry]:
    """List the clips that the key ``input`` names, one by one. A manifest is read as the entries are taken.

    Args:
        value: As for :func:`bmfgraph.media.clips.clip_names`, also at an address; or a manifest: CSV with a
            header, or an object in each line (.jsonl). Its column or key ``input`` names the clip; the others are
            overrides, empty ones of a CSV file left out.

    Raises:
        ConfigError: The list or manifest cannot be read, or has no name, or a row is wrong; it names the line.
    """
    try:
        yield from _listed(value)
    except MediaError as error:
        raise ConfigError(str(error), path="input", hint=error.hint, code=error.code) from None
    except OSError as error:
        raise ConfigError(
            f"{value!r} cannot be read ({error.strerror})",
            path="input",
            hint="correct it, or check who may read it",
            code=codes.UNREADABLE_FILE,
        ) from None


def _listed(value: str | Sequence[str] | None) -> Iterator[Entry]:
    if isinstance(value, str) and is_manifest(value):
        yield from _of_manifest(value)
        return
    for index, (name, relative) in enumerate(_named(value)):
        yield Entry(index, name, relative)


def _named(value: str | Sequence[str] | None) -> Iterator[tuple[str, str]]:
    """List the clips, each with its text for the word ``{relpath}``."""
    if isinstance(value, str) and is_remote(value):
        yield from clips_of(value)
        return
    names = clip_names(value)
    if names is None and isinstance(value, str):
        # Pictures that make one clip, or one clip.
        names = () if not value or (WILDCARDS.search(value) and not _exists(value)) else (value,)
    for name in names or ():
        if is_remote(name):
            yield from clips_of(name)
        else:
            yield name, relative_name(value, name)


def _exists(pattern: str) -> bool:
    return os.path.lexists(pattern) or next(glob.iglob(pattern, recursive=True), None) is not None  # noqa: PTH207


def _of_manifest(path: str) -> Iterator[Entry]:
    literal = set(path_keys())
    with opened(path) if is_remote(path) else Path(path).open("rb") as file:
        lines = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        rows = _csv_rows(path, lines) if suffix_of(path) == _CSV else _json_rows(path, lines)
        for index, (number, row) in enumerate(rows):
            clip = row.pop(_CLIP, None)
            if not isinstance(clip, str) or not clip:
                raise _wrong(path, number, f"it names no clip in {_CLIP!r}")
            if suffix_of(path) == _CSV:
                row = {key: text if key in literal else _scalar(text) for key, text in row.items()}
            row = dict(_flat(row))
            if is_remote(path) and (program := next((key for key in row if _PROGRAM.search(key)), None)):
                raise _wrong(path, number, f"{program!r} names a program, which only a manifest of this machine may do")
            yield Entry(index, clip, _below(clip), row)


def _below(clip: str) -> str:
    """Return a relative path without its extension; the stem of a path that leads out of the folder, or an address."""
    path = Path(clip)
    leads_out = path.is_absolute() or ".." in path.parts or "://" in clip
    return input_words(clip)["stem"] if leads_out else path.with_suffix("").as_posix()


def _csv_rows(path: str, lines: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    table = csv.DictReader(_bounded(path, lines), strict=True)
    try:
        table.fieldnames = [name.strip() for name in table.fieldnames or ()]
        if _CLIP not in table.fieldnames:
            raise _wrong(path, 1, f"its header has no column {_CLIP!r}")
        for row in table:
            if None in row or None in row.values():
                raise _wrong(path, table.line_num, "it has not as many cells as the header")
            yield table.line_num, {key: text.strip() for key, text in row.items() if text.strip()}
    except csv.Error as error:
        raise _wrong(path, table.line_num, str(error)) from None


def _json_rows(path: str, lines: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_bounded(path, lines), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _wrong(path, number, f"it is not JSON ({error})") from None
        if not isinstance(row, dict):
            raise _wrong(path, number, "it is not an object")
        yield number, row


def _bounded(path: str, lines: Any) -> Iterator[str]:
    number = 0
    while line := lines.readline(_LONGEST):
        number += 1
        if len(line) == _LONGEST:
            raise _wrong(path, number, f"it has more than {_LONGEST:,} characters")
        yield line


def _flat(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _scalar(text: str) -> Any:
    """Return a cell as YAML reads it; text where it is not a single value."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if value is None or isinstance(value, bool | int | float) else text


def _wrong(path: str, line: int, reason: str) -> ConfigError:
    return ConfigError(
        f"line {line} of {path!r}: {reason}",
        path="input",
        hint="name the clip in `input`, and overrides in the other columns, such as output or decoder.start",
        code=codes.MALFORMED_MANIFEST,
    )
