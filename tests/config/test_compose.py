"""Test composing with Hydra: the plain data, and the errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from bmfgraph.config.compose import composition_error, plain
from bmfgraph.config.overrides import free_node_fields, literal_paths
from bmfgraph.config.pipeline import parse_pipeline
from bmfgraph.errors import ConfigError

Compose = Callable[..., dict[str, Any]]

OPTIONS = {
    group.name: sorted(file.name.removesuffix(".yaml") for file in group.iterdir() if file.name.endswith(".yaml"))
    for group in resources.files("bmfgraph.conf").iterdir()
    # Presets of decoding and sets of labels and keypoints are no groups.
    if group.is_dir() and not group.name.startswith("_") and group.name not in ("decode", "labels", "keypoints")
}
_MODELS = {"detection": "centerface", "classification": "ppocr_cls", "map": "centerface"}
"""Models of pipelines that have none of their own."""


@pytest.mark.sample(16)
@pytest.mark.parametrize(
    ("group", "option"), [(group, option) for group in sorted(OPTIONS) for option in OPTIONS[group]]
)
def test_every_option_composes_to_a_valid_spec(compose: Compose, group: str, option: str) -> None:
    overrides = [f"{group}={option}"]
    if group != "pipeline":
        # What is not among the defaults is added.
        overrides = ["pipeline=super_resolution", f"{'+' * (group == 'sweep')}{group}={option}"]
    if option in _MODELS:
        overrides.append(f"model={_MODELS[option]}")
    if option == "bmf_v1":
        overrides.append("model.file=v1.onnx")
    data = compose(*overrides)
    spec = parse_pipeline(data["pipeline"])
    assert spec.name in OPTIONS["pipeline"]


def test_the_groups_are_those_of_the_design() -> None:
    assert set(OPTIONS) >= {"pipeline", "model", "engine", "decoder", "encoder"}
    assert "super_resolution" in OPTIONS["pipeline"]


def test_choices_and_overrides_reach_the_nodes(compose: Compose) -> None:
    data = compose(
        "pipeline=super_resolution",
        "model=vsr_x2_temporal",
        "engine.batch=4",
        "encoder=vp9",
        "encoder.crf=33",
        "input=in.mkv",
        "output=out.webm",
        "pipeline.nodes.prepare.fit=crop",
    )
    nodes = data["pipeline"]["nodes"]
    assert nodes["source"]["path"] == "in.mkv"
    assert nodes["upscale"]["model"]["name"] == "vsr_x2_temporal"
    assert nodes["upscale"]["engine"]["batch"] == 4
    assert nodes["sink"]["use"]["crf"] == 33
    assert nodes["sink"]["path"] == "out.webm"
    assert nodes["prepare"]["fit"] == "crop"


def test_the_data_is_plain(compose: Compose) -> None:
    def check(value: Any) -> None:
        assert type(value) in (dict, list, str, int, float, bool, type(None)), type(value)
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            check(item)

    check(compose("pipeline=face_detection"))


@pytest.mark.parametrize(
    ("word", "freed"),
    [
        ("pipeline.nodes.sink.crf=3", "++pipeline.nodes.sink.crf=3"),
        ("pipeline.nodes.new={kind: frames}", "++pipeline.nodes.new={kind: frames}"),
        ("+pipeline.nodes.sink.crf=3", "+pipeline.nodes.sink.crf=3"),
        ("~pipeline.nodes.sink", "~pipeline.nodes.sink"),
        ("pipeline=face_detection", "pipeline=face_detection"),
        ("pipeline.name=x", "pipeline.name=x"),
        ("encoder.crf=3", "++encoder.crf=3"),
        ("model.file=a.onnx", "++model.file=a.onnx"),
        ("model=vsr_x2_fast", "model=vsr_x2_fast"),
        ("input=a.mp4", "input=a.mp4"),
        ("--cfg", "--cfg"),
        ("pipeline.nodes.sink", "pipeline.nodes.sink"),
    ],
)
def test_node_fields_need_no_plus(word: str, freed: str) -> None:
    assert free_node_fields([word]) == [freed]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("input=größe ä=1, [x] (1) {y} #.mp4", "größe ä=1, [x] (1) {y} #.mp4"),
        ("output=it's.mp4", "it's.mp4"),
        ("model.file=a\\b.onnx", "a\\b.onnx"),
        ("input='quoted already.mp4'", "quoted already.mp4"),
        ("input=~/clip.mp4", str(Path.home() / "clip.mp4")),
        ("report=null", None),
    ],
)
def test_file_names_are_taken_as_they_are(word: str, value: str | None, compose: Compose) -> None:
    (quoted,) = literal_paths([word])
    data = compose("pipeline=super_resolution", quoted)
    key = word.partition("=")[0]
    assert (data["model"]["file"] if key == "model.file" else data[key]) == value


def test_a_file_that_may_not_be_read() -> None:
    error = composition_error(PermissionError(13, "Permission denied", "/conf/model/mine.yaml"))
    assert str(error) == "/conf/model/mine.yaml: cannot be read (Permission denied)\n  → check who may read it"
    assert error.problems[0].code == "E116"


def test_interpolations_and_sweeps_are_left_alone() -> None:
    words = ["input=${samples.bikes}", "engine.batch=1,2"]
    assert literal_paths(words) == words
    assert literal_paths(["-m", "input=a.mp4,b.mp4"]) == ["-m", "input=a.mp4,b.mp4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {b: '???'}", "a.b: needs a value (it is '???')\n  → add a.b=... to the command line"),
        (
            "a: {b: '${c.d}'}",
            "a.b: ${c.d} names nothing: the configuration has no 'c'; it has: a\n"
            "  → correct the ${...}, or define what it names",
        ),
        ("a: '${nobody:1}'", "a: there is no resolver 'nobody'\n  → write ${KEY} for another value, or "),
        ("a: '${oc.env:BMFGRAPH_NO_SUCH_VARIABLE}'", "Environment variable 'BMFGRAPH_NO_SUCH_VARIABLE' not found"),
    ],
)
def test_what_cannot_be_resolved_names_its_key(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plain(OmegaConf.create(text))  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert caught.value.hint


def test_keys_become_text() -> None:
    assert plain(OmegaConf.create({1: {"a": "${b}"}, "b": 2})) == {"1": {"a": 2}, "b": 2}


def test_the_command_line_says_what_is_wrong_and_exits_with_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bmfgraph", "pipeline=super_resolution", "pipeline.nodes.prepare.sise=3", "input=x"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "bmfgraph: error[E203]: pipeline.nodes.prepare.sise: unknown key (did you mean 'size'?)"
    )
    assert "Traceback" not in done.stderr
