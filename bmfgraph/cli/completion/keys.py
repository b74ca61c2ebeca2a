"""How groups, keys and their values go on: from the files in the configuration's folders, what they compose, and specs.

A line that is being typed need not make sense yet. What cannot be found out because of that is left out.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from bmfgraph.cli.completion.shells import Answer
from bmfgraph.cli.help import GROUPS
from bmfgraph.config.compose import composed
from bmfgraph.config.overrides import CONFIG_DIR
from bmfgraph.errors import ConfigError

__all__ = ["keys", "values"]

_FILES = ("calibration", "file", "input", "output", "path", "python", "records", "reference", "report", "target")
_FOLDERS = ("dir", "store")
"""Last parts of keys whose values are names of files, and of folders."""
_COMMENTS = ("# @", "# yaml-language-server")
"""What the first lines of a group's file begin with that says nothing of it."""

Data = Mapping[str, Any]


def keys(before: Sequence[str], word: str) -> dict[str, str]:
    """The keys that begin with the word, one level further, each with what it is; none of those given ``before``."""
    mark, key = _marked(word)
    base, dot, _ = key.rpartition(".")
    data = _data(before)
    found = _fields(base, data) if dot else {**_groups(before, mark), **_top(data)}
    given = {f"{one.partition('=')[0]}=" for one in before}
    named = {f"{mark}{base}{dot}{name}": about for name, about in found.items()}
    return {name: about for name, about in named.items() if name.startswith(word) and name not in given}


def values(before: Sequence[str], word: str) -> Answer:
    """How the value of ``key=`` goes on: as an option of the group, a file, or what the field allows or has now."""
    mark, rest = _marked(word)
    key, _, value = rest.partition("=")
    leaf = key.rpartition(".")[2]
    group = key.partition("@")[0]
    if group in _folders(before):
        found = _options(group, before)
    elif leaf in _FILES or leaf in _FOLDERS:
        return Answer(f"{mark}{key}=", kind="files" if leaf in _FILES else "folders", name=value)
    else:
        found = dict.fromkeys(_choices(key, _data(before)), "")
    # In a sweep the last of several is typed.
    several, comma, _ = value.rpartition(",")
    named = {f"{mark}{key}={several}{comma}{one}": about for one, about in found.items()}
    return Answer(word, {name: about for name, about in named.items() if name.startswith(word)})


def _marked(word: str) -> tuple[str, str]:
    """Hydra's marks ``+``, ``++`` and ``~``, and what follows."""
    key = word.lstrip("+~")
    return word[: len(word) - len(key)], key


def _folders(before: Sequence[str]) -> dict[str, list[Any]]:
    """The folders of each group: bmfgraph's own, and those of ``--config-dir``."""
    roots = [resources.files("bmfgraph.conf")]
    roots += [Path(folder) for flag, folder in itertools.pairwise(before) if flag in CONFIG_DIR]
    found: dict[str, list[Any]] = {}
    for root in roots:
        with contextlib.suppress(OSError):
            for folder in sorted(root.iterdir(), key=lambda one: one.name):
                if folder.is_dir() and any(file.name.endswith(".yaml") for file in folder.iterdir()):
                    found.setdefault(folder.name, []).append(folder)
    return found


def _groups(before: Sequence[str], mark: str) -> dict[str, str]:
    """Those that have an option already come without a mark, all others with ``+``."""
    return {f"{group}=": "" for group in _folders(before) if (group in GROUPS) != mark.startswith("+")}


def _options(group: str, before: Sequence[str]) -> dict[str, str]:
    """The options of a group, each with the first comment of its file."""
    found = {}
    for file in itertools.chain.from_iterable(folder.iterdir() for folder in _folders(before)[group]):
        if file.name.endswith(".yaml"):
            with contextlib.suppress(OSError, ValueError):
                lines = file.read_text(encoding="utf-8").splitlines()
                comments = (line for line in lines if line.startswith("# ") and not line.startswith(_COMMENTS))
                found[file.name.removesuffix(".yaml")] = next(comments, "").removeprefix("# ")
    return dict(sorted(found.items()))


