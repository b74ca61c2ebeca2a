"""The one place that knows Hydra and OmegaConf: from a composed config to plain data."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue, OmegaConfBaseException

from bmfgraph.errors import ConfigError, did_you_mean, one_of

__all__ = ["CONFIG_DIR", "composed", "composition_error", "free_node_fields", "literal_paths", "plain"]

_KEYS = (
    "pipeline",
    "model",
    "engine",
    "decoder",
    "encoder",
    "input",
    "output",
    "device",
    "records",
    "report",
    "reference",
    "target",
    "progress",
    "debug",
)
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
_FREE = ("pipeline.nodes.", "model.", "engine.", "decoder.", "encoder.")


def literal_paths(arguments: Sequence[str]) -> list[str]:
    """Quote file names for Hydra's grammar, in which umlauts, =, commas and brackets mean something else; expand ~.

    Left as they are: names that are quoted already or hold an interpolation, and lists of a sweep.
    """
    if {"-m", "--multirun"} & set(arguments):
        return list(arguments)
    return [_literal(word) for word in arguments]


def _literal(word: str) -> str:
    key, equals, value = word.partition("=")
    if key not in _PATHS or not equals or value in ("", "null", "???") or value[0] in "'\"" or "${" in value:
        return word
    if value.startswith("~"):
        value = str(Path(value).expanduser())
    value = value.replace("'", "\\'")
    return f"{key}='{value}'"


def free_node_fields(arguments: Sequence[str]) -> list[str]:
    """Let any field of a node or of the groups nodes are made from be set without Hydra's ``+``, mentioned or not.

    The pipeline's own check knows which fields there are and says so better than Hydra's.
    """
    return [f"++{word}" if word.startswith(_FREE) and "=" in word else word for word in arguments]


def composed(words: Sequence[str]) -> dict[str, Any]:
    """What a command line of overrides and ``--config-dir`` composes, without Hydra's main. Raises as Hydra does."""
    folders = [folder for flag, folder in itertools.pairwise(words) if flag in CONFIG_DIR]
    overrides = [
        word for before, word in zip(["", *words], words, strict=False) if not {before, word} & set(CONFIG_DIR)
    ]
    search = [f"hydra.searchpath=[{','.join(f'file://{Path(folder).absolute()}' for folder in folders)}]"]
    with initialize_config_module("bmfgraph.conf", version_base="1.3"):
        return plain(compose("config", [*free_node_fields(literal_paths(overrides)), *(search if folders else [])]))


def plain(config: DictConfig) -> dict[str, Any]:
    """Dicts, lists and scalars with every interpolation resolved. Raises ConfigError, which names the key."""
    try:
        data = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(
            "needs a value (it is '???')",
            path=str(error.full_key),
            hint=f"add {error.full_key}=... to the command line",
            code="E107",
        ) from None
    except InterpolationKeyError as error:
        raise ConfigError(
            str(error.msg).splitlines()[0],
            path=str(error.full_key),
            hint="correct the ${...}, or define what it names",
            code="E108",
        ) from None
    except OmegaConfBaseException as error:
        raise ConfigError(
            str(error.msg or error).splitlines()[0],
            path=str(error.full_key or "config"),
            hint="correct the ${...}",
            code="E109",
        ) from None
    assert isinstance(data, dict)
    return {str(key): value for key, value in data.items()}


def composition_error(error: Exception, words: Sequence[str] = ()) -> ConfigError:
    """What Hydra has against the words of the command line, in the form that all errors have."""
    if match := re.match(r"You must specify '([^']+)'", str(error)):
        key, options = match[1], re.findall(r"^\s+(\S+)", str(error), re.MULTILINE)
        near = [word for word in words if did_you_mean(word.partition("=")[0], [key])]
        return ConfigError(
            f"needs a value, and {f'{near[0]!r} gives it none' if near else 'the command line gives it none'}; "
            f"options: {one_of(options)}",
            path=key,
            hint=f"add {key}=... to the command line",
            code="E107",
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return ConfigError(
            f"there is no such option{did_you_mean(name, error.options)}; options: {one_of(error.options)}",
            path=f"{group}={name}",
            hint="choose one of them, or bring your own with --config-dir",
            code="E103",
        )
    if match := re.match(r"Could not override '([^']+)'", str(error)):
        key = match[1]
        return ConfigError(
            f"there is no such key{did_you_mean(key, _KEYS)}; keys: {one_of(_KEYS)}",
            path=key,
            hint="correct it; fields of nodes are set as pipeline.nodes.NODE.FIELD=VALUE",
            code="E104",
        )
    first, *others = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if isinstance(error, OverrideParseException):
        return ConfigError(
            f"{error.override!r} is no override",
            hint="""values with = , spaces or brackets want two pairs of quotes, such as 'output="a=b.mp4"'""",
            code="E105",
        )
    return ConfigError(first, hint=" ".join(others) or "see python -m bmfgraph --help", code="E106")
