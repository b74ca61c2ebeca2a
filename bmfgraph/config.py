"""The one place that knows Hydra and OmegaConf: from a composed config to plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue, OmegaConfBaseException

from bmfgraph.errors import ConfigError, did_you_mean, one_of

__all__ = ["composition_error", "free_node_fields", "plain"]

_FREE = ("pipeline.nodes.", "model.", "engine.", "decoder.", "encoder.")


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
    first, *others = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if isinstance(error, OverrideParseException):
        first = f"{error.override!r} is no override: {first}"
    return ConfigError(first, hint=" ".join(others) or "see python -m bmfgraph --help")
