"""Compose a configuration with Hydra, and make plain data of it."""

from __future__ import annotations

import contextlib
import itertools
import math
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.override_parser.types import RangeSweep
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from bmfgraph import error_codes as codes
from bmfgraph.config.grid import Grid
from bmfgraph.config.hydra_errors import composition_error, unresolved
from bmfgraph.config.hydra_settings import check_composed, check_overrides
from bmfgraph.config.limits import MAX_CELLS, check_arguments
from bmfgraph.config.overrides import (
    dir_flags,
    free_node_fields,
    hydra_overrides,
    key_and_value,
    literal_paths,
    overrides_of,
)
from bmfgraph.config.resolution import limited_resolution
from bmfgraph.config.yaml_files import folder_address
from bmfgraph.errors import BmfgraphError, ConfigError

__all__ = [
    "composed",
    "composed_config",
    "composed_unresolved",
    "composition_error",
    "errors_of_hydra",
    "expanded",
    "plain",
]

_MANY = 10**12
_BASIC = "hydra._internal.core_plugins"
"""Package of Hydra's own sweeper and launcher."""


def composed(arguments: Sequence[str]) -> dict[str, Any]:
    """Compose the configuration of a command line, without Hydra's main function.

    Args:
        arguments: Overrides, and flags for folders of configuration.

    Raises:
        ConfigError: It does not compose, or a value cannot be resolved.
    """
    return plain(composed_config(arguments))


def composed_unresolved(arguments: Sequence[str]) -> dict[str, Any]:
    """Compose like :func:`composed`, but keep ``${...}`` and ``???`` as they are.

    Args:
        arguments: Overrides, and flags for folders of configuration.

    Raises:
        ConfigError: It does not compose.
    """
    data = OmegaConf.to_container(composed_config(arguments), resolve=False)
    assert isinstance(data, dict)
    return {str(key): value for key, value in data.items()}


def composed_config(arguments: Sequence[str]) -> DictConfig:
    """Compose like :func:`composed_unresolved`, as OmegaConf's own type.

    Args:
        arguments: Overrides, and flags for folders of configuration.

    Raises:
        ConfigError: It does not compose.
    """
    with errors_of_hydra(arguments), initialize_config_module("bmfgraph.conf", version_base="1.3"):
        config = compose("config", hydra_overrides(arguments), return_hydra_config=True)
        with limited_resolution():
            check_composed(config.hydra)
    with open_dict(config):
        del config["hydra"]
    return config


@contextlib.contextmanager
def errors_of_hydra(arguments: Sequence[str]) -> Iterator[None]:
    """Translate errors of Hydra and OmegaConf during the block.

    Args:
        arguments: Overrides and flags, as the user wrote them.

    Raises:
        ConfigError: There was an error. It keeps the traceback of the original one.
    """
    try:
        yield
    except BmfgraphError:
        raise
    except Exception as error:
        failure = composition_error(error, arguments)
        failure.trace = traceback.format_exc()
        raise failure from None


def expanded(arguments: Sequence[str]) -> Grid:
    """List the runs of a sweep, from its command line and the ``params`` of presets.

    Args:
        arguments: Overrides, ``-m``, and flags for folders of configuration.

    Raises:
        ConfigError: The overrides do not compose, or a key has an interval instead of values.
    """
    with errors_of_hydra(arguments), limited_resolution():
        return _expanded(arguments)


def _expanded(arguments: Sequence[str]) -> Grid:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    overrides, search = overrides_of(free_node_fields(literal_paths(["-m", *arguments])))
    parser = OverridesParser.create(config_loader=_config_loader(arguments))
    parsed = parser.parse_overrides([override for override in overrides if override not in ("-m", "--multirun")])
    # Every run has the same sweeper and the same presets, so the first one is enough.
    first = [_first(override) for override in parsed]
    with initialize_config_module("bmfgraph.conf", version_base="1.3"):
        config = compose("config", [*first, *search], return_hydra_config=True)
    hydra = config.hydra
    check_composed(hydra)
    basic = hydra.sweeper.get("_target_") == f"{_BASIC}.basic_sweeper.BasicSweeper"
    launched = hydra.launcher.get("_target_") != f"{_BASIC}.basic_launcher.BasicLauncher"
    params = [f"{key}={value}" for key, value in (hydra.sweeper.get("params") or {}).items()]
    check_arguments(params)
    check_overrides(params)
    axes: dict[str, Any] = {}
    for override in (*parser.parse_overrides(free_node_fields(params)), *parsed):
        # As in Hydra's own sweeper, the command line overrules presets.
        axes.pop(str(override.get_key_element()), None)
        axes[str(override.get_key_element())] = override
    if not basic:
        swept = tuple(key.lstrip("+") for key, override in axes.items() if override.is_sweep_override())
        run = tuple(_first(override) for override in axes.values())
        return Grid((run,), ({},), swept, enumerated=False, launched=launched)
    for key, override in axes.items():
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise _interval(key.lstrip("+"))
    _check_cells(axes, OmegaConf.select(config, "sweep.max_cells"))
    choices = {key: list(_choices(override)) for key, override in axes.items()}
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
        path.append("command-line", folder_address(folder))
    return ConfigLoaderImpl(config_search_path=path)


