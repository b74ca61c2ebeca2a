"""The one place that knows Hydra and OmegaConf: from a composed config to plain data."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import GrammarParseError, InterpolationKeyError, MissingMandatoryValue, OmegaConfBaseException
from yaml import MarkedYAMLError

from bmfgraph.errors import ConfigError, did_you_mean, nearest, one_of

__all__ = [
    "CONFIG_DIR",
    "Grid",
    "composed",
    "composition_error",
    "expanded",
    "free_node_fields",
    "literal_paths",
    "plain",
    "sweeps",
]

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
    folders = [folder for flag, folder in itertools.pairwise(words) if flag in CONFIG_DIR]
    overrides = [
        word for before, word in zip(["", *words], words, strict=False) if not {before, word} & set(CONFIG_DIR)
    ]
    search = [f"hydra.searchpath=[{','.join(f'file://{Path(folder).absolute()}' for folder in folders)}]"]
    with initialize_config_module("bmfgraph.conf", version_base="1.3"):
        return plain(compose("config", [*free_node_fields(literal_paths(overrides)), *(search if folders else [])]))


@dataclass(frozen=True)
class Grid:
    """The runs that a sweep's words stand for."""

    runs: tuple[tuple[str, ...], ...]
    """Overrides of each."""
    varied: tuple[dict[str, str], ...]
    """What differs between them: key and value, in the order of the words."""
    enumerated: bool
    """False: a sweeper of another kind chooses the runs as it goes."""


def expanded(words: Sequence[str]) -> Grid:
    """The runs of a sweep, from the words of its command line and the ``params`` of presets. Raises as Hydra does."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    folders = [folder for flag, folder in itertools.pairwise(words) if flag in CONFIG_DIR]
    search = [f"hydra.searchpath=[{','.join(f'file://{Path(folder).absolute()}' for folder in folders)}]"]
    given = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if not {before, word} & set(CONFIG_DIR) and word not in ("-m", "--multirun")
    ]
    given = literal_paths(["-m", *given])[1:]
    parser = OverridesParser.create()
    parsed = parser.parse_overrides(free_node_fields(given))
    # One run of them says which sweeper there is, and what presets add.
    first = [_choices(one)[0] for one in parsed]
    with initialize_config_module("bmfgraph.conf", version_base="1.3"):
        hydra = compose("config", [*first, *(search if folders else [])], return_hydra_config=True).hydra
    basic = str(hydra.sweeper.get("_target_", "")).endswith("BasicSweeper")
    params = [f"{key}={value}" for key, value in (hydra.sweeper.get("params") or {}).items()]
    axes: dict[str, list[str]] = {}
    for one in (*parser.parse_overrides(free_node_fields(params)), *parsed):
        # As Hydra's own sweeper has it: words overrule presets.
        axes.pop(str(one.get_key_element()), None)
        axes[str(one.get_key_element())] = _choices(one)
    runs = tuple(itertools.product(*axes.values()))
    several = [place for place, choices in enumerate(axes.values()) if len(choices) > 1]
    varied = tuple(dict(_named(run[place]) for place in several) for run in runs)
    return Grid(runs, varied, basic)


def _choices(override: Any) -> list[str]:
    """An override as it is written, once for each of the values that it sweeps over."""
    if override.is_sweep_override() and override.is_discrete_sweep():
        return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
    return [str(override.input_line)]


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
        raise _unresolved(config, error) from None
    assert isinstance(data, dict)
    return {str(key): value for key, value in data.items()}


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
        first += one_of(keys)
    return ConfigError(first, path=str(error.full_key), hint="correct the ${...}, or define what it names", code="E108")


def _unresolved(config: DictConfig, error: OmegaConfBaseException) -> ConfigError:
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
    if match := re.match(r"You must specify '([^']+)'", str(error)):
        key, options = match[1], re.findall(r"^\s+(\S+)", str(error), re.MULTILINE)
        near = [word for word in words if did_you_mean(word.partition("=")[0], [key])]
        return ConfigError(
            f"needs a value, and {f'{near[0]!r} gives it none' if near else 'the command line gives it none'}; "
            f"options: {one_of(options)}",
            path=key,
            hint=f"add {key}=... to the command line",
            code="E107",
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return ConfigError(
            f"there is no such option{did_you_mean(name, error.options)}; options: {one_of(error.options)}",
            path=f"{group}={name}",
            hint="choose one of them, or bring your own with --config-dir",
            code="E103",
        )
    if match := re.match(r"Could not override '([^']+)'\.", str(error)):
        added = re.search(r"To append to your default list use (\+\S+)", str(error))
        if not added:
            return _no_such_key(match[1])
        return ConfigError("this group is added with a +", path=match[1], hint=f"write {added[1]}", code="E105")
    if match := re.match(r"Could not delete from config\. '([^']+)' does not exist", str(error)):
        key = match[1]
        return ConfigError("there is no such key to take out", path=key, hint=f"leave ~{key} out", code="E104")
    return _misused(error, words) or _uncomposed(error)


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
        if head == "pipeline":
            near = [head, nearest(part, ("name", "nodes")), after]
        meant = f" (did you mean {'.'.join(filter(None, near))!r}?)" if all(near[:-1]) else ""
        message = f"there is no such key{meant}; keys: {one_of(_KEYS)}"
        hint = "correct it; fields of nodes are set as pipeline.nodes.NODE.FIELD=VALUE"
        if rest and head not in _KEYS and not meant:
            hint = f"correct it; a field of a node is set as pipeline.nodes.{key}=..."
    return ConfigError(message, path=key, hint=hint, code="E104")


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
            why += f"which is no group{did_you_mean(group, _GROUPS)}; groups: {one_of(_GROUPS)}"
            hint = "correct it in the file, or leave it out"
        return ConfigError(why, path=file, hint=hint, code="E106")
    if match := re.match(r"Additional config directory '(.+)' not found", str(error)):
        return ConfigError(
            "there is no such folder", path=f"--config-dir {match[1]!r}", hint="correct the path", code="E102"
        )
    first, *others = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return ConfigError(first, hint=" ".join(others) or "see python -m bmfgraph --help", code="E106")
