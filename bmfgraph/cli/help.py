"""What ``--help`` shows, of the whole and of each verb."""

from __future__ import annotations

import textwrap
from importlib import resources

__all__ = ["GROUPS", "PLAN_FORMATS", "VERBS", "VERB_FLAGS", "usage"]

GROUPS = ("pipeline", "model", "engine", "decoder", "encoder")
VERBS = {
    "run": "the default: build what engines are missing, run the pipeline",
    "check": "find everything that is wrong before a frame is decoded",
    "plan": "print the compiled pipeline: JSON, table, drawing; compare two",
    "build": "build the engines and run nothing",
    "engines": "list, show, verify and prune the engines that were built",
    "doctor": "what this machine can run, and how to mend it",
    "report": "show a sweep's report again, or that of several together",
    "schema": "the JSON Schema of pipeline files, for editors",
}
PLAN_FORMATS = {
    "--json": "the default: stable, made to be compared",
    "--table": "for people",
    "--mermaid": "a flowchart for Markdown",
    "--svg": "a drawing",
    "--png": "a drawing into --output",
    "--bmf": "the graph that BMF's own run_bmf_graph takes, for pipelines without nodes of bmfgraph's own",
}
"""How ``plan`` shows a pipeline."""
VERB_FLAGS: dict[str, dict[str, bool]] = {
    "check": {"--json": False},
    "plan": {**dict.fromkeys(PLAN_FORMATS, False), "--output": True},
}
"""The flags that a verb takes for itself, and whether a value follows."""

_HELP = """\
python -m bmfgraph [VERB] pipeline=NAME [GROUP=OPTION ...] [KEY=VALUE ...] [HYDRA FLAGS]

verbs (each has a --help of its own)
%s

examples
  python -m bmfgraph pipeline=super_resolution input=clip.mp4 output=clip_x2.mp4
  python -m bmfgraph -m pipeline=super_resolution engine=fp32,fp16 engine.batch=1,4          # a sweep
  python -m bmfgraph pipeline=super_resolution input=clip.mp4 model=vsr_x2_temporal encoder.crf=20
  python -m bmfgraph pipeline=face_detection 'input=${samples.carphone}' report=report.json
  python -m bmfgraph check pipeline=face_detection input=clip.mp4
  python -m bmfgraph build pipeline=super_resolution engine=fp16 input=clip.mp4

groups
%s

keys
  input       the clip to read (default: a sample clip)
  output      the file to write; its extension says the container
  device      auto, cpu or cuda: where models run
  report      write the run's report there, as JSON
  reference   a clip to measure the output's PSNR against
  target      check and plan for the machine that `doctor --json` described in that file
  progress    false: no progress bar          debug   true: tracebacks with errors
  pipeline.nodes.NODE.FIELD=VALUE             any field of any node

Hydra's flags
  --cfg job (show the composed configuration)   --config-dir DIR (add yours)   --multirun   --hydra-help

completion in the shell
  eval "$(bmfgraph --shell-completion install=bash)"          # zsh: install=zsh
  bmfgraph --shell-completion install=fish | source

exit codes: 0 done, 1 the run failed, 2 the configuration is wrong, 130 stopped by Ctrl-C
"""
_MORE = "groups, keys and Hydra's flags: python -m bmfgraph --help\n"
_OF_VERB = {
    "run": """\
python -m bmfgraph [run] pipeline=NAME [GROUP=OPTION ...] [KEY=VALUE ...]

Checks everything, builds the engines that are missing, and runs the pipeline. A file appears under its name only when
the whole run succeeded.

examples
  python -m bmfgraph pipeline=super_resolution input=clip.mp4 output=clip_x2.mp4
  python -m bmfgraph run pipeline=face_detection input=clip.mp4 output=faces.mp4 records=faces.csv
  python -m bmfgraph pipeline=super_resolution engine=fp16 decoder=nvdec report=report.json      # on an NVIDIA GPU

exit codes: 0 done, 1 the run failed, 2 the configuration is wrong, 130 stopped by Ctrl-C
""",
    "check": """\
python -m bmfgraph check [--json] pipeline=NAME [GROUP=OPTION ...] [KEY=VALUE ...]

Finds all errors and warnings at once, each with a code that docs/errors.md explains; no frame is decoded but the
input's first. Takes what `run` takes.

  --json      for programs
  target=F    for another machine: F is what `python -m bmfgraph doctor --json > F` wrote there

examples
  python -m bmfgraph check pipeline=face_detection input=clip.mp4
  python -m bmfgraph check pipeline=face_detection model=ultraface_rfb_640 'engine.input_shapes={input: 1x3x480x641}'
  python -m bmfgraph check --json pipeline=super_resolution engine=fp16 decoder=nvdec target=server.json

exit codes: 0 a run can begin (there may be warnings), 2 there are errors
""",
    "plan": """\
python -m bmfgraph plan [FORM] [--output FILE] pipeline=NAME [GROUP=OPTION ...] [KEY=VALUE ...]
python -m bmfgraph plan diff [--json] A B [what both have ...]

Prints what would run: nodes in order, what travels on every edge, runtimes, engines and shapes.

{}
  --output F  write there
  target=F    for another machine: F is what `python -m bmfgraph doctor --json > F` wrote there

examples
  python -m bmfgraph plan --table pipeline=super_resolution
  python -m bmfgraph plan --png --output plan.png pipeline=face_detection
  python -m bmfgraph plan diff engine=fp32 "engine=fp16 engine.batch=4" pipeline=super_resolution target=server.json

exit codes: 0 done (diff: the two are equal), 1 diff: they differ, 2 the configuration is wrong
""".format("\n".join(f"  {flag:<11} {about}" for flag, about in PLAN_FORMATS.items())),
    "build": """\
python -m bmfgraph build pipeline=NAME [GROUP=OPTION ...] [KEY=VALUE ...]

Builds the TensorRT engines that the pipeline needs and that the store lacks; runs nothing.

examples
  python -m bmfgraph build pipeline=super_resolution engine=fp16 input=clip.mp4
  python -m bmfgraph build pipeline=super_resolution engine=fp16 engine.runtime=tensorrt_rtx     # needs no GPU

exit codes: 0 done, 1 an engine cannot be built, 2 the configuration is wrong
""",
}


def usage(verb: str = "") -> str:
    """Help for a verb, or for all of bmfgraph."""
    if verb in _OF_VERB:
        return _OF_VERB[verb] + _MORE
    conf = resources.files("bmfgraph.conf")
    verbs = [f"  {name:<10}  {text}" for name, text in VERBS.items()]
    groups = []
    for group in GROUPS:
        options = sorted(file.name.removesuffix(".yaml") for file in (conf / group).iterdir())
        groups.append(textwrap.fill(f"  {group:<10}{', '.join(options)}", 110, subsequent_indent=" " * 12))
    return _HELP % ("\n".join(verbs), "\n".join(groups))
