"""The command line: an optional verb, then Hydra's group choices, overrides and flags."""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from bmfgraph import __version__
from bmfgraph.completion import complete
from bmfgraph.config import CONFIG_DIR, composed, composition_error, free_node_fields, literal_paths, plain
from bmfgraph.errors import BmfgraphError, Cancelled, ConfigError, did_you_mean, one_of
from bmfgraph.quiet import open_standard_streams
from bmfgraph.telling import tell
from bmfgraph.usage import TAKEN, VERBS, usage

__all__ = ["main"]

_WITH_VALUE = (
    "--config-dir",
    "-cd",
    "--config-path",
    "-cp",
    "--config-name",
    "-cn",
    "--cfg",
    "-c",
    "--package",
    "-p",
    "--experimental-rerun",
    "--shell-completion",
    "-sc",
)
"""Hydra's flags that are followed by a value."""
_INTERRUPTED = "interrupted (Ctrl-C)"
_OWN: dict[str, Callable[[], Callable[[Sequence[str]], int]]] = {
    "doctor": lambda: _imported("doctor", "doctor_command"),
    "engines": lambda: _imported("engines.listing", "engines_command"),
    "schema": lambda: _imported("schema", "schema_command"),
}
"""Verbs without a configuration: what takes the words after them."""


def main(arguments: Sequence[str] | None = None, *, heard: Sequence[int] = ()) -> None:
    """Run ``python -m bmfgraph ARGUMENTS`` and exit: 0 done, 1 the run failed, 2 the configuration is wrong.

    ``heard``: filled by the caller's signal handler; a signal in it ends the process before anything is run.
    """
    open_standard_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--version" in words:
        print(f"bmfgraph {__version__}")
        sys.exit(0)
    if words and words[0] in _OWN:
        sys.exit(_OWN[words[0]]()(words[1:]))
    try:
        code = _configured(words, heard)
        sys.stdout.flush()
    except ConfigError as error:
        tell(error.problems)
        code = error.exit_code
    except BrokenPipeError:
        # Whoever read the output has seen enough, and the interpreter shall not flush into the void on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 1
    sys.exit(code)


def _imported(module: str, name: str) -> Callable[[Sequence[str]], int]:
    import importlib

    command: Callable[[Sequence[str]], int] = getattr(importlib.import_module(f"bmfgraph.{module}"), name)
    return command


def _configured(words: list[str], heard: Sequence[int]) -> int:
    """A verb that takes a configuration. Raises ConfigError for words that make no sense."""
    if {"-sc", "--shell-completion"} & set(words):
        # The shell's line has the verb, too, and Hydra knows of none.
        return 0 if complete(words) else _compose_and_run(lambda _: 0, words, heard, tell)
    verb = _verb(words)
    if {"-h", "--help"} & set(words):
        print(usage(verb), end="")
        return 0
    verb = verb or "run"
    flags = _taken(verb, words)
    words = _flags_last(words)
    for flag, folder in itertools.pairwise(words):
        if flag in ("--config-dir", "-cd") and not Path(folder).is_dir():
            raise ConfigError(
                f"{flag} {folder!r}: there is no such folder",
                hint="correct it; it is relative to this folder",
                code="E102",
            )
    if verb == "plan" and words[:1] == ["diff"]:
        return _guarded(lambda: _diff(words[1:], flags), heard, debug=False)
    if words and "=" not in words[0] and not words[0].startswith(("-", "+", "~")):
        raise ConfigError(
            f"unknown word {words[0]!r}{did_you_mean(words[0], ('diff',))}",
            hint=f"python -m bmfgraph {verb} --help",
            code="E114",
        )
    told = _told_as_json if verb == "check" and "--json" in flags else tell
    if verb in ("check", "plan") and all(word in CONFIG_DIR for word in words if word.startswith("-")):
        # Hydra's main composes twice; whoever runs nothing need not wait for that.
        return _guarded(lambda: _do(verb, _composed(words), flags), heard, debug="debug=true" in words, told=told)
    return _compose_and_run(lambda data: _do(verb, data, flags), words, heard, told)


def _verb(words: list[str]) -> str:
    """Take the verb off the words; empty for none."""
    if not words or "=" in words[0] or words[0].startswith(("-", "+", "~")):
        return ""
    verb = words.pop(0)
    if verb not in VERBS:
        raise ConfigError(
            f"unknown verb {verb!r}{did_you_mean(verb, VERBS)}; verbs: {one_of(VERBS)}",
            hint="python -m bmfgraph --help",
            code="E101",
        )
    return verb


def _taken(verb: str, words: list[str]) -> dict[str, str]:
    """Take the verb's own flags off the words; each with its value, or an empty string."""
    found: dict[str, str] = {}
    for flag, valued in TAKEN.get(verb, {}).items():
        while flag in words:
            place = words.index(flag)
            if valued and place + 1 == len(words):
                raise ConfigError(f"{flag} needs a value", hint=f"python -m bmfgraph {verb} --help", code="E114")
            found[flag] = words[place + 1] if valued else ""
            del words[place : place + 1 + valued]
    return found


