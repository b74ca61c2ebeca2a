"""The words of a command line that Hydra reads: in the form in which it takes them, and in that which people know."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = [
    "CONFIG_DIR",
    "WITH_VALUE",
    "dir_flags",
    "flags_last",
    "free_node_fields",
    "literal_paths",
    "overrides_of",
    "sweeps",
    "title_of",
]

_PATHS = (
    "input",
    "output",
    "records",
    "report",
    "reference",
    "target",
    "model.file",
    "engine.path",
    "engine.calibration",
)
CONFIG_DIR = ("--config-dir", "-cd")
WITH_VALUE = (
    *CONFIG_DIR,
    "--config-path",
    "-cp",
    "--config-name",
    "-cn",
    "--cfg",
    "-c",
    "--package",
    "-p",
    "--experimental-rerun",
    "--shell-completion",
    "-sc",
)
"""Hydra's flags that are followed by a value."""
_SINGLE = ("sweep.dir", "sweep.objective", "sweep.reference")
"""Texts of which a sweep has one."""
_FREE = ("pipeline.nodes.", "model.", "engine.", "decoder.", "encoder.")


def literal_paths(arguments: Sequence[str]) -> list[str]:
    """Quote file names for Hydra's grammar, in which umlauts, =, commas and brackets mean something else; expand ~.

    Left as they are: names that are quoted already or hold an interpolation, and file names of a sweep, which may be
    lists.
    """
    keys = _SINGLE if sweeps(arguments) else (*_PATHS, *_SINGLE)
    return [_literal(word, keys) for word in arguments]


def sweeps(words: Sequence[str]) -> bool:
    """Whether a command line asks for many runs."""
    return any(
        word in ("-m", "--multirun") or word.lstrip("+") == "hydra.mode=MULTIRUN" or word.startswith("+sweep=")
        for word in words
    )


def _literal(word: str, keys: Sequence[str]) -> str:
    key, equals, value = word.partition("=")
    if key not in keys or not equals or value in ("", "null", "???") or value[0] in "'\"" or "${" in value:
        return word
    if value == "~" or value.startswith("~/"):
        with contextlib.suppress(RuntimeError):
            value = str(Path(value).expanduser())
    value = value.replace("'", "\\'")
    return f"{key}='{value}'"


def free_node_fields(arguments: Sequence[str]) -> list[str]:
    """Let any field of a node or of the groups nodes are made from be set without Hydra's ``+``, mentioned or not.

    The pipeline's own check knows which fields there are and says so better than Hydra's.
    """
    return [f"++{word}" if word.startswith(_FREE) and "=" in word else word for word in arguments]


def dir_flags(words: Sequence[str]) -> list[str]:
    """The flags for folders of configuration, each with its folder."""
    return [one for flag, folder in itertools.pairwise(words) if flag in CONFIG_DIR for one in (flag, folder)]


def overrides_of(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words without flags for folders of configuration, and the override that stands for those."""
    folders = dir_flags(words)[1::2]
    rest = [word for before, word in zip(["", *words], words, strict=False) if not {before, word} & set(CONFIG_DIR)]
    places = ",".join(f"file://{Path(folder).absolute()}" for folder in folders)
    return rest, [f"hydra.searchpath=[{places}]"] if folders else []


def flags_last(words: Sequence[str]) -> list[str]:
    """Argparse takes overrides in one row only; people write them before and after ``--config-dir``."""
    flags: list[str] = []
    overrides: list[str] = []
    for word, before in zip(words, ["", *words], strict=False):
        (flags if word.startswith("-") or before in WITH_VALUE else overrides).append(word)
    return overrides + flags


def title_of(varied: Mapping[str, str]) -> str:
    """How the user knows a run among others: by what differs."""
    return " ".join(f"{key}={value}" for key, value in varied.items()) or "the only run"
