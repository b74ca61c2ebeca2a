"""The one place that knows Hydra and OmegaConf: from a composed config to plain data."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from bmfgraph.config_errors import composition_error, unresolved
from bmfgraph.errors import ConfigError

__all__ = [
    "CONFIG_DIR",
    "Grid",
    "composed",
    "composition_error",
    "dir_flags",
    "expanded",
    "free_node_fields",
    "literal_paths",
    "plain",
    "sweeps",
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
    overrides, search = _overrides(words)
    with initialize_config_module("bmfgraph.conf", version_base="1.3"):
        return plain(compose("config", [*free_node_fields(literal_paths(overrides)), *search]))


def dir_flags(words: Sequence[str]) -> list[str]:
    """The flags for folders of configuration, each with its folder."""
    return [one for flag, folder in itertools.pairwise(words) if flag in CONFIG_DIR for one in (flag, folder)]


def _overrides(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words without flags for folders of configuration, and the override that stands for those."""
    folders = dir_flags(words)[1::2]
    rest = [word for before, word in zip(["", *words], words, strict=False) if not {before, word} & set(CONFIG_DIR)]
    places = ",".join(f"file://{Path(folder).absolute()}" for folder in folders)
    return rest, [f"hydra.searchpath=[{places}]"] if folders else []


@dataclass(frozen=True)
class Grid:
    """The runs that a sweep's words stand for."""

    runs: tuple[tuple[str, ...], ...]
    """Overrides of each."""
    varied: tuple[dict[str, str], ...]
    """What differs between them: key and value, in the order of the words."""
    swept: tuple[str, ...]
    """The keys that differ."""
    enumerated: bool
    """False: a sweeper of another kind chooses the runs as it goes, and this is one of them."""


def expanded(words: Sequence[str]) -> Grid:
    """The runs of a sweep, from the words of its command line and the ``params`` of presets. Raises as Hydra does."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    rest, search = _overrides(words)
    given = literal_paths(["-m", *(word for word in rest if word not in ("-m", "--multirun"))])[1:]
    parser = OverridesParser.create()
    parsed = parser.parse_overrides(free_node_fields(given))
    # One run of them says which sweeper there is, and what presets add.
    first = [_choices(one)[0] for one in parsed]
    with initialize_config_module("bmfgraph.conf", version_base="1.3"):
        hydra = compose("config", [*first, *search], return_hydra_config=True).hydra
    basic = str(hydra.sweeper.get("_target_", "")).endswith("BasicSweeper")
    params = [f"{key}={value}" for key, value in (hydra.sweeper.get("params") or {}).items()]
    axes: dict[str, Any] = {}
    for one in (*parser.parse_overrides(free_node_fields(params)), *parsed):
        # As Hydra's own sweeper has it: words overrule presets.
        axes.pop(str(one.get_key_element()), None)
        axes[str(one.get_key_element())] = one
    choices = {key: _choices(one) for key, one in axes.items()}
    if not basic:
        swept = tuple(key.lstrip("+") for key, one in axes.items() if one.is_sweep_override())
        return Grid((tuple(words[0] for words in choices.values()),), ({},), swept, enumerated=False)
    if endless := [key for key, one in axes.items() if one.is_sweep_override() and not one.is_discrete_sweep()]:
        raise _endless(endless[0].lstrip("+"))
    runs = tuple(itertools.product(*choices.values()))
    several = [place for place, words in enumerate(choices.values()) if len(words) > 1]
    varied = tuple(dict(_named(run[place]) for place in several) for run in runs)
    return Grid(runs, varied, tuple(varied[0]), enumerated=True)


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
