"""Test the JSON Schema of the files in ``conf/``, and the reference in ``docs/nodes.md``.

When they are meant to change: ``pytest tests/config/test_json_schema.py --regenerate-golden``, then look at the diff.
"""

from __future__ import annotations

import copy
import difflib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from pydantic import ValidationError

from bmfgraph.cli.main import main
from bmfgraph.config.json_schema import pipeline_schema
from bmfgraph.nodes.engine import EngineOptions
from bmfgraph.nodes.model import ModelSpec
from bmfgraph.nodes.registry import spec_class
from docs.generate import nodes_reference
from tests.nodes.test_registry import OWN

REPOSITORY = Path(__file__).parents[2]
CONF = REPOSITORY / "conf"
SCHEMA = pipeline_schema()
IN_README: list[tuple[str, str, str]] = re.findall(
    r"```yaml\n# (\w+/(\w+)/\w+\.yaml)\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL
)
"""Path, group and text of each config file shown."""
MODELINE = re.compile(r"^# yaml-language-server: \$schema=(\S+)$", re.MULTILINE)

PIPELINE = """
defaults:
  - override /model: centerface
records: faces.jsonl
pipeline:
  name: find
  nodes:
    source: {use: "${decoder}", path: "${input}"}
    prepare: {kind: preprocess, inputs: source.video, size: [480, 640]}
    net: {kind: inference, inputs: [prepare], model: "${model}", engine: {batch: 2, precision: fp16}}
    faces: {kind: detections, inputs: [net], decode: {preset: ultraface, threshold: 0.5}}
    draw: {kind: overlay, inputs: [source.video, faces]}
    table: {kind: records, inputs: [faces], path: "${records}"}
    sink: {kind: encoder, inputs: [draw, source.audio], use: "${encoder}", path: "${output}"}
"""
BARE = (
    "name: copy\nnodes:\n  source: {kind: decoder, path: a.mp4}\n  sink: {kind: encoder, inputs: source, path: b.mp4}\n"
)
MODEL = "name: tiny\nfile: tiny.onnx\ninputs: {input: {layout: NCHW, mean: 127, std: [1, 2, 3]}}\n"
ENGINE = "defaults: [fp32, _self_]\nbatch: 4\nprofiles: {input: {min: 1x3x4x4, opt: [1, 3, 8, 8], max: 4x3x8x8}}\n"
DECODER = "kind: nvdec\nstart: 1.5\n"
ENCODER = "codec: vp9\nbit_rate: 4M\n"
GROUPS = {"model": MODEL, "engine": ENGINE, "decoder": DECODER, "encoder": ENCODER}
REQUIRED = {
    "classify": {"inputs"},
    "decoder": {"path"},
    "detections": {"inputs"},
    "embed": {"inputs"},
    "encoder": {"inputs"},
    "frames": {"inputs"},
    "inference": {"inputs", "model"},
    "map": {"inputs"},
    "segment": {"inputs"},
    "nvdec": {"path"},
    "overlay": {"inputs"},
    "redact": {"inputs"},
    "resize": {"inputs"},
    "preprocess": {"inputs"},
    "read": {"inputs"},
    "records": {"inputs", "path"},
    "stitch": {"inputs"},
    "tiles": {"inputs"},
    "window": {"inputs"},
}


def read(text: str) -> Any:
    """YAML with keys as an editor sees them: text."""

    def keyed(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): keyed(one) for key, one in value.items()}
        return [keyed(one) for one in value] if isinstance(value, list) else value

    return keyed(yaml.safe_load(text))


def validator(pointer: str = "", schema: dict[str, Any] = SCHEMA) -> Draft7Validator:
    """For a whole schema, or for the part that a file names after the ``#``."""
    return Draft7Validator({"$ref": f"#{pointer}", **schema} if pointer else schema)


def problems(data: Any, pointer: str = "") -> list[tuple[str, str, str]]:
    """The path, the keyword and the text of everything that is wrong."""
    found = validator(pointer).iter_errors(data)
    return [(".".join(map(str, one.absolute_path)), str(one.validator), one.message) for one in found]


def edited(text: str, *edits: str) -> Any:
    """``path.to.key=YAML`` sets a value, ``-path.to.key`` takes it out."""
    data = copy.deepcopy(read(text))
    for edit in edits:
        where, _, value = edit.removeprefix("-").partition("=")
        *parents, last = where.split(".")
        place = data
        for parent in parents:
            place = place.setdefault(parent, {})
        if edit.startswith("-"):
            del place[last]
        else:
            place[last] = read(value)
    return data


