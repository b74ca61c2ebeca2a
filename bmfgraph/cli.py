"""The command line: an optional verb, then Hydra's group choices, overrides and flags."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from bmfgraph import __version__
from bmfgraph.config import composition_error, free_node_fields, literal_paths, plain
from bmfgraph.errors import BmfgraphError, Cancelled, ConfigError, did_you_mean, one_of
from bmfgraph.quiet import open_standard_streams
from bmfgraph.sources import say

__all__ = ["main"]

VERBS = ("run", "build", "plan", "engines")
_GROUPS = ("pipeline", "model", "engine", "decoder", "encoder")
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
)
"""Hydra's flags that are followed by a value."""
_INTERRUPTED = "interrupted (Ctrl-C)"
_HELP = """\
python -m bmfgraph [VERB] pipeline=NAME [GROUP=OPTION ...] [KEY=VALUE ...] [HYDRA FLAGS]

verbs
  run         the default: build what engines are missing, run the pipeline
  build       build the engines and run nothing
  plan        print the compiled pipeline as JSON
  engines     list, show, verify and prune the engines that were built; has a --help of its own

examples
  python -m bmfgraph pipeline=super_resolution input=clip.mp4 output=clip_x2.mp4
  python -m bmfgraph pipeline=super_resolution input=clip.mp4 model=vsr_x2_temporal encoder.crf=20
  python -m bmfgraph pipeline=face_detection 'input=${samples.carphone}' report=report.json
  python -m bmfgraph build pipeline=super_resolution engine=fp16 input=clip.mp4
  python -m bmfgraph --config-dir my_conf pipeline=my_pipeline input=clip.mp4

groups
%s

keys
  input       the clip to read (default: a sample clip)
  output      the file to write; its extension says the container
  device      auto, cpu or cuda: where models run
  report      write the run's report there, as JSON
  reference   a clip to measure the output's PSNR against
  progress    false: no progress bar          debug   true: tracebacks with errors
  pipeline.nodes.NODE.FIELD=VALUE             any field of any node

Hydra's flags
  --cfg job (show the composed configuration)   --config-dir DIR (add yours)   --multirun   --hydra-help
"""


def main(arguments: Sequence[str] | None = None, *, heard: Sequence[int] = ()) -> None:
    """Run ``python -m bmfgraph ARGUMENTS`` and exit: 0 done, 1 the run failed, 2 the configuration is wrong.

    ``heard``: filled by the caller's signal handler; a signal in it ends the process before anything is run.
    """
    open_standard_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--version" in words:
        print(f"bmfgraph {__version__}")
        sys.exit(0)
    if words[:1] == ["engines"]:
        from bmfgraph.engines.listing import engines_command

        sys.exit(engines_command(words[1:]))
    if {"-h", "--help"} & set(words):
        print(_help(), end="")
        sys.exit(0)
    verb = VERBS[0]
    words = _flags_last(words)
    if words and "=" not in words[0] and not words[0].startswith(("-", "+", "~")):
        verb = words.pop(0)
        if verb not in VERBS:
            say(f"unknown verb {verb!r}{did_you_mean(verb, VERBS)}; verbs: {one_of(VERBS)}")
            sys.exit(2)
    for flag, folder in itertools.pairwise(words):
        if flag in ("--config-dir", "-cd") and not Path(folder).is_dir():
            say(f"error: {flag} {folder!r}: there is no such folder\n  → correct it; it is relative to this folder")
            sys.exit(2)
    sys.exit(_compose_and_run(verb, words, heard))


def _help() -> str:
    conf = resources.files("bmfgraph.conf")
    lines = []
    for group in _GROUPS:
        options = sorted(file.name.removesuffix(".yaml") for file in (conf / group).iterdir())
        lines.append(f"  {group:<10}{', '.join(options)}")
    return _HELP % "\n".join(lines)


def _compose_and_run(verb: str, words: list[str], heard: Sequence[int]) -> int:
    codes: list[int] = []

    def task(config: DictConfig) -> None:
        codes.append(_guarded(verb, config, heard))

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
        say(f"error: {Cancelled(str(why) or _INTERRUPTED)}")
        _stop_listening()
        return Cancelled.exit_code
    except Exception as error:
        if traced:
            raise
        say(f"error: {composition_error(error)}")
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


def _guarded(verb: str, config: DictConfig, heard: Sequence[int]) -> int:
    """Do what the verb says with one configuration; every failure becomes one message and an exit code."""
    debug = bool(config.get("debug"))
    # Only now: `--help` and a mistyped key need none of it.
    from bmfgraph import job

    _listen(heard)
    try:
        getattr(job, f"{verb}_job")(plain(config))
    except BmfgraphError as error:
        failed = error
        trace = getattr(error, "trace", "") or traceback.format_exc()
    except Exception as error:
        failed = BmfgraphError(
            f"{type(error).__name__}: {error}",
            hint="this should have been told better: please report it, with what debug=true shows",
        )
        trace = traceback.format_exc()
    else:
        return 0
    if debug and sys.stderr is not None:
        sys.stderr.write(trace)
    say(f"error: {failed}")
    if getattr(failed, "abandoned", False):
        # A node hangs in native code, and so would the interpreter's own end.
        os._exit(failed.exit_code)
    if isinstance(failed, Cancelled):
        # Not only this run of a sweep.
        _stop_listening()
        sys.exit(failed.exit_code)
    return failed.exit_code
