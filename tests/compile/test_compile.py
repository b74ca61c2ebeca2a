"""All passes together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bmfgraph.compile import PASSES, compile_pipeline
from bmfgraph.compile.bind_engines import bind_engines
from bmfgraph.compile.drop_identity import drop_identity
from bmfgraph.compile.fuse_stages import fuse
from bmfgraph.compile.infer_types import infer_types
from bmfgraph.compile.insert_converters import insert_converters
from bmfgraph.compile.name_outputs import name_outputs
from bmfgraph.compile.probe_inputs import probe_inputs
from bmfgraph.compile.verify import verify
from bmfgraph.config.pipeline import parse_pipeline
from bmfgraph.nodes.decoder import DecoderParams
from bmfgraph.plan.plan import Ref
from bmfgraph.plan.types import AudioSpec, FrameSpec
from tests.compile.pipelines import COPY, UPSCALE, MakePlan
from tests.tools import double_model

Clip = Callable[..., Path]


def test_the_passes_are_named_and_in_order() -> None:
    assert PASSES[:2] == (name_outputs, probe_inputs)
    assert PASSES[-1] is verify
    assert {probe_inputs, infer_types, drop_identity, bind_engines, insert_converters, fuse, verify} <= set(PASSES)


def test_passes_do_not_change_their_input(plan: MakePlan) -> None:
    made = plan(UPSCALE, None)
    for one in PASSES:
        before = dataclasses.replace(made)
        after = one(made)
        assert made == before
        made = after


def test_compile_gives_typed_edges_throughout(plan: MakePlan, clip: Clip, tmp_path: Path) -> None:
    data: dict[str, Any] = {"name": "copy", "nodes": yaml.safe_load(COPY.replace("@", f"{tmp_path}/"))}
    made = compile_pipeline(parse_pipeline(data))
    assert made.name == "copy"
    assert isinstance(made.type_of(Ref("source", "audio")), AudioSpec)
    assert isinstance(made.node("source").params, DecoderParams)
    for node in made:
        assert node.bmf_node
        for ref in node.inputs:
            assert made.type_of(ref)


@pytest.mark.parametrize("name", ["rotated.mp4", "variable.mp4", "full.mp4", "rgb.mkv"])
def test_unusual_clips_compile(clip: Clip, tmp_path: Path, name: str) -> None:
    options: dict[str, dict[str, Any]] = {
        "rotated.mp4": {"rotation": 90},
        "variable.mp4": {"times": [0, 0.1, 0.3]},
        "full.mp4": {"color": (1, 2)},
        "rgb.mkv": {"codec": "ffv1", "pix_fmt": "bgr0"},
    }
    clip(name, **options[name])
    double_model(tmp_path / "double.onnx")
    text = UPSCALE.replace("clip.mp4", name).replace("@", f"{tmp_path}/")
    made = compile_pipeline(parse_pipeline({"name": "x", "nodes": yaml.safe_load(text)}))
    frames = made.type_of(made.node("sink").inputs[0])
    assert isinstance(frames, FrameSpec)
    assert (frames.width, frames.height) == ((96, 128) if name == "rotated.mp4" else (128, 96))
    assert frames.variable_rate is (name == "variable.mp4")
    assert frames.color.matrix == {"full.mp4": "bt709", "rgb.mkv": "bt709"}.get(name, "bt601")
    assert not frames.color.full_range
