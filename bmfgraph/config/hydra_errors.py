"""What Hydra and OmegaConf have against a configuration, in the form that all errors have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import GrammarParseError, InterpolationKeyError, OmegaConfBaseException
from yaml import MarkedYAMLError

from bmfgraph.config.overrides import dir_flags
from bmfgraph.errors import ConfigError, did_you_mean, join_sorted, nearest

__all__ = ["composition_error", "unresolved"]

_KEYS = (
    "pipeline",
    "model",
    "engine",
    "decoder",
    "encoder",
    "input",
    "output",
    "device",
    "records",
    "report",
    "reference",
    "target",
    "sweep",
    "progress",
    "debug",
)
_GROUPS = ("pipeline", "model", "engine", "decoder", "encoder")


def _names_nothing(config: DictConfig, error: InterpolationKeyError) -> ConfigError:
    first = str(error.msg).splitlines()[0]
    match = re.match(r"Interpolation key '([^']+)' not found", first)
    place: Any = OmegaConf.to_container(config, resolve=False)
    known: list[str] = []
    for part in match[1].split(".") if match else ():
        if not isinstance(place, dict) or part not in place:
            break
        known.append(part)
        place = place[part]
    if match and isinstance(place, dict):
        part, keys = match[1].split(".")[len(known)], [str(key) for key in place]
        where = ".".join(known) or "the configuration"
        first = f"${{{match[1]}}} names nothing: {where} has no {part!r}{did_you_mean(part, keys)}; it has: "
        first += join_sorted(keys)
    return ConfigError(first, path=str(error.full_key), hint="correct the ${...}, or define what it names", code="E108")


def unresolved(config: DictConfig, error: OmegaConfBaseException) -> ConfigError:
    """What keeps the configuration's ``${...}`` from being resolved."""
    text = re.sub(r"^\w+ raised while resolving interpolation: ", "", str(error.msg or error).splitlines()[0])
    if re.search(r"'pipeline\.name'|Index 'name'", text):
        # What refers to it complains before the pipeline itself is looked at.
        return ConfigError(
            "is missing: the file that was chosen with pipeline=... describes no pipeline",
            path="pipeline.name",
            hint="write `name:` and `nodes:` in it; under `pipeline:` where it begins with `# @package _global_`",
            code="E107",
        )
    if isinstance(error, InterpolationKeyError):
        return _names_nothing(config, error)
    hint = "correct the ${...}"
    if "nvironment variable" in text:
        hint = "export it, or say what stands for it: ${oc.env:NAME,VALUE}"
    elif text.startswith("HydraConfig was not set"):
        text, hint = (
            "${hydra:...} has no value before a run begins",
            "leave it out: a sweep's runs have their own folders",
        )
    elif text.startswith("Recursive"):
        text, hint = "its ${...} leads back to itself", "give one of the keys in that circle a value"
    elif match := re.match(r"Unsupported interpolation type (\S+)", text):
        text = f"there is no resolver {match[1]!r}"
        hint = "write ${KEY} for another value, or ${oc.env:NAME} for an environment variable"
    return ConfigError(text.strip('"'), path=str(error.full_key or "config"), hint=hint, code="E109")


