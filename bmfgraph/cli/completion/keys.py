"""Complete groups, keys and values: from the configuration's folders, what they compose, and the specs of nodes.

A line that is being typed need not be correct yet. What cannot be found because of that is left out.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from bmfgraph.cli.completion.shells import Answer
from bmfgraph.config.annotations import nested_models, union_members
from bmfgraph.config.compose import composed_unresolved
from bmfgraph.config.fields import spec_classes
from bmfgraph.config.job import GROUPS, JobSpec
from bmfgraph.config.overrides import CONFIG_DIR, key_and_value
from bmfgraph.config.yaml_files import read_text
from bmfgraph.errors import ConfigError
from bmfgraph.nodes.path_kind import path_kind

__all__ = ["keys", "values"]

_DIRECTIVES = ("# @", "# yaml-language-server")
"""Comments at the beginning of a group's file that do not describe it."""
_REFERENCE = re.compile(r"\$\{([\w.-]+)\}")
_MAX_DEPTH = 10

Data = Mapping[str, Any]


def keys(before: Sequence[str], word: str) -> dict[str, str]:
    """List the keys that begin with a word, one level further, each with its description.

    Args:
        before: The arguments before the word; their keys are left out.
        word: A key or the beginning of one.
    """
    mark, key = _split_mark(word)
    base, dot, _ = key.rpartition(".")
    data = _compose(before)
    names = _fields(base, data) if dot else {**_groups(before, mark), **_top(data)}
    present = {f"{key_and_value(argument)[0]}=" for argument in before}
    candidates = {f"{mark}{base}{dot}{name}": about for name, about in names.items()}
    return {name: about for name, about in candidates.items() if name.startswith(word) and name not in present}


def values(before: Sequence[str], word: str) -> Answer:
    """Complete the value of ``KEY=``: an option of a group, a file, or a value that the field allows or has.

    Args:
        before: The arguments before the word.
        word: A key, an equals sign, and the beginning of the value.
    """
    mark, override = _split_mark(word)
    key, value = key_and_value(override)
    group = key.partition("@")[0]
    if group in _folders(before):
        options = _options(group, before)
    else:
        data = _compose(before)
        if kind := _path_kind(key, data):
            return Answer(f"{mark}{key}=", kind=kind, name=value)
        options = dict.fromkeys(_choices(key, data), "")
    # In a sweep the last of several values is typed.
    several, comma, _ = value.rpartition(",")
    candidates = {f"{mark}{key}={several}{comma}{option}": about for option, about in options.items()}
    return Answer(word, {name: about for name, about in candidates.items() if name.startswith(word)})


def _split_mark(word: str) -> tuple[str, str]:
    """Split off Hydra's marks ``+``, ``++`` and ``~``."""
    key = word.lstrip("+~")
    return word[: len(word) - len(key)], key


def _folders(before: Sequence[str]) -> dict[str, list[Any]]:
    """Find the folders of each group: bmfgraph's own, and those of ``--config-dir``."""
    roots = [resources.files("bmfgraph.conf")]
    roots += [Path(folder) for flag, folder in itertools.pairwise(before) if flag in CONFIG_DIR]
    groups: dict[str, list[Any]] = {}
    for root in roots:
        with contextlib.suppress(OSError):
            for folder in sorted(root.iterdir(), key=lambda entry: entry.name):
                if folder.is_dir() and any(file.name.endswith(".yaml") for file in folder.iterdir()):
                    groups.setdefault(folder.name, []).append(folder)
    return groups


def _groups(before: Sequence[str], mark: str) -> dict[str, str]:
    """List the groups that take the mark: ``+`` for those that have no option by default."""
    return {f"{group}=": "" for group in _folders(before) if (group in GROUPS) != mark.startswith("+")}


def _options(group: str, before: Sequence[str]) -> dict[str, str]:
    """List the options of a group, each with the first comment of its file."""
    options = {}
    for file in itertools.chain.from_iterable(folder.iterdir() for folder in _folders(before)[group]):
        if file.name.endswith(".yaml"):
            with contextlib.suppress(ConfigError):
                lines = read_text(Path(str(file))).splitlines()
                comments = (line for line in lines if line.startswith("# ") and not line.startswith(_DIRECTIVES))
                options[file.name.removesuffix(".yaml")] = next(comments, "").removeprefix("# ")
    return dict(sorted(options.items()))


def _compose(before: Sequence[str]) -> Data:
    """Compose the arguments as far as possible; without a pipeline, everything else."""
    arguments: list[str] = []
    for flag, argument in zip(["", *before], before, strict=False):
        if flag in CONFIG_DIR:
            arguments += [flag, argument]
        elif "=" in argument:
            # The first of several values stands for all.
            arguments.append(argument.partition(",")[0] if _split_mark(argument)[1].startswith(GROUPS) else argument)
    if not any(_split_mark(argument)[1].startswith("pipeline=") for argument in arguments):
        arguments.append("~pipeline")
    try:
        return composed_unresolved(arguments)
    except ConfigError:
        return {}


