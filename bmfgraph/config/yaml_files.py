"""Read the YAML files of users' configuration folders, within the limits of :mod:`bmfgraph.config.limits`.

Hydra reads the folders of ``--config-dir`` through :class:`ConfigFolder`.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.plugins.config_source import ConfigLoadError, ConfigResult
from omegaconf import DictConfig, OmegaConf
from omegaconf._utils import get_yaml_loader
from omegaconf.errors import GrammarParseError, OmegaConfBaseException

from bmfgraph import error_codes as codes
from bmfgraph.config import limits
from bmfgraph.config.hydra_settings import check_file
from bmfgraph.errors import ConfigError
from bmfgraph.system.untrusted import read_bounded

__all__ = ["ConfigFolder", "check_content", "folder_address", "read_text", "read_yaml"]

_SPLIT = "split it, or write values that repeat with ${...}"


@dataclass
class _Size:
    """Size of a node of YAML, its aliases replaced by their content."""

    nodes: int = 1
    depth: int = 1
    anchor: str | None = None


class _Named(io.StringIO):
    """Text of a file, under whose name YAML's errors report it."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        self.name = name


class ConfigFolder(FileConfigSource):
    """A folder of configuration that Hydra searches, under the scheme ``bmfgraph://``."""

    nodes = 0
    """Size of the files that were read so far."""

    @staticmethod
    def scheme() -> str:
        """Return the beginning of the folder's address."""
        return "bmfgraph"

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file.

        Args:
            config_path: Its path in the folder, without extension.

        Raises:
            ConfigError: It cannot be read, is too large, or sets what only bmfgraph may set.
        """
        path = Path(self.path) / self._normalize_file_name(config_path)
        if not path.exists():
            raise ConfigLoadError(f"Config not found : {path}")
        text = read_text(path)
        try:
            header = self._get_header_dict(text[:512])
        except ValueError as error:
            raise _unreadable(path, f"its first comment is wrong: {error}", "write `# @package PACKAGE`") from None
        config, nodes = _parsed(text, path)
        self.nodes += nodes
        if self.nodes > limits.MAX_NODES:
            raise _too_large(path)
        check_file(config_path, header["package"], OmegaConf.to_container(config, resolve=False), str(path))
        return ConfigResult(config=config, path=f"{self.scheme()}://{self.path}", provider=self.provider, header=header)


def folder_address(folder: Path | str) -> str:
    """Return the address under which Hydra searches a user's folder."""
    SourcesRegistry.instance().register(ConfigFolder)
    return f"{ConfigFolder.scheme()}://{Path(folder).absolute()}"


def read_yaml(path: Path) -> DictConfig:
    """Read a file that holds a mapping.

    Raises:
        ConfigError: It cannot be read, is too large, or does not hold a mapping.
    """
    if not path.exists():
        raise ConfigError(f"there is no file '{path}'", hint="correct the path", code=codes.COMPOSITION_FAILURE)
    config, _ = _parsed(read_text(path), path)
    check_file("", None, OmegaConf.to_container(config, resolve=False), str(path))
    return config


def read_text(path: Path) -> str:
    """Return the text of a file, without the mark that Windows programs write before UTF-8.

    Raises:
        ConfigError: It cannot be read, is too large, or not UTF-8.
    """
    try:
        content = read_bounded(path, limits.MAX_FILE_BYTES)
    except OSError as error:
        raise _unreadable(
            path, f"cannot be read ({error.strerror})", "name a YAML file, and check who may read it"
        ) from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _unreadable(f"{path}, line {line}", "it is not written in UTF-8", "save it as UTF-8") from None


def _parsed(text: str, path: Path) -> tuple[DictConfig, int]:
    """Return the mapping of a file, and the number of its nodes."""
    nodes = _checked_size(text, path)
    try:
        data = yaml.load(_Named(text, str(path)), _loader())
    except (ValueError, TypeError) as error:
        # Such as a date that does not exist, with the tag of a date.
        raise _unreadable(path, f"a value cannot be read: {error}", "put it in quotes, as text") from None
    data = {} if data is None else data
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else "a single value"
        raise ConfigError(
            f"'{path}' holds {kind}, not a mapping",
            path=str(path),
            hint="write `name:` and `nodes:` in it, or the fields of its group",
            code=codes.MAPPING_EXPECTED,
        )
    check_content(data, str(path))
    try:
        config = OmegaConf.create(data)
    except OmegaConfBaseException as error:
        if isinstance(error, GrammarParseError):
            raise
        raise _unreadable(path, f"a value cannot be used: {str(error.msg).splitlines()[0]}", "leave it out") from None
    assert isinstance(config, DictConfig)
    return config, nodes


@functools.cache
def _loader() -> Any:
    """Return OmegaConf's loader, which reads numbers as YAML 1.2 does, and refuses doubled keys."""
    return get_yaml_loader()


