"""Make many configurations that differ from a common one in a few keys."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bmfgraph.config.compose import composed_config, errors_of_hydra, plain
from bmfgraph.config.job import GROUPS
from bmfgraph.config.load import composed_with

__all__ = ["Variants"]


class Variants:
    """Configurations that differ from a common one in a few keys.

    Hydra composes once for each combination of keys that need it: choices of a group, and keys that the common
    configuration does not have. The other keys are set in a copy, which is twenty times as fast.
    """

    def __init__(self, compose: Callable[[Sequence[str]], DictConfig]) -> None:
        """Keep a function that composes the common configuration with additional overrides."""
        self._composed = lru_cache(maxsize=16)(compose)
        # A copy of OmegaConf's own takes six times as long as to load it from these bytes.
        self._pickled = lru_cache(maxsize=16)(lambda overrides: pickle.dumps(self._composed(overrides)))

    @classmethod
    def of_arguments(cls, arguments: Sequence[str]) -> Variants:
        """Return the variants of a command line: overrides, and flags for folders of configuration."""
        return cls(lambda overrides: composed_config([*arguments, *overrides]))

    @classmethod
    def of_values(
        cls, pipeline: str | None, overrides: Sequence[str], config_dir: Any, values: Mapping[str, Any]
    ) -> Variants:
        """Return the variants of what :func:`bmfgraph.compose` takes."""
        return cls(lambda more: composed_with(pipeline, [*overrides, *more], config_dir, values))

    def config(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return a configuration as plain data.

        Args:
            changes: Value by dotted key, as on the command line if it is text.

        Raises:
            ConfigError: A key does not exist, or the configuration does not compose.
        """
        common = self._composed(())
        hydra = {key: value for key, value in changes.items() if not _is_set(common, key, value)}
        overrides = tuple(f"{key}={_written(value)}" for key, value in hydra.items())
        config = self._composed(overrides)
        if changes.keys() - hydra.keys():
            config = pickle.loads(self._pickled(overrides))
        with errors_of_hydra(()):
            for key, value in changes.items():
                if key not in hydra:
                    OmegaConf.update(config, key, value, merge=False)
        return plain(config)


def _is_set(config: DictConfig, key: str, value: Any) -> bool:
    """Return whether a key exists, so that it can be set without Hydra."""
    if key in GROUPS or isinstance(value, Mapping):
        return False
    place, _, name = key.rpartition(".")
    try:
        parent = OmegaConf.select(config, place) if place else config
    except OmegaConfBaseException:
        return False
    return isinstance(parent, DictConfig) and name in parent and not OmegaConf.is_interpolation(parent, name)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