def _do(verb: str, data: dict[str, Any], flags: dict[str, str]) -> int:
    """Do what the verb says with one configuration. Only now is anything imported that only some verbs need."""
    if verb == "check":
        from bmfgraph.check import check_job

        return check_job(data, as_json="--json" in flags)
    if verb == "plan":
        from bmfgraph.planning import FORMS, plan_job

        forms = [flag for flag in flags if flag in FORMS]
        if len(forms) > 1:
            raise ConfigError(f"{' and '.join(forms)}: one form at a time", hint="leave one of them out", code="E114")
        plan_job(data, forms[0] if forms else "--json", flags.get("--output"))
        return 0
    from bmfgraph import job

    getattr(job, f"{verb}_job")(data)
    return 0


def _diff(words: list[str], flags: dict[str, str]) -> int:
    """``plan diff A B COMMON...``: A and B are overrides, several of them in quotes."""
    from bmfgraph.planning import diff_job

    if len(words) < 2:
        raise ConfigError(
            "diff takes two sets of overrides, and then what both have",
            path="plan",
            hint='plan diff engine=fp32 "engine=fp16 engine.batch=4" pipeline=super_resolution',
            code="E114",
        )
    first, second, *common = words
    datas = (_composed([*shlex.split(words), *common]) for words in (first, second))
    return diff_job(*datas, as_json="--json" in flags)


def _composed(words: Sequence[str]) -> dict[str, Any]:
    """What they compose. Raises ConfigError."""
    try:
        return composed(words)
    except BmfgraphError:
        raise
    except Exception as error:
        raise composition_error(error, words) from None


def _compose_and_run(
    do: Callable[[dict[str, Any]], int], words: list[str], heard: Sequence[int], told: Callable[..., None]
) -> int:
    codes: list[int] = []

    def task(config: DictConfig) -> None:
        codes.append(_guarded(lambda: do(plain(config)), heard, debug=bool(config.get("debug")), told=told))

    sys.argv = ["bmfgraph", *free_node_fields(literal_paths(words))]
    # With this set, Hydra lets exceptions out instead of printing them in its own way.
    traced = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra.main(version_base="1.3", config_path="pkg://bmfgraph.conf", config_name="config")(task)()
    except SystemExit as end:
        # argparse ends with 2 for a wrong flag, and has said why.
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except KeyboardInterrupt as why:
        tell(Cancelled(str(why) or _INTERRUPTED).problems)
        _stop_listening()
        return Cancelled.exit_code
    except BrokenPipeError:
        raise
    except Exception as error:
        if traced:
            raise
        told(composition_error(error, words).problems)
        return ConfigError.exit_code
    finally:
        if not traced:
            del os.environ["HYDRA_FULL_ERROR"]
    return max(codes, default=0)


def _flags_last(words: list[str]) -> list[str]:
    """Argparse takes overrides in one row only; people write them before and after ``--config-dir``."""
    flags: list[str] = []
    overrides: list[str] = []
    for word, before in zip(words, ["", *words], strict=False):
        (flags if word.startswith("-") or before in _WITH_VALUE else overrides).append(word)
    return overrides + flags


def _listen(heard: Sequence[int]) -> None:
    """From here on signals interrupt at once; one that came before does so now."""
    with contextlib.suppress(ValueError):
        # Not on the main thread: whoever called has the signals.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, _terminated)
    if heard:
        raise KeyboardInterrupt("terminated" if heard[0] == signal.SIGTERM else "")


def _terminated(*_: Any) -> None:
    raise KeyboardInterrupt("terminated")


def _stop_listening() -> None:
    """The process is on its way out: one more signal could only spoil its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError):
            signal.signal(number, signal.SIG_IGN)


def _told_as_json(problems: Any) -> None:
    from bmfgraph.check import show_problems

    show_problems(list(problems), as_json=True)


def _guarded(do: Callable[[], int], heard: Sequence[int], *, debug: bool, told: Callable[..., None] = tell) -> int:
    """Do it; every failure becomes messages and an exit code."""
    _listen(heard)
    try:
        return do()
    except BmfgraphError as error:
        failed = error
        trace = getattr(error, "trace", "") or traceback.format_exc()
    except BrokenPipeError:
        raise
    except Exception as error:
        failed = BmfgraphError(
            f"{type(error).__name__}: {error}",
            hint="this should have been told better: please report it, with what debug=true shows",
            code="E899",
        )
        trace = traceback.format_exc()
    if debug and sys.stderr is not None:
        sys.stderr.write(trace)
    told(failed.problems)
    if getattr(failed, "abandoned", False):
        # A node hangs in native code, and so would the interpreter's own end.
        os._exit(failed.exit_code)
    if isinstance(failed, Cancelled):
        # Not only this run of a sweep.
        _stop_listening()
        sys.exit(failed.exit_code)
    return failed.exit_code