def check_content(data: Any, path: str) -> None:
    """Check plain data before OmegaConf copies them.

    Args:
        data: Mappings, lists and scalars. Python's own may hold the same list many times.
        path: Name of the file; empty for data of Python.

    Raises:
        ConfigError: A key is null, or the data are too large or too deeply nested.
    """
    nodes = interpolations = 0
    stack = [(data, "", 1)]
    while stack:
        value, place, depth = stack.pop()
        nodes += 1
        if nodes > limits.MAX_NODES:
            raise _too_large(path)
        if depth > limits.MAX_DEPTH:
            raise _too_deep(path)
        if isinstance(value, str) and "${" in value:
            interpolations += len(value)
            if len(value) > limits.INTERPOLATION_CHARACTERS or interpolations > limits.PARSED_CHARACTERS:
                raise limits.interpolation_too_long(place or path)
            if any(level > limits.MAX_DEPTH for level in limits.depths(value)):
                raise _too_deep(path, place)
        elif isinstance(value, Mapping):
            if None in value:
                raise _null_key(place, path)
            stack += [(inner, f"{place}.{key}" if place else str(key), depth + 1) for key, inner in value.items()]
        elif isinstance(value, (list, tuple)):
            stack += [(inner, f"{place}.{number}", depth + 1) for number, inner in enumerate(value)]


def _checked_size(text: str, path: Path) -> int:
    """Return the number of YAML's nodes, each alias counted as its content."""
    anchors: dict[str, _Size] = {}
    open_nodes: list[_Size] = [_Size(nodes=0, depth=0)]
    for event in _events(text):
        if isinstance(event, yaml.NodeEvent):
            line = f"{path}, line {event.start_mark.line + 1 if event.start_mark else 1}"
            node = _Size(anchor=event.anchor)
            if isinstance(event, yaml.AliasEvent):
                # An alias inside its own anchor, or of an unknown one, is an error of YAML itself.
                node = anchors.get(event.anchor or "", node)
                if any(outer.anchor == event.anchor for outer in open_nodes):
                    raise _unreadable(line, f"the alias *{event.anchor} is inside its own anchor", "take it out")
            if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                open_nodes.append(node)
            elif isinstance(event, yaml.ScalarEvent):
                _check_number(event, line)
                _close(node, open_nodes[-1], anchors)
            else:
                _close(_Size(node.nodes, node.depth), open_nodes[-1], anchors)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            _close(open_nodes.pop(), open_nodes[-1], anchors)
        if len(open_nodes) + open_nodes[-1].depth > limits.MAX_DEPTH:
            raise _too_deep(path)
        if sum(node.nodes for node in open_nodes) > limits.MAX_NODES:
            raise _too_large(path)
    return open_nodes[0].nodes


def _close(node: _Size, outer: _Size, anchors: dict[str, _Size]) -> None:
    """Count a complete node for the one around it."""
    outer.nodes += node.nodes
    outer.depth = max(outer.depth, node.depth + 1)
    if node.anchor:
        anchors[node.anchor] = node


def _events(text: str) -> Iterator[yaml.Event]:
    """List the events of YAML as far as it is correct; a mistake is reported when the file is loaded."""
    yielded = 0
    try:
        for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            yield event
            yielded += 1
    except yaml.YAMLError:
        # libyaml refuses some text that Python's parser reads, after the same events.
        with contextlib.suppress(yaml.YAMLError):
            yield from itertools.islice(yaml.parse(text, yaml.SafeLoader), yielded, None)


def _check_number(event: yaml.ScalarEvent, line: str) -> None:
    """Refuse a number that takes Python minutes to read, or that it cannot print."""
    value = event.value
    if len(value) > limits.MAX_NUMBER_CHARACTERS and event.implicit[0] and value[0] in "+-.0123456789":
        raise _unreadable(
            line, f"a number has more than {limits.MAX_NUMBER_CHARACTERS:,} characters", "put it in quotes, as text"
        )


def _null_key(place: str, path: str) -> ConfigError:
    is_node = place.rpartition(".")[2] == "nodes"
    return ConfigError(
        f"a key is null{f' in {path}' if path else ''}",
        path=place or path,
        hint="give the node a name" if is_node else "write the key, and null as text in quotes",
        code=codes.INVALID_NODE_NAME if is_node else codes.UNREADABLE_CONFIG_FILE,
    )


def _too_large(path: Path | str) -> ConfigError:
    return _unreadable(
        path, f"it has more than {limits.MAX_NODES:,} values, with every alias replaced by its content", _SPLIT
    )


def _too_deep(path: Path | str, place: str = "") -> ConfigError:
    where = f"{place}: " if place else ""
    return _unreadable(path, f"{where}it is nested deeper than {limits.MAX_DEPTH} levels", "write it flatter")


def _unreadable(path: Path | str, problem: str, hint: str) -> ConfigError:
    return ConfigError(problem, path=str(path) or "the configuration", hint=hint, code=codes.UNREADABLE_CONFIG_FILE)
