"""Compose a job's configuration from Python."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel

from bmfgraph import error_codes as codes
from bmfgraph.config.compose import composed_config, errors_of_hydra, plain
from bmfgraph.config.hydra_settings import check_file
from bmfgraph.config.job import GROUPS
from bmfgraph.config.yaml_files import check_content, read_yaml
from bmfgraph.errors import ConfigError, did_you_mean, join_sorted

__all__ = ["compose_config", "composed_with", "group_option", "load_config"]

_HYDRA = threading.RLock()
"""Held while Hydra composes, because Hydra's state is global."""
_WITHOUT_PIPELINE = ("~pipeline", "++pipeline.name=_")

Folders = str | Path | Sequence[str | Path]


def compose_config(
    pipeline: str | None, overrides: Sequence[str], config_dir: Folders, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Compose a packaged pipeline, or one in ``config_dir``, as the command line does.

    Args:
        pipeline: The option of the group ``pipeline``, or the first override; None if ``overrides`` choose it.
        overrides: Hydra's overrides, such as ``engine=fp16``.
        config_dir: Folders of configuration to search besides the packaged one.
        values: Values of keys, taken as they are. For a config group: the name of an option, a mapping to merge into
            the chosen one, or a spec such as :class:`bmfgraph.nodes.model.ModelSpec`.

    Raises:
        ConfigError: The overrides do not compose, or a key of ``values`` does not exist.
    """
    return plain(composed_with(pipeline, overrides, config_dir, values))


def composed_with(
    pipeline: str | None, overrides: Sequence[str], config_dir: Folders, values: Mapping[str, Any]
) -> DictConfig:
    """Compose like :func:`compose_config`, as OmegaConf's own type, with interpolations as they are."""
    chosen = [] if not pipeline else [pipeline] if "=" in pipeline else [f"pipeline={pipeline}"]
    with _composed([*chosen, *_choices(values), *overrides], config_dir) as config:
        _set(config, values)
        return config


def load_config(
    source: str | Path | Mapping[str, Any], overrides: Sequence[str], config_dir: Folders, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Load a pipeline from a YAML file or a mapping.

    Args:
        source: A pipeline file, or its content: a mapping with ``name`` and ``nodes``, or with ``pipeline`` and keys
            beside it. It may refer to the other keys of a job, such as ``${input}`` and ``${decoder}``. A file with a
            ``defaults`` list must lie in a folder named ``pipeline``.
        overrides: Hydra's overrides for the other keys, such as ``engine=fp16``.
        config_dir: Folders of configuration to search besides the packaged one.
        values: As for :func:`compose_config`.

    Raises:
        ConfigError: The source cannot be read or does not compose.
    """
    content = read_yaml(Path(source)) if isinstance(source, (str, Path)) else _created(source)
    if "defaults" in content and isinstance(source, (str, Path)):
        path = Path(source)
        folders = [config_dir] if isinstance(config_dir, (str, Path)) else list(config_dir)
        if path.parent.name != "pipeline":
            raise ConfigError(
                f"{str(path)!r} has a `defaults` list, and does not lie in a folder named pipeline",
                hint=f"move it to pipeline/{path.name}, or use compose() with config_dir",
                code=codes.COMPOSITION_FAILURE,
            )
        return compose_config(path.stem, overrides, [path.parent.parent, *folders], values)
    whole = content if "pipeline" in content else OmegaConf.create({"pipeline": content})
    with _composed([*_WITHOUT_PIPELINE, *_choices(values), *overrides], config_dir) as config:
        del config["pipeline"]
        with errors_of_hydra(overrides):
            merged = OmegaConf.merge(config, whole)
        assert isinstance(merged, DictConfig)
        _set(merged, values)
        return plain(merged)


def group_option(group: str, option: str, config_dir: Folders, values: Mapping[str, Any]) -> dict[str, Any]:
    """Load an option of a config group, such as ``model`` ``centerface``.

    Args:
        group: The group.
        option: Name of the option.
        config_dir: Folders of configuration to search besides the packaged one.
        values: Fields to replace.

    Raises:
        ConfigError: The option does not exist, or a value cannot be resolved.
    """
    with _composed([*_WITHOUT_PIPELINE, f"{group}={option}"], config_dir) as config:
        config = OmegaConf.create({**plain(config)[group], **values})
        assert isinstance(config, DictConfig)
        return plain(config)


def _created(source: Mapping[str, Any]) -> DictConfig:
    check_content(source, "")
    check_file("", None, source, "the pipeline")
    with errors_of_hydra(()):
        content = OmegaConf.create(dict(source))
    assert isinstance(content, DictConfig)
    return content


@contextlib.contextmanager
def _composed(overrides: Sequence[str], config_dir: Folders) -> Iterator[DictConfig]:
    folders = [config_dir] if isinstance(config_dir, (str, Path)) else list(config_dir)
    flags = [part for folder in folders for part in ("--config-dir", str(folder))]
    if missing := [str(folder) for folder in folders if not Path(folder).is_dir()]:
        raise ConfigError(
            f"there is no folder {missing[0]!r}", path="config_dir", hint="correct it", code=codes.MISSING_CONFIG_FOLDER
        )
    # Hydra's state is global; `composed_config` restores the caller's at its end.
    with _HYDRA:
        config = composed_config([*overrides, *flags])
    OmegaConf.set_struct(config, False)
    yield config


def _choices(values: Mapping[str, Any]) -> list[str]:
    """Return overrides for the keys whose value names an option of a group, such as ``engine="fp16"``."""
    return [f"{key}={value}" for key, value in values.items() if key in GROUPS and isinstance(value, str)]


def _set(config: DictConfig, values: Mapping[str, Any]) -> None:
    check_content(values, "")
    for key, value in values.items():
        if key in GROUPS and isinstance(value, str):
            continue
        if key not in config:
            known = [str(name) for name in config]
            raise ConfigError(
                f"there is no such key{did_you_mean(key, known)}; keys: {join_sorted(known)}",
                path=key,
                hint="correct it; a pipeline file may define keys of its own",
                code=codes.UNKNOWN_CONFIG_KEY,
            )
        plain_value = str(value) if isinstance(value, Path) else value
        if isinstance(value, BaseModel):
            plain_value = value.model_dump(mode="json")
        elif isinstance(plain_value, Mapping) and isinstance(config.get(key), DictConfig):
            plain_value = OmegaConf.merge(config[key], dict(plain_value))
        config[key] = plain_value
