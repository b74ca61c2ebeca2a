"""The one place that knows Hydra and OmegaConf: from overrides to plain data."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from bmfgraph.config.grid import Grid
from bmfgraph.config.hydra_errors import composition_error, unresolved
from bmfgraph.config.overrides import free_node_fields, literal_paths, overrides_of
from bmfgraph.errors import BmfgraphError, ConfigError

__all__ = ["composed", "composition_error", "expanded", "plain"]

_BASIC = "hydra._internal.core_plugins"
"""Where Hydra has its own sweeper and launcher."""


def composed(words: Sequence[str]) -> dict[str, Any]:
    """What a command line of overrides and ``--config-dir`` composes, without Hydra's main. Raises ConfigError."""
    overrides, search = overrides_of(words)
    with _hydra_errors_as_config_errors(words), initialize_config_module("bmfgraph.conf", version_base="1.3"):
        return plain(compose("config", [*free_node_fields(literal_paths(overrides)), *search]))


@contextlib.contextmanager
def _hydra_errors_as_config_errors(words: Sequence[str]) -> Iterator[None]:
    """What Hydra has against the words in our form."""
    try:
        yield
    except BmfgraphError:
        raise
    except Exception as error:
        raise composition_error(error, words) from None


def expanded(words: Sequence[str]) -> Grid:
    """The runs of a sweep, from the words of its command line and the ``params`` of presets. Raises ConfigError."""
    with _hydra_errors_as_config_errors(words):
        return _expanded(words)


def _expanded(words: Sequence[str]) -> Grid:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    rest, search = overrides_of(words)
    given = literal_paths(["-m", *(word for word in rest if word not in ("-m", "--multirun"))])[1:]
    parser = OverridesParser.create()
    parsed = parser.parse_overrides(free_node_fields(given))
    # One run of them says which sweeper there is, and what presets add.
    first = [_choices(one)[0] for one in parsed]
    with initialize_config_module("bmfgraph.conf", version_base="1.3"):
        hydra = compose("config", [*first, *search], return_hydra_config=True).hydra
    basic = hydra.sweeper.get("_target_") == f"{_BASIC}.basic_sweeper.BasicSweeper"
    launched = hydra.launcher.get("_target_") != f"{_BASIC}.basic_launcher.BasicLauncher"
    params = [f"{key}={value}" for key, value in (hydra.sweeper.get("params") or {}).items()]
    axes: dict[str, Any] = {}
    for one in (*parser.parse_overrides(free_node_fields(params)), *parsed):
        # As Hydra's own sweeper has it: words overrule presets.
        axes.pop(str(one.get_key_element()), None)
        axes[str(one.get_key_element())] = one
    choices = {key: _choices(one) for key, one in axes.items()}
    if not basic:
        swept = tuple(key.lstrip("+") for key, one in axes.items() if one.is_sweep_override())
        return Grid((tuple(words[0] for words in choices.values()),), ({},), swept, enumerated=False, launched=launched)
    if endless := [key for key, one in axes.items() if one.is_sweep_override() and not one.is_discrete_sweep()]:
        raise _endless(endless[0].lstrip("+"))
    runs = tuple(itertools.product(*choices.values()))
    several = [place for place, words in enumerate(choices.values()) if len(words) > 1]
    varied = tuple(dict(_named(run[place]) for place in several) for run in runs)
    return Grid(runs, varied, tuple(varied[0]), enumerated=True, launched=launched)


def _endless(key: str) -> ConfigError:
    return ConfigError(
        "an interval is no list of values, and this sweeper runs all there are",
        path=key,
        hint=f"write {key}=1,2,4 or range(1,9), or choose a sweeper that takes samples with hydra/sweeper=...",
        code="E105",
    )


def _choices(override: Any) -> list[str]:
    """An override as it is written, once for each of the values that it sweeps over."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    if override.is_discrete_sweep():
        return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
    # Of an interval, whose values nobody can count, where it begins.
    return [f"{override.get_key_element()}={override.value().start}"]


def _named(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    return key.lstrip("+"), value


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
    except OmegaConfBaseException as error:
        raise unresolved(config, error) from None
    assert isinstance(data, dict)
    return {str(key): value for key, value in data.items()}
