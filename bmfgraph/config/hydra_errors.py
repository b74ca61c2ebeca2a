"""Translate errors of Hydra and OmegaConf into ConfigError."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    GrammarParseError,
    InterpolationKeyError,
    InterpolationResolutionError,
    OmegaConfBaseException,
)
from yaml import MarkedYAMLError

from bmfgraph import error_codes as codes
from bmfgraph.config.job import GROUPS
from bmfgraph.config.overrides import dir_flags, hydra_overrides, key_and_value, packaged_options
from bmfgraph.errors import ConfigError, did_you_mean, join_sorted, nearest

__all__ = ["composition_error", "unresolved"]


def _unknown_key_error(config: DictConfig, error: InterpolationKeyError) -> ConfigError:
    first = str(error.msg).splitlines()[0]
    match = re.match(r"Interpolation key '([^']+)' not found", first)
    place: Any = OmegaConf.to_container(config, resolve=False)
    known: list[str] = []
    for part in match[1].split(".") if match else ():
        if not isinstance(place, dict) or part not in place:
            break
        known.append(part)
        place = place[part]
    if match and not known and (group := match[1].partition(".")[0]) in GROUPS:
        return ConfigError(
            f"needs a value: {error.full_key} uses it, and no {group} is chosen; options: "
            + join_sorted(packaged_options(group)),
            path=group,
            hint=f"add {group}=... to the command line, or bring your own with --config-dir",
            code=codes.MISSING_CONFIG_VALUE,
        )
    if match and isinstance(place, dict):
        part, keys = match[1].split(".")[len(known)], [str(key) for key in place]
        where = ".".join(known) or "the configuration"
        first = f"${{{match[1]}}} names nothing: {where} has no {part!r}{did_you_mean(part, keys)}; it has: "
        first += join_sorted(keys)
    return ConfigError(
        first,
        path=str(error.full_key),
        hint="correct the ${...}, or define what it names",
        code=codes.UNKNOWN_INTERPOLATION_KEY,
    )


def unresolved(config: DictConfig, error: OmegaConfBaseException) -> ConfigError:
    """Translate an error of resolving the configuration's ``${...}``."""
    text = re.sub(r"^\w+ raised while resolving interpolation: ", "", str(error.msg or error).splitlines()[0])
    if re.search(r"'pipeline\.name'|Index 'name'", text):
        # A key that refers to the name fails before the pipeline itself is checked.
        return ConfigError(
            "is missing: the file that was chosen with pipeline=... describes no pipeline",
            path="pipeline.name",
            hint="write `name:` and `nodes:` in it; under `pipeline:` where it begins with `# @package _global_`",
            code=codes.MISSING_CONFIG_VALUE,
        )
    if isinstance(error, InterpolationKeyError):
        return _unknown_key_error(config, error)
    hint = "correct the ${...}"
    if "nvironment variable" in text:
        hint = "export it, or give a default: ${oc.env:NAME,VALUE}"
    elif text.startswith("HydraConfig was not set"):
        text, hint = (
            "${hydra:...} has no value before a run begins",
            "leave it out: a sweep's runs have their own folders",
        )
    elif text.startswith("maximum recursion depth"):
        text, hint = "its ${...} leads through too many others", "refer to the last value of that chain"
    elif text.startswith("Recursive"):
        text, hint = "its ${...} leads back to itself", "give one of the keys in that cycle a value"
    elif match := re.match(r"Unsupported interpolation type (\S+)", text):
        text = f"there is no resolver {match[1]!r}"
        hint = "write ${KEY} for another value, or ${oc.env:NAME} for an environment variable"
    return ConfigError(
        text.strip('"'), path=str(error.full_key or "config"), hint=hint, code=codes.INVALID_INTERPOLATION
    )