# ------------------------------------------------------------------------------------------- what is published


@pytest.mark.parametrize(
    ("path", "make"),
    [("conf/schema.json", lambda: json.dumps(SCHEMA, indent=2) + "\n"), ("docs/nodes.md", nodes_reference)],
    ids=["schema", "reference"],
)
def test_published(path: str, make: Callable[[], str], request: pytest.FixtureRequest) -> None:
    made, file = make(), REPOSITORY / path
    if request.config.getoption("--regenerate-golden"):
        file.write_text(made)
        return
    kept = file.read_text()
    if made != kept:
        diff = difflib.unified_diff(kept.splitlines(), made.splitlines(), path, "made now", lineterm="")
        pytest.fail(
            "\n".join(["pytest tests/config/test_json_schema.py --regenerate-golden takes this over", *diff]),
            pytrace=False,
        )


def test_it_is_a_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)
    refs = set(re.findall(r'"\$ref": "#/definitions/([^"]+)"', json.dumps(SCHEMA)))
    assert refs <= SCHEMA["definitions"].keys()
    assert SCHEMA["definitions"].keys() - refs == {"pipeline", "decode", *GROUPS}, (
        "only what files name is used by nothing"
    )


def test_an_editor_may_add_the_roots_keys_to_what_a_file_names() -> None:
    # yaml-language-server does: each must have its own of all but these.
    added = SCHEMA.keys() - {"$schema", "definitions"}
    assert all(added <= SCHEMA["definitions"][group].keys() for group in ("pipeline", *GROUPS))


# -------------------------------------------------------------------------------------------------- good files


# Presets of sweeps are Hydra's own configuration, and sets of labels and keypoints are data.
OURS = sorted(path for path in CONF.glob("*/*.yaml") if path.parent.name not in ("sweep", "labels", "keypoints"))


