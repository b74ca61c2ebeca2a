"""Refuse settings of Hydra's own that would import code, or write files, other than bmfgraph's.

Hydra calls what ``hydra.callbacks`` and ``hydra.job_logging`` name, and ``hydra.run.dir`` makes folders. A pipeline
file from elsewhere must not do that. Free are the mode, the launcher and the sweeper, the latter two with classes of
installed plugins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import Container, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bmfgraph import error_codes as codes
from bmfgraph.errors import ConfigError

__all__ = ["check_composed", "check_file", "check_overrides"]

_FREE = ("launcher", "mode", "sweeper")
_HINTS = {
    "callbacks": "leave it out: Hydra would import and call what it names",
    "hydra_logging": "leave it out: bmfgraph has its own messages",
    "job_logging": "leave it out: bmfgraph has its own messages",
    "mode": "leave it out, and add -m; or write it into a preset in sweep/, and choose that with +sweep=NAME",
    "run": "leave it out: output=FILE and report=FILE name the files of a run",
    "searchpath": "name the folder with --config-dir",
    "sweep": "set sweep.dir: it is the folder of a sweep",
}
_QUIET = {"version": 1, "root": None, "disable_existing_loggers": False}
_OURS: Mapping[str, Any] = {
    "callbacks": {},
    "hydra_logging": _QUIET,
    "job.chdir": None,
    "job.env_copy": [],
    "job.env_set": {},
    "job_logging": _QUIET,
    "output_subdir": None,
    "run": {"dir": "."},
    "sweep": {"dir": "${sweep.dir}", "subdir": "."},
    "verbose": False,
}
"""The settings of ``conf/config.yaml`` that have an effect."""


def check_overrides(overrides: Sequence[str]) -> None:
    """Check the overrides that a user wrote.

    Args:
        overrides: Overrides, and flags.

    Raises:
        ConfigError: One sets something below ``hydra`` that is not free.
    """
    for override in overrides:
        if "=" not in override and not override.startswith("~"):
            continue
        key = override.partition("=")[0].strip().lstrip("+~")
        group, _, package = key.partition("@")
        if refused := _refused(group) or _refused(package.replace(":", ".")):
            raise _refusal(refused, f"{override[:60]!r}")


def check_file(config_path: str, package: str | None, content: Any, source: str) -> None:
    """Check a file of a user's folder.

    Args:
        config_path: Its path in the folder, without extension, such as ``pipeline/mine``.
        package: The package of its header.
        content: Its content.
        source: Name of the file.

    Raises:
        ConfigError: It sets something below ``hydra`` that is not free.
    """
    group, _, name = config_path.rpartition("/")
    own = content.get("hydra") if isinstance(content, Mapping) else None
    if group != "sweep" and isinstance(own, Mapping) and "mode" in own:
        # The verbs know a sweep by its command line.
        raise _refusal("hydra.mode", source)
    for place in (group, (package or "").replace("_name_", name), *_placed(content)):
        if refused := _refused(place):
            raise _refusal(refused, source)


def _placed(content: Any) -> Iterator[str]:
    """List the keys below ``hydra``, and the groups and packages of the defaults list."""
    if not isinstance(content, Mapping):
        return
    own = content.get("hydra", {})
    yield from (f"hydra.{key}" for key in own) if isinstance(own, Mapping) else ("hydra",)
    defaults = content.get("defaults")
    for default in defaults if isinstance(defaults, list) else ():
        for text in default if isinstance(default, Mapping) else (default,):
            group, _, package = str(text).split(" ")[-1].lstrip("/").partition("@")
            # Without a mapping, the last part is the option.
            yield group if isinstance(default, Mapping) else group.rpartition("/")[0]
            yield from package.split(":")


def _refused(place: str) -> str:
    """Return the key below ``hydra`` that a dotted key or the path of a group sets, if it is not free; else ""."""
    head, _, rest = place.replace("/", ".").rpartition("_global_")[2].strip(".").partition(".")
    if head != "hydra" or rest.partition(".")[0] in _FREE:
        return ""
    return f"hydra.{rest}" if rest else "hydra"


def _refusal(key: str, source: str) -> ConfigError:
    return ConfigError(
        f"{source} sets {key}, and only hydra/launcher, hydra/sweeper and the hydra.mode of sweeps can be set",
        path=key,
        hint=_HINTS.get(key.split(".")[1] if "." in key else "", "leave it out"),
        code=codes.REFUSED_HYDRA_SETTING,
    )


def check_composed(hydra: DictConfig) -> None:
    """Check the composed settings, wherever they come from.

    Args:
        hydra: The key ``hydra`` of the configuration.

    Raises:
        ConfigError: A setting is not bmfgraph's, or the launcher or the sweeper names a class of no plugin.
    """
    for key, value in _OURS.items():
        node: Any = hydra
        for part in key.split("."):
            node = node._get_node(part)
        is_container = isinstance(node, Container)
        if (OmegaConf.to_container(node, resolve=False) if is_container else node._value()) != value:
            raise _refusal(f"hydra.{key}", "the configuration")
    known: set[str] | None = None
    for plugin in ("launcher", "sweeper"):
        for target in _targets(hydra.get(plugin)):
            known = known or _plugins()
            if target not in known:
                raise ConfigError(
                    f"{target!r} is not a class of an installed plugin of Hydra's",
                    path=f"hydra.{plugin}",
                    hint=f"choose one with hydra/{plugin}=NAME; see docs/sweeps.md",
                    code=codes.REFUSED_HYDRA_SETTING,
                )


def _targets(node: Any) -> Iterator[str]:
    """List the classes and functions that Hydra would call to build a plugin."""
    if not isinstance(node, Container):
        return
    for key in node if isinstance(node, DictConfig) else range(len(node)):  # type: ignore[arg-type]
        try:
            child = node[key]
        except OmegaConfBaseException:
            # Hydra cannot build the plugin, either.
            continue
        if key == "_target_":
            yield str(child)
        yield from _targets(child)


def _plugins() -> set[str]:
    """Return the launchers and sweepers that are installed, and what their own options name."""
    plugins = [*Plugins.instance().discover(Launcher), *Plugins.instance().discover(Sweeper)]
    store: Any = ConfigStore.instance().repo.get("hydra", {})
    return {f"{cls.__module__}.{cls.__qualname__}" for cls in plugins}.union(
        *(_stored(store.get(group, {})) for group in ("launcher", "sweeper"))
    )


def _stored(options: Mapping[str, Any]) -> Iterator[str]:
    for option in options.values():
        yield from _stored(option) if isinstance(option, Mapping) else _targets(option.node)