def _data(before: Sequence[str]) -> Data:
    """What the words before compose, as far as that is possible."""
    words = [word for flag, word in zip(["", *before], before, strict=False) if "=" in word or flag in CONFIG_DIR]
    words = [word.partition(",")[0] if _marked(word)[1].startswith(GROUPS) else word for word in words]
    words = [one for word in words for one in (["--config-dir", word] if "=" not in word else [word])]
    chosen = any(_marked(word)[1].startswith("pipeline=") for word in words)
    if not chosen:
        # All but the pipeline, whose name others are made from.
        words += ["~pipeline", "++pipeline.name=_"]
    for _ in range(4):
        try:
            data = composed(words)
            return data if chosen else {name: value for name, value in data.items() if name != "pipeline"}
        except ConfigError as error:
            if error.problems[0].code not in ("E107", "E108"):
                break
            # One that says which value is missing.
            words = [*words, f"++{error.problems[0].path}=_"]
    return {}


def _top(data: Data) -> dict[str, str]:
    return {f"{name}." if isinstance(value, dict) else f"{name}=": "" for name, value in data.items()}


def _fields(base: str, data: Data) -> dict[str, str]:
    """The keys below ``base``: what its spec has, and what is there now."""
    here, spec = _at(base, data), _spec(base, data)
    found = {}
    for name, field in (spec.model_fields if spec else {}).items():
        further = isinstance(here.get(name), dict) or any(_models(field.annotation))
        found[f"{name}." if further else f"{name}="] = (field.description or "").partition("\n")[0]
    known = spec.model_fields if spec else {"use": None}
    more = {name: value for name, value in here.items() if name not in known and "." not in name and name != "use"}
    return {**found, **_top(more)}


def _choices(key: str, data: Data) -> list[str]:
    """The values that a field allows where they can be counted; else the one that it has."""
    base, _, name = key.rpartition(".")
    now = _at(base, data).get(name) if base else data.get(name)
    spec = _spec(base, data)
    if key == "device":
        from bmfgraph.config.job import JobSpec

        return list(_words(JobSpec.model_fields[key].annotation))
    if spec is not None and name in spec.model_fields:
        found = list(dict.fromkeys(_words(spec.model_fields[name].annotation)))
        if found:
            return found
    if isinstance(now, bool):
        return ["true", "false"]
    return [str(now)] if isinstance(now, str | int | float) else []


def _at(path: str, data: Data) -> Data:
    """The mapping at a dotted path; an empty one where there is none."""
    here: Any = data
    for part in path.split(".") if path else ():
        here = here.get(part) if isinstance(here, dict) else None
    return here if isinstance(here, dict) else {}


def _spec(path: str, data: Data) -> type[BaseModel] | None:
    """The spec whose fields stand at a dotted path, if there is one."""
    from bmfgraph.nodes.engine import EngineOptions
    from bmfgraph.nodes.model import ModelSpec

    group, *inside = path.split(".")
    own: dict[str, type[BaseModel]] = {"engine": EngineOptions, "model": ModelSpec}
    spec = own.get(group)
    if group in ("decoder", "encoder"):
        spec = _of_kind(_at(group, data).get("kind", group))
    elif group == "pipeline" and inside[:1] == ["nodes"] and len(inside) > 1:
        node = _at(".".join(["pipeline", *inside[:2]]), data)
        use = node.get("use")
        spec = _of_kind(node.get("kind") or (use.get("kind") if isinstance(use, dict) else None))
        inside = inside[2:]
    for part in inside:
        fields = spec.model_fields if spec else {}
        nested = list(_models(fields[part].annotation)) if part in fields else []
        spec = nested[0] if len(nested) == 1 else None
    return spec


def _of_kind(kind: Any) -> type[BaseModel] | None:
    from bmfgraph.nodes.registry import RegistryError, spec_class

    try:
        return spec_class(str(kind))
    except RegistryError:
        return None


def _parts(annotation: Any) -> Iterable[Any]:
    """The types of which a value may have one."""
    if get_origin(annotation) in (Union, UnionType, Annotated):
        for one in get_args(annotation):
            yield from _parts(one)
    else:
        yield annotation


def _words(annotation: Any) -> Iterator[str]:
    for one in _parts(annotation):
        if one is bool:
            yield from ("true", "false")
        elif get_origin(one) is Literal:
            # The text "null" wants quotes of its own.
            yield from (str(value) for value in get_args(one) if value != "null")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    return (one for one in _parts(annotation) if isinstance(one, type) and issubclass(one, BaseModel))
