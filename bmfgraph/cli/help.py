"""Hold the texts of ``--help``, for the whole program and for each verb."""

from __future__ import annotations

import textwrap

from bmfgraph.config.overrides import packaged_options

__all__ = ["FLAGS", "GROUPS", "HELP", "PLAN_FORMATS", "VERBS", "usage"]

GROUPS = ("pipeline", "model", "engine", "decoder", "encoder")
VERBS = {
    "run": "the default: build missing engines, run the pipeline",
    "batch": "run a pipeline over many clips; the same command goes on where an earlier one ended",
    "check": "find everything that is wrong before a frame is decoded",
    "plan": "print the compiled pipeline: JSON, table, drawing; compare two",
    "build": "build the engines and run nothing",
    "engines": "list, show, verify and prune the engines that were built",
    "model": "write the YAML of a model's file, try it on a picture, compare it with its origin",
    "doctor": "what this machine can run, and how to fix what it cannot",
    "report": "write a sweep's report again, or one report of several sweeps",
    "schema": "the JSON Schema of pipeline files, for editors",
}
PLAN_FORMATS = {
    "--json": "the default: stable, made to be compared",
    "--table": "for people",
    "--mermaid": "a flowchart for Markdown",
    "--svg": "a drawing",
    "--png": "a drawing into --output",
    "--bmf": "the graph that BMF's own run_bmf_graph takes, for pipelines without bmfgraph's own nodes",
}
"""The forms in which ``plan`` prints a pipeline."""
FLAGS = "{flags}"
"""Place of a verb's flags in its help."""

_WHOLE = """\
python -m bmfgraph [VERB] pipeline=NAME [GROUP=OPTION ...] [KEY=VALUE ...] [HYDRA FLAGS]

verbs (each has a --help of its own)
{verbs}

examples
  python -m bmfgraph pipeline=super_resolution input=clip.mp4 output=clip_x2.mp4
  python -m bmfgraph -m pipeline=super_resolution engine=fp32,fp16 engine.batch=1,4          # a sweep
  python -m bmfgraph pipeline=super_resolution input=clip.mp4 model=vsr_x2_temporal encoder.crf=20
  python -m bmfgraph pipeline=face_detection 'input=${samples.carphone}' report=report.json
  python -m bmfgraph check pipeline=face_detection input=clip.mp4
  python -m bmfgraph build pipeline=super_resolution engine=fp16 input=clip.mp4

groups
{groups}

keys
  input       the clip to read (default: a sample clip)
  output      the file to write; its extension sets the container
  device      auto, cpu or cuda: where models run
  report      write the run's report there, as JSON
  reference   a clip to measure the output's PSNR against
  target      check and plan for the machine that `doctor --json` described in that file
  policy      deny: licences that no model may have, such as policy.deny=[AGPL-3.0]
  progress    false: no progress bar          debug   true: tracebacks with errors
  pipeline.nodes.NODE.FIELD=VALUE             any field of any node

Hydra's flags
  --cfg job (show the composed configuration)   --config-dir DIR (add yours)   --multirun   --hydra-help

completion in the shell
  eval "$(bmfgraph --shell-completion install=bash)"          # zsh: install=zsh
  bmfgraph --shell-completion install=fish | source

exit codes: 0 done, 1 the run failed, 2 the configuration is wrong, 3 done, but frames of the input were lost,
130 stopped by Ctrl-C
"""
_MORE = "groups, keys and Hydra's flags: python -m bmfgraph --help\n"

