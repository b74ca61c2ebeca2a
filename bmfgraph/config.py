"""The one place that knows Hydra and OmegaConf: from a composed config to plain data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue, OmegaConfBaseException

from bmfgraph.errors import ConfigError, did_you_mean, one_of

__all__ = ["composition_error", "free_node_fields", "literal_paths", "plain"]

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
    "progress",
    "debug",
)
_PATHS = ("input", "output", "records", "report", "reference", "model.file", "engine.path", "engine.calibration")
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


def plain(config: DictConfig) -> dict[str, Any]:
    """Dicts, lists and scalars with every interpolation resolved. Raises ConfigError, which names the key."""
    try:
        data = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(
            f"{error.full_key}: needs a value (it is '???')",
            hint=f"add {error.full_key}=... to the command line",
        ) from None
    except InterpolationKeyError as error:
        raise ConfigError(
            f"{error.full_key}: {str(error.msg).splitlines()[0]}",
            hint="correct the ${...}, or define what it names",
        ) from None
    except OmegaConfBaseException as error:
        raise ConfigError(
            f"{error.full_key or 'config'}: {str(error.msg or error).splitlines()[0]}", hint="correct the ${...}"
        ) from None
    assert isinstance(data, dict)
    return {str(key): value for key, value in data.items()}


def composition_error(error: Exception) -> ConfigError:
    """What Hydra has against the words of the command line, in the form that all errors have."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return ConfigError(
            f"{group}={name}: there is no such option{did_you_mean(name, error.options)}; "
            f"options: {one_of(error.options)}",
            hint="choose one of them, or bring your own with --config-dir",
        )
    if match := re.match(r"Could not override '([^']+)'", str(error)):
        key = match[1]
        return ConfigError(
            f"{key}: there is no such key{did_you_mean(key, _KEYS)}; keys: {one_of(_KEYS)}",
            hint="correct it; fields of nodes are set as pipeline.nodes.NODE.FIELD=VALUE",
        )
    first, *others = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if isinstance(error, OverrideParseException):
        return ConfigError(
            f"{error.override!r} is no override",
            hint="""values with = , spaces or brackets want two pairs of quotes, such as 'output="a=b.mp4"'""",
        )
    return ConfigError(first, hint=" ".join(others) or "see python -m bmfgraph --help")