def composition_error(error: Exception, arguments: Sequence[str] = ()) -> ConfigError:
    """Translate an error of Hydra's composition.

    Args:
        error: The error.
        arguments: Overrides and flags of the command line, as the user wrote them.
    """
    if isinstance(error, ConfigError):
        return error
    if isinstance(error, MarkedYAMLError):
        return _bad_yaml(error)
    syntax = error if isinstance(error, GrammarParseError) else error.__cause__
    if isinstance(syntax, GrammarParseError):
        return ConfigError(
            f"a ${{...}} cannot be read: {str(syntax.msg).splitlines()[0]}",
            path=str(syntax.full_key or "config"),
            hint="close its braces, and put text that holds ${ otherwise in quotes, as \\${",
            code=codes.INVALID_INTERPOLATION,
        )
    if isinstance(error, InterpolationResolutionError):
        return ConfigError(
            str(error.msg or error).splitlines()[0],
            path=str(error.full_key or "the configuration"),
            hint="correct the ${...}",
            code=codes.INVALID_INTERPOLATION,
        )
    if isinstance(error, FileNotFoundError) and not _current_folder_exists():
        return ConfigError(
            "the current folder does not exist any more", hint="cd into one that does", code=codes.COMPOSITION_FAILURE
        )
    if isinstance(error, PermissionError):
        return ConfigError(
            f"cannot be read ({error.strerror})",
            path=str(error.filename),
            hint="check who may read it",
            code=codes.UNREADABLE_CONFIG_FILE,
        )
    if isinstance(error, RecursionError):
        return ConfigError(
            "a defaults list leads back to its own file, or a value is nested too deeply",
            path="the configuration",
            hint="take the file out of its own defaults list, or write the value flatter",
            code=codes.COMPOSITION_FAILURE,
        )
    if match := re.match(r"You must specify '([^']+)'", str(error)):
        key, options = match[1], re.findall(r"^\s+(\S+)", str(error), re.MULTILINE)
        near = [argument for argument in arguments if did_you_mean(key_and_value(argument)[0], [key])]
        return ConfigError(
            f"needs a value, and {f'{near[0]!r} gives it none' if near else 'the command line gives it none'}; "
            f"options: {join_sorted(options)}",
            path=key,
            hint=f"write {key}={key_and_value(near[0])[1]}" if near else f"add {key}=... to the command line",
            code=codes.MISSING_CONFIG_VALUE,
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        return _no_such_option(error.missing_cfg_file, error.options, arguments)
    if match := re.match(r"Could not override '([^']+)'\.", str(error)):
        added = re.search(r"To append to your default list use (\+\S+)", str(error))
        if not added:
            return _no_such_key(match[1], arguments)
        return ConfigError(
            "this group is added with a +", path=match[1], hint=f"write {added[1]}", code=codes.INVALID_OVERRIDE
        )
    if match := re.match(r"Could not delete from config\. '([^']+)' does not exist", str(error)):
        key = match[1]
        return ConfigError(
            "there is no such key to take out", path=key, hint=f"leave ~{key} out", code=codes.UNKNOWN_CONFIG_KEY
        )
    return _misused(error, arguments) or _uncomposed(error)


def _no_such_option(file: str, options: Sequence[str], arguments: Sequence[str]) -> ConfigError:
    group, _, name = file.rpartition("/")
    choices = (argument for argument in arguments if argument.replace("=", "/", 1).lstrip("+") == file)
    choice = next(choices, f"{group}={name}")
    key, value = key_and_value(choice.lstrip("+"))
    hint = "choose one of them, or bring your own with --config-dir"
    if key == "model" and value.endswith(".onnx"):
        hint = f"choose the option that describes its tensors, and add model.file={value}"
    elif "/" in value:
        hint = f"name its folder with --config-dir, and the file in {key}/ there: {key}={Path(value).stem}"
    return ConfigError(
        f"there is no such option{did_you_mean(name, options)}; options: {join_sorted(options)}",
        path=choice,
        hint=hint,
        code=codes.UNKNOWN_GROUP_OPTION,
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
    return ConfigError(
        problem, path=f"{mark.name}, line {mark.line + 1}" if mark else "", hint=hint, code=codes.UNREADABLE_CONFIG_FILE
    )


def _current_folder_exists() -> bool:
    try:
        return Path.cwd().is_dir()
    except OSError:
        return False


def _no_such_key(key: str, arguments: Sequence[str]) -> ConfigError:
    head, _, rest = key.partition(".")
    known = _composed_keys(head, arguments)
    part, _, after = rest.partition(".")
    near = [nearest(head, known), rest]
    if not rest and (groups := _groups_with(head)):
        near = [groups[0], head]
    if head == "pipeline":
        near = [head, nearest(part, ("name", "nodes")), after]
    suggestion = f" (did you mean {'.'.join(filter(None, near))!r}?)" if all(near[:-1]) else ""
    hint = "correct it; fields of nodes are set as pipeline.nodes.NODE.FIELD=VALUE"
    if head in ("hydra", "samples"):
        hint = f"correct it, or add it with a +: +{key}=..."
    elif rest and head not in known and not suggestion:
        hint = f"correct it; a field of a node is set as pipeline.nodes.{key}=..."
    elif not rest and not suggestion:
        hint = "leave it out, or choose a pipeline that defines it; fields of nodes are pipeline.nodes.NODE.FIELD"
    return ConfigError(
        f"there is no such key{suggestion}; keys: {join_sorted(known)}",
        path=key,
        hint=hint,
        code=codes.UNKNOWN_CONFIG_KEY,
    )


def _composed_keys(wrong: str, arguments: Sequence[str]) -> list[str]:
    """List the top-level keys of the configuration that the other arguments compose, a pipeline's own keys included."""
    dirs = dir_flags(arguments)
    overrides = [argument for argument in arguments if "=" in argument or argument.startswith("~")]
    chosen = [override.partition(",")[0] for override in overrides if override.startswith("pipeline=")]
    # Another override may be wrong, too: then the chosen pipeline alone is composed.
    others = [override for override in overrides if key_and_value(override)[0].partition(".")[0] != wrong]
    for kept in (others, chosen):
        try:
            with initialize_config_module("bmfgraph.conf", version_base="1.3"):
                return [str(key) for key in compose("config", hydra_overrides([*kept, *dirs]))]
        except HydraException:
            continue
    return []


def _groups_with(field: str) -> list[str]:
    """List the groups that have a field of that name."""
    from bmfgraph.nodes.base import Frozen
    from bmfgraph.nodes.engine import EngineOptions
    from bmfgraph.nodes.model import ModelSpec
    from bmfgraph.nodes.registry import spec_class

    groups: dict[str, type[Frozen]] = {
        **{"engine": EngineOptions, "encoder": spec_class("encoder")},
        **{"decoder": spec_class("decoder"), "model": ModelSpec},
    }
    return [group for group, cls in groups.items() if field in cls.model_fields]


def _misused(error: Exception, arguments: Sequence[str]) -> ConfigError | None:
    """Translate an error of an override that Hydra reads in another way than the user meant; None for other errors."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        return _not_an_override(str(error.override), arguments)
    if match := re.match(r"Ambiguous value for argument '(.+)'", text):
        return ConfigError(
            f"{match[1]!r} has several values",
            hint="add --multirun to run each of them; a list is written KEY=[a,b], and text with a comma 'KEY=\"a,b\"'",
            code=codes.INVALID_OVERRIDE,
        )
    if match := re.match(r"Config group override must be a string", text):
        choice = next((argument for argument in arguments if argument.endswith(("=null", "=None"))), "a group")
        return ConfigError(
            "a group cannot be null",
            path=choice,
            hint="leave it out, or choose one of its options",
            code=codes.UNKNOWN_GROUP_OPTION,
        )
    if match := re.match(r"Error merging override \+*([^=]+)=(.*)", text):
        cause = next(iter(str(error.__cause__ or "").splitlines()), "")
        return ConfigError(
            f"{match[2]} cannot be put there" + (f": {cause}" if cause else ""),
            path=match[1],
            hint="write a list where a list is, and a mapping where a mapping is",
            code=codes.INVALID_OVERRIDE,
        )
    added = re.match(r"Multiple values for (\S+)\. |force-add of config groups|Could not append to config", text)
    override = next((argument for argument in arguments if argument.startswith("+")), "") if added else ""
    if not override:
        return None
    return ConfigError(
        f"{override!r}: the key already exists; drop the '+'",
        hint=f"write {override.lstrip('+')}",
        code=codes.INVALID_OVERRIDE,
    )


def _not_an_override(override: str, arguments: Sequence[str]) -> ConfigError:
    override = override if override in arguments else override.removeprefix("++")
    key, value = key_and_value(override)
    hint = """values with = , spaces or brackets need two pairs of quotes, such as 'output="a=b.mp4"'"""
    if "=" not in override:
        hint = "write KEY=VALUE, or ~KEY to remove something"
    elif key.lstrip("+") in GROUPS and re.fullmatch(r"[\w.-]+", value):
        hint = f"""a name with other letters than a to z needs two pairs of quotes: '{key}="{value}"'"""
    return ConfigError(f"{override!r} is not an override", hint=hint, code=codes.INVALID_OVERRIDE)


def _uncomposed(error: Exception) -> ConfigError:
    """Translate all other errors; Hydra's own text is the last resort."""
    if match := re.match(r"In '([^']+)': Could not override '([^'@]+)(@?)", str(error)):
        file, group, moved = match.groups()
        why = f"its defaults override /{group}, "
        if moved:
            why += "which works in files of the whole configuration only"
            hint = "put `# @package _global_` on its first line, and the keys of the pipeline under `pipeline:`"
        else:
            why += f"which is not a group{did_you_mean(group, GROUPS)}; groups: {join_sorted(GROUPS)}"
            hint = "correct it in the file, or leave it out"
        return ConfigError(why, path=file, hint=hint, code=codes.COMPOSITION_FAILURE)
    if match := re.match(r"Additional config directory '(.+)' not found", str(error)):
        return ConfigError(
            "there is no such folder",
            path=f"--config-dir {match[1]!r}",
            hint="correct the path",
            code=codes.MISSING_CONFIG_FOLDER,
        )
    first, *others = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return ConfigError(first, hint=" ".join(others) or "see python -m bmfgraph --help", code=codes.COMPOSITION_FAILURE)