@pytest.mark.parametrize("path", OURS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_our_files_name_their_schema_and_keep_to_it(path: Path) -> None:
    text = path.read_text()
    (named,) = MODELINE.findall(text)
    file, _, pointer = named.partition("#")
    assert (path.parent / file).resolve() == CONF / "schema.json"
    assert pointer == ("" if path.parent.name == "pipeline" else f"/definitions/{path.parent.name}")
    assert problems(read(text), pointer) == []
    # Hydra stops looking for it at the first other line.
    assert "# @" not in text or text.startswith("# @")


@pytest.mark.parametrize(("name", "group", "text"), IN_README, ids=[row[0] for row in IN_README])
def test_files_of_the_readme_pass(name: str, group: str, text: str) -> None:
    assert problems(read(text), f"/definitions/{group}") == []


def test_the_readme_shows_a_pipeline_and_a_model() -> None:
    assert {group for _, group, _ in IN_README} >= {"pipeline", "model"}


@pytest.mark.parametrize(("group", "text"), [("pipeline", PIPELINE), ("pipeline", BARE), *GROUPS.items()])
def test_good_files_pass(group: str, text: str) -> None:
    assert problems(read(text), f"/definitions/{group}") == []


@pytest.mark.parametrize(
    "words",
    [
        ["pipeline=super_resolution"],
        ["pipeline=super_resolution", "model=vsr_x2_temporal", "engine=int8", "encoder=mpeg4"],
        ["pipeline=face_detection", "decoder=nvdec", "encoder=measure"],
    ],
    ids=" ".join,
)
def test_what_hydra_makes_of_files_passes(words: list[str], compose: Callable[..., dict[str, Any]]) -> None:
    assert problems({"pipeline": compose(*words)["pipeline"]}) == []


@pytest.mark.parametrize("data", ["${other}", "???"])
@pytest.mark.parametrize("kind", OWN)
def test_any_field_may_be_an_interpolation(kind: str, data: str) -> None:
    fields = dict.fromkeys(spec_class(kind).model_fields, data)
    nodes = {"one": {**fields, "kind": kind}, "other": fields, "use": {"use": data, **fields}}
    assert problems({"name": data, "nodes": nodes}) == []


@pytest.mark.parametrize(("group", "model"), [("model", ModelSpec), ("engine", EngineOptions)])
def test_any_field_of_a_group_may_be_an_interpolation(group: str, model: type[ModelSpec | EngineOptions]) -> None:
    assert problems(dict.fromkeys(model.model_fields, "${a}_${b}"), f"/definitions/{group}") == []


@pytest.mark.parametrize("kind", OWN)
def test_defaults_pass(kind: str) -> None:
    fields = {name: one for name, one in spec_class(kind).model_fields.items() if not one.is_required()}
    node = json.loads(json.dumps({name: one.get_default() for name, one in fields.items()}, default=dict))
    # No inputs are right for some kinds only; a whole model's own are told apart below.
    node = {name: value for name, value in node.items() if name not in ("inputs", "engine")}
    assert problems({**node, "kind": kind}, "/definitions/node") == []


@pytest.mark.parametrize(
    "edit",
    [
        "pipeline.nodes.prepare.inputs=[source.video]",
        "pipeline.nodes.net.inputs=[a, b, c.d]",
        "pipeline.nodes.net.engine={input_shapes: {input: 1x3x480x640, 'input.1': [1, 3, 4, 4]}}",
        "pipeline.nodes.net.engine={profiles: {input: {min: 1x3x4x4, opt: 1x3x8x8, max: '???'}}}",
        "pipeline.nodes.net.model={name: x, file: '???', window: null, inputs: {a: {dims: [batch, 3, h, w], mean: 1}}}",
        "pipeline.nodes.net.model={name: x, source: x, outputs: {'output:0': {mean: [1, 2, 3]}}, decode: null}",
        "pipeline.nodes.sink.bit_rate=4000000",
        "pipeline.nodes.sink.container='null'",
        "pipeline.nodes.sink={use: {kind: encoder, path: x, inputs: draw}, crf: 3}",
        "pipeline.nodes.source={use: '${camera}', shutter: 3}",
        "pipeline.nodes.source={kind: nvdec, path: x, threads: null, hwaccel: none}",
        "pipeline.nodes.source={kind: '${kind}', path: x, anything: 1}",
        "engine={batch: 4}",
        "second={name: x}",
        "defaults=[super_resolution, _self_, {override /engine: fp16}, {/model@second: centerface}]",
    ],
)
def test_what_our_yaml_may_have(edit: str) -> None:
    assert problems(edited(PIPELINE, edit)) == []


@pytest.mark.parametrize(
    "text",
    [
        "defaults: [super_resolution, _self_]\npipeline: {nodes: {sink: {crf: 20}, extra: {kind: frames}}}",
        "defaults: [super_resolution, _self_]\nnodes: {sink: {crf: 20}}",
        "defaults: [super_resolution, _self_]\nrecords: x",
    ],
)
def test_what_builds_on_another_pipeline_may_leave_things_out(text: str) -> None:
    assert problems(read(text)) == []
    alone = read(text)
    alone["defaults"] = ["_self_"]
    assert problems(alone)


# ------------------------------------------------------------------------------------------------- wrong files

N = "pipeline.nodes"
WRONG = [
    # a pipeline
    ([f"{N}.prepare.sise=[4, 4]"], f"{N}.prepare", "additionalProperties", "'sise' was unexpected"),
    ([f"{N}.prepare.kind=preproces"], f"{N}.prepare.kind", "anyOf", "preproces"),
    ([f"-{N}.prepare.kind"], f"{N}.prepare", "required", "'kind'"),
    ([f"{N}.prepare.fit=letterbx"], f"{N}.prepare.fit", "anyOf", "letterbx"),
    ([f"{N}.prepare.antialias=maybe"], f"{N}.prepare.antialias", "pattern", "maybe"),
    ([f"{N}.prepare.size=[0, 4]"], f"{N}.prepare.size.0", "minimum", "0"),
    ([f"{N}.prepare.size=[4]"], f"{N}.prepare.size", "minItems", "[4]"),
    ([f"{N}.prepare.pad_value=256"], f"{N}.prepare.pad_value", "maximum", "256"),
    ([f"{N}.prepare.inputs=5"], f"{N}.prepare.inputs", "type", "5"),
    ([f"{N}.prepare.inputs=[5]"], f"{N}.prepare.inputs.0", "type", "5"),
    ([f"{N}.prepare.inputs=[]"], f"{N}.prepare.inputs", "minItems", "[]"),
    ([f"{N}.prepare.inputs=[a, b]"], f"{N}.prepare.inputs", "maxItems", "['a', 'b']"),
    ([f"{N}.prepare.inputs=['a b']"], f"{N}.prepare.inputs.0", "pattern", "a b"),
    ([f"{N}.prepare.crf=5"], f"{N}.prepare", "additionalProperties", "'crf' was unexpected"),
    ([f"{N}.source.pth=5"], f"{N}.source", "additionalProperties", "'pth' was unexpected"),
    ([f"{N}.source.start=-1"], f"{N}.source.start", "minimum", "-1"),
    ([f"{N}.source.end=0"], f"{N}.source.end", "exclusiveMinimum", "0"),
    ([f"{N}.source.video=1.5"], f"{N}.source.video", "type", "1.5"),
    ([f"{N}.source={{kind: nvdec, path: x, threads: 2}}"], f"{N}.source.threads", "anyOf", "2"),
    ([f"{N}.sink.use=encoder"], f"{N}.sink.use", "pattern", "encoder"),
    ([f"{N}.sink.use=5"], f"{N}.sink.use", "type", "5"),
    ([f"{N}.sink.crf=64"], f"{N}.sink.crf", "maximum", "64"),
    ([f"{N}.sink=5"], f"{N}.sink", "type", "5"),
    ([f"{N}.sink=null"], f"{N}.sink", "type", "None"),
    ([f"{N}.a b={{kind: frames, inputs: net}}"], N, "pattern", "a b"),
    ([f"{N}.net.engine={{precison: fp16}}"], f"{N}.net.engine", "additionalProperties", "'precison' was unexpected"),
    ([f"{N}.net.engine={{batch: 257}}"], f"{N}.net.engine.batch", "maximum", "257"),
    ([f"{N}.net.engine={{profiles: {{a: {{min: 1x3}}}}}}"], f"{N}.net.engine.profiles", "anyOf", "1x3"),
    ([f"{N}.net.engine={{input_shapes: {{a: 1x3x}}}}"], f"{N}.net.engine.input_shapes.a", "pattern", "1x3x"),
    ([f"{N}.net.model=tiny"], f"{N}.net.model", "pattern", "tiny"),
    ([f"{N}.net.model={{file: x}}"], f"{N}.net.model", "required", "'name'"),
    ([f"{N}.net.model={{name: x, sha256: abc}}"], f"{N}.net.model.sha256", "pattern", "abc"),
    ([f"{N}.net.model={{name: x, inputs: {{a: {{layout: NCW}}}}}}"], f"{N}.net.model.inputs.a.layout", "anyOf", "NCW"),
    ([f"{N}.faces.decode={{style: centre}}"], f"{N}.faces.decode", "anyOf", "centre"),
    ([f"{N}.draw.color=[1, 2, 300]"], f"{N}.draw.color.2", "maximum", "300"),
    (["pipeline.name=a b"], "pipeline.name", "pattern", "a b"),
    (["pipeline.nods={}"], "pipeline", "additionalProperties", "'nods' was unexpected"),
    (["-pipeline.nodes"], "pipeline", "required", "'nodes'"),
    (["pipeline.nodes={}"], N, "minProperties", "{}"),
    (["pipeline.nodes=[1]"], N, "type", "[1]"),
    (["engine={precison: fp16}"], "engine", "additionalProperties", "'precison' was unexpected"),
    (["defaults=centerface"], "defaults", "type", "centerface"),
]  # fmt: skip
WRONG_GROUPS = [
    ("pipeline", BARE, "title=x", "", "additionalProperties", "'title' was unexpected"),
    ("pipeline", BARE, "nodes.sink.crf=abc", "nodes.sink.crf", "pattern", "abc"),
    ("model", MODEL, "imputs={}", "", "additionalProperties", "'imputs' was unexpected"),
    ("model", MODEL, "-name", "", "required", "'name'"),
    ("model", MODEL, "inputs.input.mean=abc", "inputs.input.mean", "pattern", "abc"),
    ("model", MODEL, "window={frames: 65}", "window", "anyOf", "65"),
    ("engine", ENGINE, "precison=fp16", "", "additionalProperties", "'precison' was unexpected"),
    ("engine", ENGINE, "precision=fp61", "precision", "anyOf", "fp61"),
    ("engine", ENGINE, "optimization_level=6", "optimization_level", "maximum", "6"),
    ("decoder", DECODER, "kind=encoder", "kind", "anyOf", "encoder"),
    ("decoder", DECODER, "inputs=[a]", "", "additionalProperties", "'inputs' was unexpected"),
    ("encoder", ENCODER, "qp=3", "", "additionalProperties", "'qp' was unexpected"),
    ("encoder", ENCODER, "gop=0", "gop", "minimum", "0"),
]


def check(data: Any, pointer: str, path: str, keyword: str, text: str) -> None:
    found = problems(data, pointer)
    assert [(one[0], one[1]) for one in found] == [(path, keyword)], found
    assert text in found[0][2]


@pytest.mark.parametrize(("edits", "path", "keyword", "text"), WRONG, ids=["; ".join(row[0])[:70] for row in WRONG])
def test_what_is_wrong_is_found_at_its_place(edits: list[str], path: str, keyword: str, text: str) -> None:
    check(edited(PIPELINE, *edits), "", path, keyword, text)


@pytest.mark.parametrize(("group", "good", "edit", "path", "keyword", "text"), WRONG_GROUPS)
def test_other_files_too(group: str, good: str, edit: str, path: str, keyword: str, text: str) -> None:
    check(edited(good, edit), f"/definitions/{group}", path, keyword, text)


@pytest.mark.parametrize("kind", OWN)
def test_what_a_kind_needs(kind: str) -> None:
    missing = {text.split("'")[1] for _, keyword, text in problems({"name": "x", "nodes": {"n": {"kind": kind}}})}
    assert missing == REQUIRED[kind]
    assert problems({"name": "x", "nodes": {"n": {"kind": kind, "use": "${some}"}}}) == []


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind in OWN for field in spec_class(kind).fixed_fields])
def test_what_a_kind_refuses_is_refused_by_its_spec(kind: str, field: str) -> None:
    base = spec_class("decoder")
    good: dict[str, Any] = {
        **{"threads": 2, "hwaccel": "cuda", "backend": "bmf", "rate": 24, "background": "white"},
        **{"deinterlace": "bwdif", "size_change": "letterbox"},
    }
    assert base.model_validate({"kind": "decoder", "path": "x", field: good[field]})
    with pytest.raises(ValidationError) as caught:
        spec_class(kind).model_validate({"kind": kind, "path": "x", field: good[field]})
    assert caught.value.errors()[0]["ctx"]["error"].hint == "leave it out, or set decoder=ffmpeg"


