"""Compose a configuration with Hydra, and make plain data of it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from bmfgraph import error_codes as codes
from bmfgraph.config.grid import Grid
from bmfgraph.config.hydra_errors import composition_error, unresolved
from bmfgraph.config.overrides import (
    dir_flags,
    free_node_fields,
    hydra_overrides,
    key_and_value,
    literal_paths,
    overrides_of,
)
from bmfgraph.errors import BmfgraphError, ConfigError

__all__ = ["composed", "composed_unresolved", "composition_error", "expanded", "plain"]

_BASIC = "hydra._internal.core_plugins"
"""Package of Hydra's own sweeper and launcher."""


def composed(arguments: Sequence[str]) -> dict[str, Any]:
    """Compose the configuration of a command line, without Hydra's main function.

    Args:
        arguments: Overrides, and flags for folders of configuration.

    Raises:
        ConfigError: It does not compose, or a value cannot be resolved.
    """
    return plain(_compose(arguments))


def composed_unresolved(arguments: Sequence[str]) -> dict[str, Any]:
    """Compose like :func:`composed`, but keep ``${...}`` and ``???`` as they are.

    Args:
        arguments: Overrides, and flags for folders of configuration.

    Raises:
        ConfigError: It does not compose.
    """
    data = OmegaConf.to_container(_compose(arguments), resolve=False)
    assert isinstance(data, dict)
    return {str(key): value for key, value in data.items()}


def _compose(arguments: Sequence[str]) -> DictConfig:
    with _hydra_errors_as_config_errors(arguments), initialize_config_module("bmfgraph.conf", version_base="1.3"):
        return compose("config", hydra_overrides(arguments))


@contextlib.contextmanager
def _hydra_errors_as_config_errors(arguments: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except BmfgraphError:
        raise
    except Exception as error:
        raise composition_error(error, arguments) from None


def expanded(arguments: Sequence[str]) -> Grid:
    """List the runs of a sweep, from its command line and the ``params`` of presets.

    Args:
        arguments: Overrides, ``-m``, and flags for folders of configuration.

    Raises:
        ConfigError: The overrides do not compose, or a key has an interval instead of values.
    """
    with _hydra_errors_as_config_errors(arguments):
        return _expanded(arguments)


def _expanded(arguments: Sequence[str]) -> Grid:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    overrides, search = overrides_of(free_node_fields(literal_paths(["-m", *arguments])))
    parser = OverridesParser.create(config_loader=_config_loader(arguments))
    parsed = parser.parse_overrides([override for override in overrides if override not in ("-m", "--multirun")])
    # Every run has the same sweeper and the same presets, so the first one is enough.
    first = [_choices(override)[0] for override in parsed]
    with initialize_config_module("bmfgraph.conf", version_base="1.3"):
        hydra = compose("config", [*first, *search], return_hydra_config=True).hydra
    basic = hydra.sweeper.get("_target_") == f"{_BASIC}.basic_sweeper.BasicSweeper"
    launched = hydra.launcher.get("_target_") != f"{_BASIC}.basic_launcher.BasicLauncher"
    params = [f"{key}={value}" for key, value in (hydra.sweeper.get("params") or {}).items()]
    axes: dict[str, Any] = {}
    for override in (*parser.parse_overrides(free_node_fields(params)), *parsed):
        # As in Hydra's own sweeper, the command line overrules presets.
        axes.pop(str(override.get_key_element()), None)
        axes[str(override.get_key_element())] = override
    choices = {key: _choices(override) for key, override in axes.items()}
    if not basic:
        swept = tuple(key.lstrip("+") for key, override in axes.items() if override.is_sweep_override())
        run = tuple(values[0] for values in choices.values())
        return Grid((run,), ({},), swept, enumerated=False, launched=launched)
    for key, override in axes.items():
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise _interval(key.lstrip("+"))
    runs = tuple(itertools.product(*choices.values()))
    several = [place for place, values in enumerate(choices.values()) if len(values) > 1]
    varied = tuple(dict(_without_mark(run[place]) for place in several) for run in runs)
    return Grid(runs, varied, tuple(varied[0]), enumerated=True, launched=launched)


def _config_loader(arguments: Sequence[str]) -> Any:
    """Return Hydra's loader of the packaged and the user's configuration; ``glob()`` asks it for a group's options."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_config_search_path

    path = create_config_search_path("pkg://bmfgraph.conf")
    for folder in dir_flags(arguments)[1::2]:
        path.append("command-line", f"file://{Path(folder).absolute()}")
    return ConfigLoaderImpl(config_search_path=path)


def _interval(key: str) -> ConfigError:
    return ConfigError(
        "an interval is not a list of values, and this sweeper runs every value",
        path=key,
        hint=f"write {key}=1,2,4 or range(1,9), or choose a sweeper that takes samples with hydra/sweeper=...",
        code=codes.INVALID_OVERRIDE,
    )


def _choices(override: Any) -> list[str]:
    """Write an override once for each of the values that it sweeps over."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    if override.is_discrete_sweep():
        values = list(override.sweep_string_iterator())
        if not values:
            raise ConfigError(
                f"{override.input_line!r} fits no option",
                path=override.key_or_group,
                hint="glob() chooses among the options of a group, such as encoder=glob(x*); list other values",
                code=codes.UNKNOWN_GROUP_OPTION,
            )
        return [f"{override.get_key_element()}={value}" for value in values]
    # An interval has no list of values, so its start stands for it.
    return [f"{override.get_key_element()}={override.value().start}"]


def _without_mark(override: str) -> tuple[str, str]:
    key, value = key_and_value(override)
    return key.lstrip("+"), value


def plain(config: DictConfig) -> dict[str, Any]:
    """Make dicts, lists and scalars of a configuration, with every interpolation resolved.

    Raises:
        ConfigError: A value is missing or cannot be resolved; the error names the key.
    """
    try:
        data = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(
            "needs a value (it is '???')",
            path=str(error.full_key),
            hint=f"add {error.full_key}=... to the command line",
            code=codes.MISSING_CONFIG_VALUE,
        ) from None
    except OmegaConfBaseException as error:
        raise unresolved(config, error) from None
    assert isinstance(data, dict)
    return {str(key): value for key, value in data.items()}