HELP = {
    "run": """\
python -m bmfgraph [run] pipeline=NAME [GROUP=OPTION ...] [KEY=VALUE ...]

Check everything, build the engines that are missing, and run the pipeline. A file appears under its name only if the
whole run succeeds.

examples
  python -m bmfgraph pipeline=super_resolution input=clip.mp4 output=clip_x2.mp4
  python -m bmfgraph run pipeline=face_detection input=clip.mp4 output=faces.mp4 records=faces.csv
  python -m bmfgraph pipeline=super_resolution engine=fp16 decoder=nvdec report=report.json      # on an NVIDIA GPU

exit codes: 0 done, 1 the run failed, 2 the configuration is wrong, 3 done, but frames of the input were lost,
130 stopped by Ctrl-C
"""
    + _MORE,
    "batch": """\
python -m bmfgraph batch pipeline=NAME input=CLIPS [GROUP=OPTION ...] [KEY=VALUE ...]

Run a pipeline over many clips: a folder, a pattern, a list of names (.txt), or a manifest (.csv, .jsonl) with overrides
for each clip. A journal notes what is done, so that the same command, after an end of any kind, runs what is missing
or has changed. The summary lies in a folder beside the journal: index.html, summary.json, clips.csv.

keys besides those of `run`
  parallel=4          clips side by side
  on_error=skip       a clip that fails does not stop the others
  retries=2           run a clip that fails again; or a number for each code
  shard=3/16          run the third of 16 parts, for 16 machines
  watch=true          also take files that appear later, until Ctrl-C
  journal=FILE        by default outputs/batch/PIPELINE.journal

examples
  python -m bmfgraph batch pipeline=super_resolution 'input=clips/**/*.mp4' 'output=x2/{relpath}.mp4' on_error=skip
  python -m bmfgraph batch pipeline=face_detection input=clips.csv parallel=4 retries=1

exit codes: 0 all clips are done, 1 one failed, 2 the configuration is wrong, 3 done, but frames of an input were lost,
130 stopped by Ctrl-C
"""
    + _MORE,
    "check": """\
python -m bmfgraph check [--json] pipeline=NAME [GROUP=OPTION ...] [KEY=VALUE ...]

Find all errors and warnings at once. Each has a code, which docs/errors.md explains. Only the input's first frame is
decoded. All overrides of `run` are allowed.

{flags}
  target=F       for another machine: F is what `python -m bmfgraph doctor --json > F` wrote there

examples
  python -m bmfgraph check pipeline=face_detection input=clip.mp4
  python -m bmfgraph check pipeline=face_detection model=ultraface_rfb_640 'engine.input_shapes={input: 1x3x480x641}'
  python -m bmfgraph check --json pipeline=super_resolution engine=fp16 decoder=nvdec target=server.json

exit codes: 0 a run can begin (there may be warnings), 2 there are errors
"""
    + _MORE,
    "plan": """\
python -m bmfgraph plan [FORM] [--output FILE] pipeline=NAME [GROUP=OPTION ...] [KEY=VALUE ...]
python -m bmfgraph plan diff [--json] A B [what both have ...]

Print what would run: nodes in order, the type of every edge, runtimes, engines and shapes.

{flags}
  target=F       for another machine: F is what `python -m bmfgraph doctor --json > F` wrote there

examples
  python -m bmfgraph plan --table pipeline=super_resolution
  python -m bmfgraph plan --png --output plan.png pipeline=face_detection
  python -m bmfgraph plan diff engine=fp32 "engine=fp16 engine.batch=4" pipeline=super_resolution target=server.json

exit codes: 0 done (diff: the two are equal), 1 diff: they differ, 2 the configuration is wrong
"""
    + _MORE,
    "build": """\
python -m bmfgraph build pipeline=NAME [GROUP=OPTION ...] [KEY=VALUE ...]

Build the TensorRT engines that the pipeline needs and the store does not have. Run nothing.

examples
  python -m bmfgraph build pipeline=super_resolution engine=fp16 input=clip.mp4
  python -m bmfgraph build pipeline=super_resolution engine=fp16 engine.runtime=tensorrt_rtx     # needs no GPU

exit codes: 0 done, 1 an engine cannot be built, 2 the configuration is wrong
"""
    + _MORE,
    "engines": """\
python -m bmfgraph engines [--store DIR] [--json] VERB

Manage the engines that were built. Runs use them again.

verbs (each has a --help of its own)
{verbs}

{flags}

examples
  python -m bmfgraph engines list
  python -m bmfgraph engines show 7428dd
  python -m bmfgraph engines verify --store /data/engines
  python -m bmfgraph engines prune --unused-days 30 --dry-run
  python -m bmfgraph engines prune --model centerface
  python -m bmfgraph engines prune --all --yes

prune deletes only engines, logs and remains of builds, in a folder that is an engine store; it follows no links. On a
terminal it shows them and asks first. In scripts (standard input is no terminal) it deletes without a question.

exit codes: 0 done, 1 an engine is damaged or the store cannot be used, 2 wrong arguments
""",
    "model": """\
python -m bmfgraph model VERB

Find out what a model's file needs in its config, and whether the config is right.

verbs (each has a --help of its own)
{verbs}

examples
  python -m bmfgraph model inspect net.onnx > my_conf/model/net.yaml     # an option of the group model
  python -m bmfgraph model inspect net.onnx --json

inspect writes what the file and the files beside it say, and guesses the rest from the shapes of the tensors. A comment
marks each guess, and the head of the file lists what no file tells.

exit codes: 0 done, 1 the run failed or the results differ, 2 wrong arguments or configuration
""",
    "model try": """\
python -m bmfgraph model try MODEL PICTURE [KEY=VALUE ...] [FLAGS]

Run a model on a picture, or on the first frame of a clip: draw the results into a picture, and print them. MODEL is a
model file (YAML), or an option of the group model. With --against, compare the results with the predictions of the
model's origin: a line of JSON for each frame. If they agree, `plan` shows it from then on.

{flags}

examples
  python -m bmfgraph model try my_conf/model/yolo11n.yaml street.jpg
  python -m bmfgraph model try centerface people.png model.decode.threshold=0.3 --output faces.png
  python -m bmfgraph model try my_conf/model/yolo11n.yaml street.jpg --against torch.jsonl --iou 0.98

exit codes: 0 done, 1 the run failed or the results differ, 2 wrong arguments or configuration
""",
    "doctor": """\
python -m bmfgraph doctor [--json]

Print a line for each thing that pipelines need: ok, warn or fail, the finding, and below it how to fix it.

{flags}

examples
  python -m bmfgraph doctor
  python -m bmfgraph doctor | grep -A1 -E '^(warn|fail)'
  python -m bmfgraph doctor --json > machine.json        # for programs; holds what plans are compiled for, too

exit codes: 0 nothing is broken, 1 a line has fail, 2 wrong arguments
""",
    "report": """\
python -m bmfgraph report DIR [DIR ...] [--output DIR] [--objective TEXT] [--reference TEXT]

Write a sweep's report.json, report.csv and report.html again, or those of several sweeps together.

{flags}

examples
  python -m bmfgraph report outputs/sweeps/super_resolution --objective "fps where psnr_y>=45"
  python -m bmfgraph report sweeps/monday sweeps/tuesday --output sweeps/both

exit codes: 0 done, 2 wrong arguments
""",
    "schema": """\
python -m bmfgraph schema [--installed]

Print the JSON Schema of pipeline, model, engine, decoder and encoder files, for editors.

{flags}

  python -m bmfgraph schema > my_conf/schema.json

Files in my_conf/pipeline/ name it in a line below their `# @package` line, if they have one:
  # yaml-language-server: $schema=../schema.json
and those in my_conf/model/ (engine/, decoder/, encoder/) in their first line:
  # yaml-language-server: $schema=../schema.json#/definitions/model
""",
}
"""The help of each verb; ``{flags}`` and ``{verbs}`` stand for what the verb declares."""


def usage() -> str:
    """Return the help of the whole program."""
    verbs = [f"  {name:<10}  {text}" for name, text in VERBS.items()]
    groups = []
    for group in GROUPS:
        options = ", ".join(packaged_options(group))
        groups.append(textwrap.fill(f"  {group:<10}{options}", 110, subsequent_indent=" " * 12))
    return _WHOLE.replace("{verbs}", "\n".join(verbs)).replace("{groups}", "\n".join(groups))
