"""Test reading a spec from plain data; test_error_messages.py tests the messages."""

from __future__ import annotations

import copy
from typing import Any

import pydantic
import pytest
import yaml

from bmfgraph.config.pipeline import PipelineSpec, parse_pipeline
from bmfgraph.errors import SpecError
from bmfgraph.nodes.decoder import DecoderSpec
from bmfgraph.nodes.encoder import EncoderSpec


def pipeline(text: str) -> Any:
    return yaml.safe_load(text)


COPY = """
name: copy
nodes:
  source: {kind: decoder, path: a.mp4}
  sink: {kind: encoder, inputs: [source.video, source.audio], path: b.mp4}
"""


def problems(data: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_pipeline(data)
    return [str(problem) for problem in caught.value.problems]


def test_a_pipeline_keeps_its_order_and_types() -> None:
    spec = parse_pipeline(pipeline(COPY))
    assert spec.name == "copy"
    assert list(spec.nodes) == ["source", "sink"]
    assert isinstance(spec.nodes["source"], DecoderSpec)
    assert isinstance(spec.nodes["sink"], EncoderSpec)
    assert spec.nodes["sink"].inputs == ("source.video", "source.audio")


def test_a_spec_cannot_be_changed() -> None:
    spec = parse_pipeline(pipeline(COPY))
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        spec.name = "other"
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        spec.nodes["sink"].inputs = ()


def test_parsing_leaves_its_input_alone_and_takes_its_own_output() -> None:
    data = pipeline(COPY)
    before = copy.deepcopy(data)
    spec = parse_pipeline(data)
    assert data == before
    again = parse_pipeline(spec.model_dump(mode="json"))
    assert again == spec
    assert isinstance(again, PipelineSpec)


def test_one_input_may_be_written_without_a_list() -> None:
    data = pipeline(COPY)
    data["nodes"]["sink"]["inputs"] = "source.video"
    assert parse_pipeline(data).nodes["sink"].inputs == ("source.video",)


def test_use_gives_defaults_that_the_node_overrides() -> None:
    data = pipeline(COPY)
    data["nodes"]["sink"] |= {"use": {"crf": 30, "gop": 5, "path": "shared.mp4"}, "gop": 7}
    sink = parse_pipeline(data).nodes["sink"]
    assert isinstance(sink, EncoderSpec)
    assert (sink.crf, sink.gop, sink.path) == (30, 7, "b.mp4")
    data["nodes"]["sink"]["use"] = None
    assert parse_pipeline(data)


def test_a_mistake_in_use_is_told_at_the_node() -> None:
    data = pipeline(COPY)
    data["nodes"]["sink"]["use"] = {"crff": 30}
    assert problems(data)[0].startswith("pipeline.nodes.sink.crff: unknown key (did you mean 'crf'?)")


def test_all_mistakes_are_told_at_once() -> None:
    data = pipeline(COPY)
    data["nodes"]["source"]["pth"] = "x"
    data["nodes"]["sink"]["crf"] = -1
    data["nodes"]["third"] = {"kind": "overlai"}
    data["nodes"]["fourth"] = None
    data["nodes"]["a.b"] = {}
    data["title"] = "x"
    del data["name"]
    paths = [line.partition(": ")[0] for line in problems(data)]
    assert paths == [
        "pipeline.nodes.source.pth",
        "pipeline.nodes.sink.crf",
        "pipeline.nodes.third.kind",
        "pipeline.nodes.fourth",
        "pipeline.nodes.a.b",
        "pipeline.name",
        "pipeline.title",
    ]


def test_each_mistake_of_one_node_is_told_once() -> None:
    data = pipeline(COPY)
    data["nodes"]["sink"] |= {"crf": "x", "gop": 0, "inputs": []}
    assert problems(data) == [
        "pipeline.nodes.sink.crf: 'x': must be a number",
        "pipeline.nodes.sink.gop: 0: must be at least 1",
        "pipeline.nodes.sink.inputs: kind 'encoder' takes 1 to 2 input(s), not 0",
    ]


@pytest.mark.parametrize("name", ["a.b", "a b", "a+b", "", "ä", "a/b"])
def test_names_of_nodes_are_plain_words(name: str) -> None:
    data = pipeline(COPY)
    data["nodes"][name] = {"kind": "decoder", "path": "c.mp4"}
    assert problems(data) == [f"pipeline.nodes.{name}: a node's name is made of letters, digits, _ and -, not {name!r}"]


def test_a_union_is_told_by_the_branch_that_got_furthest() -> None:
    data = pipeline(COPY)
    data["nodes"]["p"] = {"kind": "preprocess", "inputs": "source", "mean": [1, "x"], "std": {"a": 1}}
    assert problems(data) == [
        "pipeline.nodes.p.mean.1: 'x': must be a number",
        "pipeline.nodes.p.std: {'a': 1}: must be a number or a list",
    ]


def test_a_key_that_looks_like_a_branch_of_a_union_stays_in_the_path() -> None:
    # A tensor may well be called `float`, or `centerface`.
    data = pipeline(COPY)
    model = {"name": "m", "file": "m.onnx", "inputs": {"float": {"layout": "x"}, "centerface": {"multipl": 1}}}
    data["nodes"]["net"] = {"kind": "inference", "inputs": "source", "model": model}
    assert problems(data) == [
        "pipeline.nodes.net.model.inputs.float.layout: 'x' is not allowed; allowed: NCHW, NHWC",
        "pipeline.nodes.net.model.inputs.centerface.multipl: unknown key (did you mean 'multiple'?); "
        "allowed: align, antialias, channels, dims, feed, fit, layout, longest, mean, multiple, pad_value, resize, "
        "size, std",
    ]


def test_long_values_are_shortened() -> None:
    data = pipeline(COPY)
    data["nodes"]["sink"]["crf"] = "x" * 500
    (line,) = problems(data)
    assert len(line) < 120
    assert "xxx..." in line


@pytest.mark.parametrize(
    ("text", "bits"),
    [("4M", 4_000_000), ("4000k", 4_000_000), (4_000_000, 4_000_000), ("1.5M", 1_500_000), ("1000", 1000)],
)
def test_bit_rates(text: str | int, bits: int) -> None:
    spec = EncoderSpec.model_validate({"kind": "encoder", "inputs": ["a"], "bit_rate": text})
    assert spec.bit_rate == bits


@pytest.mark.parametrize("text", ["4m", "4 M", "fast", "999", 0, -4_000_000, "M", "4MB"])
def test_what_is_no_bit_rate(text: str | int) -> None:
    with pytest.raises(pydantic.ValidationError, match="is not a bit rate"):
        EncoderSpec.model_validate({"kind": "encoder", "inputs": ["a"], "bit_rate": text})
