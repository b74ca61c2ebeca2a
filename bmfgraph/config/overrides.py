"""Rewrite the arguments of a command line into the overrides that Hydra takes.

Arguments are overrides such as ``engine=fp16`` and Hydra's flags; overrides alone hold no flags.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path

__all__ = [
    "CONFIG_DIR",
    "dir_flags",
    "free_node_fields",
    "hydra_overrides",
    "key_and_value",
    "literal_paths",
    "overrides_of",
    "packaged_options",
    "quoted",
    "sweeps",
    "title_of",
    "wants_traceback",
]

CONFIG_DIR = ("--config-dir", "-cd")
_SINGLE = ("sweep.dir", "sweep.objective", "sweep.reference")
"""Keys whose text belongs to the sweep as a whole, so that its commas list no values."""
_TEMPLATES = ("output", "report")
"""Keys of the job whose values may hold words such as ``{stem}``."""
_FREE = ("pipeline.nodes.", "model.", "engine.", "decoder.", "encoder.")
_NODE_PATH = re.compile(r"\+{0,2}pipeline\.nodes\.[\w-]+\.path")
_WORD = re.compile(r"\{\w+\}")
_PLAIN_KEY = re.compile(r"\+{0,2}([A-Za-z_][\w-]*)")


def hydra_overrides(arguments: Sequence[str]) -> list[str]:
    """Rewrite arguments into overrides for Hydra's compose function.

    Args:
        arguments: Overrides, and flags for folders of configuration.

    Returns:
        The overrides with file names quoted, node fields freed from Hydra's ``+``, and the folders as a search path.
    """
    overrides, search = overrides_of(free_node_fields(literal_paths(arguments)))
    return [*overrides, *search]


def literal_paths(arguments: Sequence[str]) -> list[str]:
    """Quote text that Hydra's grammar would read in another way, and expand ``~``.

    Values of keys that name files are always quoted: their umlauts, equals signs, commas and brackets mean something
    else to Hydra. The top-level keys that a user's pipeline file defines are quoted where Hydra cannot parse their
    values, or would start a sweep that was not asked for.

    Values that are quoted already, null, empty or hold an interpolation stay. In a sweep, file names stay, too: they
    may be lists. Only the names with a word such as ``{stem}`` are quoted, one by one.

    Args:
        arguments: Overrides, and flags.

    Raises:
        ConfigError: An override is too long or too deeply nested, or sets what only bmfgraph may set.
    """
    from bmfgraph.config.hydra_settings import check_overrides
    from bmfgraph.config.job import JobSpec, path_keys
    from bmfgraph.config.limits import check_arguments

    check_arguments(arguments)
    check_overrides(arguments)
    swept = sweeps(arguments)
    paths = _SINGLE if swept else (*path_keys(), *_SINGLE)
    others = {*JobSpec.model_fields, "hydra", *_groups_of(arguments)}
    return [_literal(argument, paths, others, swept=swept) for argument in arguments]


def _literal(argument: str, paths: Sequence[str], others: set[str], *, swept: bool) -> str:
    key, value = key_and_value(argument)
    if value in ("", "null", "???") or value[0] in "'\"" or "${" in value:
        return argument
    match = _PLAIN_KEY.fullmatch(key)
    is_own_key = match is not None and match[1] not in others
    if _WORD.search(value) and value[0] not in "[{" and (is_own_key or key in _TEMPLATES or _NODE_PATH.fullmatch(key)):
        names = value.split(",") if swept else [value]
        return f"{key}={','.join(quoted(name) if _WORD.search(name) else name for name in names)}"
    if key not in paths and not is_own_key:
        return argument
    if key == "input" and value[0] + value[-1] == "[]" and not os.path.lexists(value):
        return argument if set(value) & {"'", '"'} else f"{key}=[{','.join(map(_listed, value[1:-1].split(',')))}]"
    if value.startswith("~/") or (value == "~" and key in paths):
        with contextlib.suppress(RuntimeError):
            value = str(Path(value).expanduser())
    if key not in paths and not _needs_quotes(f"{key}={value}", swept=swept):
        return f"{key}={value}"
    return f"{key}={quoted(value)}"


def _listed(name: str) -> str:
    return quoted(name.strip())


def quoted(text: str) -> str:
    """Quote a text for Hydra: a quote, and backslashes before a quote or the end, need a backslash of their own."""
    return "'" + re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), text) + "'"


def _needs_quotes(override: str, *, swept: bool) -> bool:
    """Tell whether Hydra cannot parse an override, or takes it for a sweep that was not asked for."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException:
        # A list of a sweep cannot be quoted as a whole.
        return not (swept and "," in override)
    return parsed.is_sweep_override() and not swept


def _groups_of(arguments: Sequence[str]) -> Iterator[str]:
    """List the groups of the user's own folders."""
    yield "sweep"
    for folder in dir_flags(arguments)[1::2]:
        with contextlib.suppress(OSError):
            yield from (path.name for path in Path(folder).iterdir() if path.is_dir())


def packaged_options(group: str) -> list[str]:
    """List the options of a group that come with bmfgraph."""
    files = (resources.files("bmfgraph.conf") / group).iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def sweeps(arguments: Sequence[str]) -> bool:
    """Tell whether a command line asks for many runs."""
    return any(
        argument in ("-m", "--multirun")
        or argument.lstrip("+") == "hydra.mode=MULTIRUN"
        or argument.startswith("+sweep=")
        for argument in arguments
    )


def wants_traceback(arguments: Sequence[str], config: Mapping[str, object] | None = None) -> bool:
    """Tell whether a failure prints a traceback.

    Args:
        arguments: Arguments of the command line; they decide if there is no configuration.
        config: The composed configuration; None if composing failed.
    """
    if config is not None:
        return bool(config.get("debug"))
    values = [value for key, value in map(key_and_value, arguments) if key.lstrip("+") == "debug"]
    return bool(values) and values[-1].strip("'\"").lower() in ("true", "yes", "on", "1")


def key_and_value(override: str) -> tuple[str, str]:
    """Split an override at its first equals sign; without one the value is empty."""
    key, _, value = override.partition("=")
    return key, value


def free_node_fields(arguments: Sequence[str]) -> list[str]:
    """Let any field of a node, and of the groups that nodes use, be set without Hydra's ``+``.

    The pipeline's own check knows which fields there are, and its messages are better than Hydra's.
    """
    return [f"++{argument}" if argument.startswith(_FREE) and "=" in argument else argument for argument in arguments]


def dir_flags(arguments: Sequence[str]) -> list[str]:
    """Return the flags for folders of configuration, each followed by its folder."""
    return [part for flag, folder in itertools.pairwise(arguments) if flag in CONFIG_DIR for part in (flag, folder)]


def overrides_of(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate the flags for folders of configuration.

    Returns:
        The other arguments, and the override of Hydra's search path that stands for the folders (empty without any).
    """
    folders = dir_flags(arguments)[1::2]
    pairs = zip(["", *arguments], arguments, strict=False)
    rest = [argument for before, argument in pairs if not {before, argument} & set(CONFIG_DIR)]
    if not folders:
        return rest, []
    from bmfgraph.config.yaml_files import folder_address

    places = ",".join(quoted(folder_address(folder)) for folder in folders)
    return rest, [f"hydra.searchpath=[{places}]"]


def title_of(varied: Mapping[str, str]) -> str:
    """Name a run of a sweep by the overrides that are its own."""
    return " ".join(f"{key}={value}" for key, value in varied.items()) or "the only run"
