"""Read and write the files in the folder of a sweep.

The folder may be any folder, and what lies in it may be damaged, replaced or not of a sweep. A file that is not as
a sweep writes it counts as missing, so its cell runs again. Links, pipes and devices are never followed or opened.
"""

from __future__ import annotations

import contextlib
import json
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bmfgraph import error_codes as codes
from bmfgraph.errors import BmfgraphError, ConfigError
from bmfgraph.system import untrusted
from bmfgraph.system.files import write_whole

__all__ = [
    "CELL",
    "LOG",
    "MEASURED",
    "REPORTS",
    "RESULT",
    "check_folder",
    "claim",
    "is_regular",
    "oserror_as_sweep_error",
    "read_json",
    "remove_irregular",
    "write_file",
    "write_json",
]

CELL, RESULT, MEASURED, LOG = "cell.json", "result.json", "measured.json", "log.txt"
"""Files of a cell: its description, its result, the child's measurements, the child's output."""
REPORTS = ("report.json", "report.csv", "report.html")
"""Files of a report."""
SCHEMA = 1
"""Version of the JSON files."""
_MARK = ".bmfgraph-sweep"
"""File that shows that a folder is a sweep's."""
_FOLDERS = ("cells", "inputs")
_NAMES = (*REPORTS, "multirun.yaml", *_FOLDERS)
"""Everything that a sweep writes into its folder. Hydra writes multirun.yaml."""
_LIMIT = 64 << 20
"""Bytes of the largest file that is read; a report of 10,000 cells has 40 MB."""
_DEPTH = 100
"""Mappings and lists inside each other; a configuration has at most 50."""

_Number = Annotated[float, Field(allow_inf_nan=False)]


class _Content(BaseModel):
    """The parts of a file that are used, with their types."""

    model_config = ConfigDict(strict=True, extra="allow")


class _Error(_Content):
    code: str = ""
    where: str = ""
    message: str
    hint: str = ""


class _Node(_Content):
    name: str
    kind: str
    device: str
    frame_ms: _Number | None


class _Metric(_Content):
    median: _Number
    min: _Number
    max: _Number
    runs: list[_Number] = []


class _Head(_Content):
    id: str
    sweep: str
    varied: dict[str, str]
    command: str
    ship: str | None = None
    left_out: list[str] = []
    reference: str | None = None
    fingerprint: dict[str, Any]


class _Settings(_Content):
    repeats: int = Field(ge=1)
    warmup: bool
    timeout: _Number | None


class _Cell(_Head):
    overrides: list[str]
    pipeline: str
    cut_short: bool
    settings: _Settings
    data: dict[str, Any]


class _Result(_Head):
    status: Literal["ok", "failed", "crashed", "refused", "same"]
    errors: list[_Error]
    metrics: dict[str, _Metric]
    nodes: list[_Node]
    outputs: dict[str, str]
    runs_on: dict[str, str] = {}
    same_as: str | None = Field(default=None, pattern=r"^[0-9a-f]+$")


class _Measured(_Content):
    problems: list[_Error]


class _ReportedCell(_Content):
    id: str
    status: str
    errors: list[_Error]


class _Report(_Content):
    cells: list[_ReportedCell]
    objective: str | None = None
    asked: str | None = None
    command: list[str] = []
    repeats: int = 1
    warmup: bool = True


_CONTENTS: Mapping[str, type[_Content]] = {CELL: _Cell, RESULT: _Result, MEASURED: _Measured, "report.json": _Report}


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a file of a sweep.

    Args:
        path: The file; its name says what it holds.

    Returns:
        Its content; None if it is missing, not a regular file, too large, damaged, of another schema or of wrong types.
    """
    try:
        content = untrusted.read_json(path, _LIMIT, follow=False)
        if not isinstance(content, dict) or content.get("schema") != SCHEMA or _too_deep(content):
            return None
        _CONTENTS[path.name].model_validate(content)
        if content.get("status") == "same" and content.get("same_as") is None:
            return None
    except (OSError, ValueError):
        return None
    return content


def _too_deep(content: Any) -> bool:
    """Whether values lie deeper than code that goes down recursively can follow."""
    level: list[Any] = [content]
    for _ in range(_DEPTH):
        level = [part for value in level for part in _parts(value)]
    return bool(level)


def _parts(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a file of a sweep in one step, and create its folder.

    Raises:
        BmfgraphError: The file cannot be written, or its folder is a link.
    """
    text = json.dumps({"schema": SCHEMA, **data}, indent=2, ensure_ascii=False) + "\n"
    with oserror_as_sweep_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        check_folder(path.parent)
        write_file(path, text)


def write_file(path: Path, text: str) -> None:
    """Write a file of a sweep in one step, in the place of whatever has its name.

    Args:
        path: The file.
        text: The text. A byte of a file name that is not UTF-8 is written as ``\\udcXX``, which JSON reads back.

    Raises:
        OSError: The file cannot be written.
    """
    _remove_irregular_file(path)
    write_whole(path, text.encode(errors="backslashreplace"))


def check_folder(folder: Path) -> None:
    """Check that a folder inside the folder of a sweep is not a link to another place.

    Raises:
        ConfigError: It is a link, or not a folder.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise _foreign(folder, "it is a link, or not a folder")


def is_regular(path: Path) -> bool:
    """Return whether a path is a regular file, and not a link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def remove_irregular(folder: Path) -> None:
    """Remove links, pipes and sockets from the folder of a cell, so that no run writes through them.

    Raises:
        OSError: One cannot be removed.
        ConfigError: The folder is a link.
    """
    check_folder(folder)
    for path in folder.iterdir():
        _remove_irregular_file(path)


def _remove_irregular_file(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            path.unlink()


def claim(root: Path, names: Sequence[str] = _NAMES, *, write: bool = True) -> None:
    """Make a folder the folder of a sweep, unless files of others would be overwritten there.

    Args:
        root: The folder; it may be missing.
        names: What will be written into it.
        write: Create the folder and mark it; False only checks.

    Raises:
        ConfigError: The folder holds one of these names, and no sweep has written there; or it cannot be written.
    """
    with oserror_as_sweep_error(root, ConfigError):
        if not is_regular(root / _MARK) and read_json(root / REPORTS[0]) is None:
            taken = [name for name in names if (root / name).is_symlink() or (root / name).exists()]
            if taken:
                raise _foreign(root / taken[0], "its folder was not made by a sweep, and this sweep would overwrite it")
        for name in _FOLDERS:
            if name in names:
                check_folder(root / name)
        if write:
            root.mkdir(parents=True, exist_ok=True)
            for name in (*names, _MARK):
                _remove_irregular_file(root / name)
            (root / _MARK).touch()


def _foreign(path: Path, reason: str) -> ConfigError:
    return ConfigError(
        f"{str(path)!r} does not belong to a sweep: {reason}",
        path="sweep.dir",
        hint="name a new folder with sweep.dir=FOLDER, or move the file away",
        code=codes.FOREIGN_SWEEP_FOLDER,
    )


@contextlib.contextmanager
def oserror_as_sweep_error(path: Path, error_type: type[BmfgraphError] = BmfgraphError) -> Iterator[None]:
    """Translate an OSError of a block that writes into the sweep's folder.

    Args:
        path: The file or folder that the message names.
        error_type: BmfgraphError, or ConfigError before the sweep has begun.

    Raises:
        BmfgraphError: The block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        raise error_type(
            f"{str(path)!r} cannot be written ({error.strerror or error})",
            path="sweep.dir",
            hint="make room, or name a folder of yours",
            code=codes.UNWRITABLE_OUTPUT,
        ) from None