def _top(data: Data) -> dict[str, str]:
    def about(name: str) -> str:
        return (JobSpec.model_fields[name].description or "") if name in JobSpec.model_fields else ""

    return {f"{name}{'.' if isinstance(value, dict) else '='}": about(name) for name, value in data.items()}


def _fields(base: str, data: Data) -> dict[str, str]:
    """List the keys below ``base``: the fields of its spec, and the keys that it has now."""
    present, spec = _at(base, data), _spec(base, data)
    fields = {}
    for name, field in (spec.model_fields if spec else {}).items():
        deeper = isinstance(_follow(present.get(name), data), dict) or nested_models(field.annotation)
        fields[f"{name}." if deeper else f"{name}="] = (field.description or "").partition("\n")[0]
    known = spec.model_fields if spec else {}
    for name, value in present.items():
        if name not in known and "." not in name and name != "use":
            fields[f"{name}{'.' if isinstance(_follow(value, data), dict) else '='}"] = ""
    return fields


def _choices(key: str, data: Data) -> list[str]:
    """List the values that a field allows, if they can be counted; else the value that it has."""
    base, _, name = key.rpartition(".")
    spec = _spec(base, data) if base else JobSpec
    if spec is not None and name in spec.model_fields:
        allowed = list(dict.fromkeys(_literals(spec.model_fields[name].annotation)))
        if allowed:
            return allowed
    value = _follow(_at(base, data).get(name), data)
    if isinstance(value, bool):
        return ["true", "false"]
    return [str(value)] if isinstance(value, str | int | float) and "${" not in str(value) else []


def _literals(annotation: Any) -> Iterator[str]:
    for member in union_members(annotation):
        if member is bool:
            yield from ("true", "false")
        elif get_origin(member) is Literal:
            # The text "null" would need quotes.
            yield from (str(value) for value in get_args(member) if value != "null")


def _path_kind(key: str, data: Data) -> Literal["files", "folders"] | None:
    """Tell whether a key names a file or a folder, itself or by the fields that it feeds through ``${KEY}``."""
    for place in (key, *(place for place, value in _leaves(data) if value == f"${{{key}}}")):
        base, _, name = place.rpartition(".")
        spec = _spec(base, data) if base else JobSpec
        kind = path_kind(spec.model_fields[name]) if spec is not None and name in spec.model_fields else None
        if kind is not None:
            return "files" if kind == "file" else "folders"
    # The pipeline is not chosen yet: fields of this name name files in every kind that has them.
    fields = (spec.model_fields.get(key.rpartition(".")[2]) for spec in spec_classes().values())
    known = key.startswith("pipeline.nodes.") and any(field is not None and path_kind(field) for field in fields)
    return "files" if known else None


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """List the dotted place and the value of every field."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{place}.{key}" if place else str(key))
    else:
        yield place, value


def _follow(value: Any, data: Data) -> Any:
    """Replace a value that is a single ``${KEY}`` by the value of that key."""
    for _ in range(_MAX_DEPTH):
        match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            return value
        base, _, name = match[1].rpartition(".")
        value = _at(base, data).get(name)
    return None


def _at(path: str, data: Data) -> Data:
    """Return the mapping at a dotted path; an empty one if there is none."""
    value: Any = data
    for part in path.split(".") if path else ():
        value = _follow(value.get(part), data) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _spec(path: str, data: Data) -> type[BaseModel] | None:
    """Find the spec whose fields are at a dotted path."""
    from bmfgraph.config.sweep import SweepOptions
    from bmfgraph.nodes.engine import EngineOptions
    from bmfgraph.nodes.model import ModelSpec

    group, *inside = path.split(".")
    group_specs: dict[str, type[BaseModel]] = {"engine": EngineOptions, "model": ModelSpec, "sweep": SweepOptions}
    spec = group_specs.get(group)
    if group in ("decoder", "encoder"):
        spec = _spec_of_kind(_at(group, data).get("kind", group))
    elif group == "pipeline" and inside[:1] == ["nodes"] and len(inside) > 1:
        node = _at(".".join(["pipeline", *inside[:2]]), data)
        used = _follow(node.get("use"), data)
        spec = _spec_of_kind(node.get("kind") or (used.get("kind") if isinstance(used, dict) else None))
        inside = inside[2:]
    for part in inside:
        fields = spec.model_fields if spec else {}
        models = nested_models(fields[part].annotation) if part in fields else []
        spec = models[0] if len(models) == 1 else None
    return spec


def _spec_of_kind(kind: Any) -> type[BaseModel] | None:
    from bmfgraph.nodes.registry import RegistryError, spec_class

    try:
        return spec_class(str(kind))
    except RegistryError:
        return None