def _check_cells(axes: Mapping[str, Any], maximum: Any) -> None:
    """Refuse a grid with too many cells before it is expanded.

    Args:
        axes: The parsed override of each key.
        maximum: Value of ``sweep.max_cells``; a wrong one is reported later, and the default holds.
    """
    maximum = maximum if isinstance(maximum, int) and maximum > 0 else MAX_CELLS
    counts = {key.lstrip("+"): _count(override) for key, override in axes.items()}
    cells = math.prod(counts.values())
    if cells > maximum:
        several = " × ".join(f"{key}: {_number(count)}" for key, count in counts.items() if count > 1)
        raise ConfigError(
            f"the sweep has {_number(cells)} cells ({several}), and at most {maximum:,} are allowed",
            path="sweep.max_cells",
            hint="sweep over fewer values, or set sweep.max_cells to that number",
            code=codes.TOO_MANY_CELLS,
        )


def _number(count: int) -> str:
    return f"{count:,}" if count < _MANY else f"more than {_MANY:,}"


def _count(override: Any) -> int:
    """Return the number of values that an override sweeps over, without listing those of a range.

    Raises:
        ConfigError: It has none, or no end.
    """
    value = override.value()
    if not override.is_sweep_override():
        return 1
    if not isinstance(value, RangeSweep):
        return sum(1 for _ in _choices(override))
    assert value.start is not None
    assert value.stop is not None
    try:
        count = math.ceil((value.stop - value.start) / value.step)
    except (ZeroDivisionError, OverflowError, ValueError):
        # One of them is infinite or not a number, or the step is zero.
        count = 0
    if count < 1:
        raise ConfigError(
            f"{key_and_value(str(override.input_line))[1]!r} has no values, or no end",
            path=str(override.get_key_element()).lstrip("+"),
            hint="write range(START,STOP,STEP) with a STEP that leads from START to STOP",
            code=codes.INVALID_OVERRIDE,
        )
    return count


def _first(override: Any) -> str:
    """Write an override with the first of the values that it sweeps over, without listing those of a range."""
    value = override.value()
    if not isinstance(value, RangeSweep):
        return next(_choices(override))
    _count(override)
    return f"{override.get_key_element()}={value.start}"


def _interval(key: str) -> ConfigError:
    return ConfigError(
        "an interval is not a list of values, and this sweeper runs every value",
        path=key,
        hint=f"write {key}=1,2,4 or range(1,9), or choose a sweeper that takes samples with hydra/sweeper=...",
        code=codes.INVALID_OVERRIDE,
    )


def _choices(override: Any) -> Iterator[str]:
    """Write an override once for each of the values that it sweeps over."""
    if not override.is_sweep_override():
        yield str(override.input_line)
    elif override.is_discrete_sweep():
        value = None
        for value in override.sweep_string_iterator():
            yield f"{override.get_key_element()}={value}"
        if value is None:
            raise ConfigError(
                f"{override.input_line!r} fits no option",
                path=override.key_or_group,
                hint="glob() chooses among the options of a group, such as encoder=glob(x*); list other values",
                code=codes.UNKNOWN_GROUP_OPTION,
            )
    else:
        # An interval has no list of values, so its start stands for it.
        yield f"{override.get_key_element()}={override.value().start}"


def _without_mark(override: str) -> tuple[str, str]:
    key, value = key_and_value(override)
    return key.lstrip("+"), value


def plain(config: DictConfig) -> dict[str, Any]:
    """Make dicts, lists and scalars of a configuration, with every interpolation resolved.

    Raises:
        ConfigError: A value is missing or cannot be resolved; the error names the key.
    """
    try:
        with limited_resolution():
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