def composition_error(error: Exception, words: Sequence[str] = ()) -> ConfigError:
    """What Hydra has against the words of the command line, in the form that all errors have."""
    if isinstance(error, MarkedYAMLError):
        return _bad_yaml(error)
    if isinstance(error.__cause__, GrammarParseError):
        return ConfigError(
            f"a ${{...}} cannot be read: {str(error.__cause__.msg).splitlines()[0]}",
            path=str(error.__cause__.full_key or "config"),
            hint="close its braces, and put text that holds ${ otherwise in quotes, as \\${",
            code="E109",
        )
    if isinstance(error, FileNotFoundError) and not _folder_is_there():
        return ConfigError("the current folder does not exist any more", hint="cd into one that does", code="E106")
    if isinstance(error, (UnicodeDecodeError, PermissionError)):
        return _unreadable(error, words)
    if match := re.match(r"You must specify '([^']+)'", str(error)):
        key, options = match[1], re.findall(r"^\s+(\S+)", str(error), re.MULTILINE)
        near = [word for word in words if did_you_mean(word.partition("=")[0], [key])]
        return ConfigError(
            f"needs a value, and {f'{near[0]!r} gives it none' if near else 'the command line gives it none'}; "
            f"options: {join_sorted(options)}",
            path=key,
            hint=f"add {key}=... to the command line",
            code="E107",
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        return _no_such_option(error.missing_cfg_file, error.options, words)
    if match := re.match(r"Could not override '([^']+)'\.", str(error)):
        added = re.search(r"To append to your default list use (\+\S+)", str(error))
        if not added:
            return _no_such_key(match[1])
        return ConfigError("this group is added with a +", path=match[1], hint=f"write {added[1]}", code="E105")
    if match := re.match(r"Could not delete from config\. '([^']+)' does not exist", str(error)):
        key = match[1]
        return ConfigError("there is no such key to take out", path=key, hint=f"leave ~{key} out", code="E104")
    return _misused(error, words) or _uncomposed(error)


def _no_such_option(file: str, options: Sequence[str], words: Sequence[str]) -> ConfigError:
    group, _, name = file.rpartition("/")
    word = next((one for one in words if one.replace("=", "/", 1).lstrip("+") == file), f"{group}={name}")
    key, _, value = word.lstrip("+").partition("=")
    hint = "choose one of them, or bring your own with --config-dir"
    if key == "model" and value.endswith(".onnx"):
        hint = f"choose the one that says what its tensors mean, and add model.file={value}"
    elif "/" in value:
        hint = f"name its folder with --config-dir, and the file in {key}/ there: {key}={Path(value).stem}"
    return ConfigError(
        f"there is no such option{did_you_mean(name, options)}; options: {join_sorted(options)}",
        path=word,
        hint=hint,
        code="E103",
    )


def _bad_yaml(error: MarkedYAMLError) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or "it cannot be read"
    hint = "close brackets, braces and quotes, and put text that holds : or # in quotes"
    if "\\t" in problem:
        hint = "indent with spaces"
    elif "duplicate" in problem:
        hint = "write each key once"
    elif "tag" in problem:
        hint = "leave the tag out"
    elif error.context:
        problem = f"{problem} {error.context}"
    return ConfigError(problem, path=f"{mark.name}, line {mark.line + 1}" if mark else "", hint=hint, code="E116")


def _unreadable(error: UnicodeDecodeError | PermissionError, words: Sequence[str]) -> ConfigError:
    """A file of a folder of the user's that cannot be read, or is no text."""
    if isinstance(error, PermissionError):
        return ConfigError(
            f"cannot be read ({error.strerror})", path=str(error.filename), hint="check who may read it", code="E116"
        )
    files = (file for folder in dir_flags(words)[1::2] for file in sorted(Path(folder).rglob("*.yaml")))
    place = "a file of the configuration"
    for file in files:
        # The error holds what was read of the file in one piece.
        before, found, _ = _bytes(file).partition(error.object)
        if found:
            line = (before + error.object[: error.start]).count(b"\n") + 1
            place = f"{file}, line {line}"
            break
    return ConfigError("it is not written in UTF-8", path=place, hint="save it as UTF-8", code="E116")


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _folder_is_there() -> bool:
    try:
        return Path.cwd().is_dir()
    except OSError:
        return False


def _no_such_key(key: str) -> ConfigError:
    head, _, rest = key.partition(".")
    if not rest and head in _KEYS:
        message, hint = "the pipeline that is chosen has no such key", "leave it out, or choose one that has"
    else:
        part, _, after = rest.partition(".")
        near = [nearest(head, _KEYS), rest]
        if not rest and (groups := _groups_with(head)):
            near = [groups[0], head]
        if head == "pipeline":
            near = [head, nearest(part, ("name", "nodes")), after]
        meant = f" (did you mean {'.'.join(filter(None, near))!r}?)" if all(near[:-1]) else ""
        message = f"there is no such key{meant}; keys: {join_sorted(_KEYS)}"
        hint = "correct it; fields of nodes are set as pipeline.nodes.NODE.FIELD=VALUE"
        if head in ("hydra", "samples"):
            hint = f"correct it, or add it with a +: +{key}=..."
        elif rest and head not in _KEYS and not meant:
            hint = f"correct it; a field of a node is set as pipeline.nodes.{key}=..."
    return ConfigError(message, path=key, hint=hint, code="E104")


def _groups_with(field: str) -> list[str]:
    """Groups in whose files a field of that name stands."""
    from bmfgraph.nodes.base import Frozen
    from bmfgraph.nodes.engine import EngineOptions
    from bmfgraph.nodes.model import ModelSpec
    from bmfgraph.nodes.registry import spec_class

    groups: dict[str, type[Frozen]] = {
        **{"engine": EngineOptions, "encoder": spec_class("encoder")},
        **{"decoder": spec_class("decoder"), "model": ModelSpec},
    }
    return [group for group, cls in groups.items() if field in cls.model_fields]


def _misused(error: Exception, words: Sequence[str]) -> ConfigError | None:
    """Words that Hydra reads, and that do not do what they were meant to; None for other errors."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        word = str(error.override)
        word = word if word in words else word.removeprefix("++")
        hint = """values with = , spaces or brackets want two pairs of quotes, such as 'output="a=b.mp4"'"""
        if "=" not in word:
            hint = "write KEY=VALUE, or ~KEY to take something out"
        return ConfigError(f"{word!r} is no override", hint=hint, code="E105")
    if match := re.match(r"Ambiguous value for argument '(.+)'", text):
        return ConfigError(
            f"{match[1]!r} has several values",
            hint="add --multirun to run each of them; a list is written KEY=[a,b], and text with a comma 'KEY=\"a,b\"'",
            code="E105",
        )
    if match := re.match(r"Config group override must be a string", text):
        word = next((one for one in words if one.endswith(("=null", "=None"))), "a group")
        return ConfigError(
            "a group cannot be null", path=word, hint="leave it out, or choose one of its options", code="E103"
        )
    if match := re.match(r"Error merging override \+*([^=]+)=(.*)", text):
        cause = next(iter(str(error.__cause__ or "").splitlines()), "")
        return ConfigError(
            f"{match[2]} cannot be put there" + (f": {cause}" if cause else ""),
            path=match[1],
            hint="write a list where a list is, and a mapping where a mapping is",
            code="E105",
        )
    added = re.match(r"Multiple values for (\S+)\. |force-add of config groups|Could not append to config", text)
    word = next((one for one in words if one.startswith("+")), "") if added else ""
    if not word:
        return None
    return ConfigError(f"{word!r} adds what is there already", hint=f"leave the + out: {word.lstrip('+')}", code="E105")


def _uncomposed(error: Exception) -> ConfigError:
    """All else, in Hydra's words where there are no better ones."""
    if match := re.match(r"In '([^']+)': Could not override '([^'@]+)(@?)", str(error)):
        file, group, moved = match.groups()
        why = f"its defaults override /{group}, "
        if moved:
            why += "which works in files of the whole configuration only"
            hint = "put `# @package _global_` on its first line, and what it says of the pipeline under `pipeline:`"
        else:
            why += f"which is no group{did_you_mean(group, _GROUPS)}; groups: {join_sorted(_GROUPS)}"
            hint = "correct it in the file, or leave it out"
        return ConfigError(why, path=file, hint=hint, code="E106")
    if match := re.match(r"Additional config directory '(.+)' not found", str(error)):
        return ConfigError(
            "there is no such folder", path=f"--config-dir {match[1]!r}", hint="correct the path", code="E102"
        )
    first, *others = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return ConfigError(first, hint=" ".join(others) or "see python -m bmfgraph --help", code="E106")
