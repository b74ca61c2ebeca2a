"""The one place that knows Hydra and OmegaConf: from a composed config to plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue, OmegaConfBaseException

from bmfgraph.errors import ConfigError

__all__ = ["free_node_fields", "plain"]

_NODES = "pipeline.nodes."


def free_node_fields(arguments: Sequence[str]) -> list[str]:
    """Let any field of any node be set without Hydra's ``+``, whether the YAML mentions it or not.

    The pipeline's own check knows which fields there are and says so better than Hydra's.
    """
    return [f"++{word}" if word.startswith(_NODES) and "=" in word else word for word in arguments]


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
        raise ConfigError(f"{error.full_key or 'config'}: {str(error.msg or error).splitlines()[0]}") from None
    assert isinstance(data, dict)
    return {str(key): value for key, value in data.items()}
