"""The command line: an optional verb, then Hydra's group choices, overrides and flags."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from bmfgraph.config import free_node_fields, plain
from bmfgraph.errors import BmfgraphError, ConfigError, did_you_mean, one_of
from bmfgraph.progress import shown_progress
from bmfgraph.sources import say

__all__ = ["main"]

VERBS = ("run",)
_GROUPS = ("pipeline", "model", "engine", "decoder", "encoder")
_HELP = """\
python -m bmfgraph [run] pipeline=NAME [GROUP=OPTION ...] [KEY=VALUE ...] [HYDRA FLAGS]

  python -m bmfgraph pipeline=super_resolution input=clip.mp4 output=clip_x2.mp4
  python -m bmfgraph pipeline=super_resolution input=clip.mp4 model=vsr_x2_temporal encoder.crf=20
  python -m bmfgraph pipeline=face_detection 'input=${samples.carphone}' report=report.json
  python -m bmfgraph --config-dir my_conf pipeline=my_pipeline input=clip.mp4

groups
%s

keys
  input       the clip to read (default: a sample clip)
  output      the file to write; its extension says the container
  report      write the run's report there, as JSON
  reference   a clip to measure the output's PSNR against
  progress    false: no progress bar          debug   true: tracebacks with errors
  pipeline.nodes.NODE.FIELD=VALUE             any field of any node

Hydra's flags
  --cfg job (show the composed configuration)   --config-dir DIR (add yours)   --multirun   --hydra-help
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``python -m bmfgraph ARGUMENTS`` and exit: 0 done, 1 the run failed, 2 the configuration is wrong."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if {"-h", "--help"} & set(words):
        print(_help(), end="")
        sys.exit(0)
    if words and "=" not in words[0] and not words[0].startswith(("-", "+", "~")):
        verb = words.pop(0)
        if verb not in VERBS:
            say(f"unknown verb {verb!r}{did_you_mean(verb, VERBS)}; verbs: {one_of(VERBS)}")
            sys.exit(2)
    sys.exit(_compose_and_run(words))


def _help() -> str:
    conf = resources.files("bmfgraph.conf")
    lines = []
    for group in _GROUPS:
        options = sorted(file.name.removesuffix(".yaml") for file in (conf / group).iterdir())
        lines.append(f"  {group:<10}{', '.join(options)}")
    return _HELP % "\n".join(lines)


def _compose_and_run(words: list[str]) -> int:
    codes: list[int] = []

    def task(config: DictConfig) -> None:
        codes.append(_guarded(config))

    sys.argv = ["bmfgraph", *free_node_fields(words)]
    try:
        hydra.main(version_base="1.3", config_path="pkg://bmfgraph.conf", config_name="config")(task)()
    except SystemExit as end:
        # Hydra ends with 1 when it cannot compose the configuration, and has said why.
        return 2 if end.code and not codes else int(end.code or max(codes, default=0))
    return max(codes, default=0)


def _guarded(config: DictConfig) -> int:
    """Run one configuration; every failure becomes one message and an exit code."""
    debug = bool(config.get("debug"))
    try:
        _run(config)
    except BmfgraphError as error:
        if debug:
            sys.stderr.write(getattr(error, "trace", "") or traceback.format_exc())
        say(f"error: {error}")
        if getattr(error, "abandoned", False):
            # A node hangs in native code, and so would the interpreter's own end.
            sys.stderr.flush()
            os._exit(error.exit_code)
        return error.exit_code
    return 0


def _run(config: DictConfig) -> None:
    from bmfgraph.compile import compile_pipeline
    from bmfgraph.report import make_report, summary
    from bmfgraph.run import run_plan
    from bmfgraph.spec import parse_pipeline

    data = plain(config)
    plan = compile_pipeline(parse_pipeline(data["pipeline"]))
    report = _report_path(data.get("report"))
    with shown_progress(plan.name, bool(data.get("progress"))) as progress:
        outcome = run_plan(plan, progress=progress, announce=say)
    quality = _quality(data.get("reference"), outcome.outputs)
    if report:
        text = json.dumps(make_report(outcome, {key: data[key] for key in data if key != "samples"}, quality), indent=2)
        _write(report, text + "\n")
    for line in (*outcome.warnings, *summary(outcome)):
        say(line)
    if quality:
        say(f"luma PSNR against {quality['reference']}: {quality['psnr_y']:.2f} dB")


def _report_path(value: Any) -> Path | None:
    """Where the report goes; refused before a frame is decoded if it cannot be written."""
    if value is None:
        return None
    path = Path(str(value))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"report: {str(path)!r} cannot be written ({error.strerror})") from None
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ConfigError(f"report: {str(path)!r} cannot be written", hint="name a file in a folder of yours")
    return path


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _quality(reference: Any, outputs: tuple[Path, ...]) -> dict[str, Any] | None:
    if reference is None:
        return None
    from bmfgraph.quality import measure
    from bmfgraph.sources import locate

    videos = [path for path in outputs if path.suffix.lower() not in (".jsonl", ".ndjson", ".json", ".csv")]
    return measure(videos[0], locate(str(reference))) if videos else None