# ------------------------------------------------------------------------------------------------- the command


def run_command(path: Path | None, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    return subprocess.run(
        [sys.executable, "-m", "bmfgraph", "schema", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.wide
def test_the_command_prints_what_is_published(nodepack: Path) -> None:
    done = run_command(nodepack)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (CONF / "schema.json").read_text()


def test_the_command_knows_node_packs(nodepack: Path) -> None:
    done = run_command(nodepack, "--installed")
    assert done.returncode == 0
    told = done.stderr.splitlines()
    assert [line.partition(" cannot")[0].partition(": nodepack")[0] for line in told] == [
        "bmfgraph: left out: kind 'broken'",
        "bmfgraph: left out: kind 'no_node'",
    ]
    schema = json.loads(done.stdout)
    good = read("name: x\nnodes: {n: {kind: invert, inputs: a, amount: 0.5}}")
    assert not list(validator(schema=schema).iter_errors(good))
    assert [path for path, *_ in problems(good)] == ["nodes.n.kind"]
    good["nodes"]["n"]["amount"] = 2
    assert [list(one.absolute_path) for one in validator(schema=schema).iter_errors(good)] == [["nodes", "n", "amount"]]


def test_the_command_helps(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["schema", "--help"])
    assert end.value.code == 0
    assert "python -m bmfgraph schema [--installed]" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["schema", "--instaled"])
    assert end.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "bmfgraph: error[E114]: schema takes no flag '--instaled' (did you mean '--installed'?)\n"
        "  → python -m bmfgraph schema --help\n"
    )


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, bmfgraph.config.json_schema as s, docs.generate as r"
    code += "; s.pipeline_schema(); r.nodes_reference()"
    names = ["bmf", "torch", "tensorrt", "onnxruntime", "hydra", "omegaconf"]
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print([name for name in {names} if name in sys.modules])"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
