"""What differs between two plans."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.plan.diff import diff_json, plan_diff
from bmfgraph.plan.plan import Plan
from bmfgraph.plan.types import BundleSpec, Port
from tests.compile.machines import HOPPER_TRT
from tests.compile.pipelines import COPY, DETECT, UPSCALE, MakePlan, engine
from tests.plan.test_golden import PLANS
from tests.plan.views.pipelines import ON_GPU

NOTHING: dict[str, dict[str, Any]] = {"plan": {}, "removed": {}, "added": {}, "changed": {}}


def lines(one: Plan, other: Plan) -> list[str]:
    return plan_diff(one, other).splitlines()


@pytest.mark.parametrize("text", [COPY, UPSCALE, DETECT])
def test_equal_plans(plan: MakePlan, text: str) -> None:
    assert plan_diff(plan(text), plan(text)) == ""
    assert diff_json(plan(text), plan(text)) == NOTHING


def test_a_setting(plan: MakePlan) -> None:
    one, other = plan(COPY), plan(COPY.replace('path: "@out', 'crf: 30, path: "@out'))
    assert lines(one, other) == ["sink.params.options.crf: 18 → 30"]
    assert diff_json(one, other) == NOTHING | {"changed": {"sink": {"params.options.crf": ["18", "30"]}}}


def test_precision_and_the_key_that_follows(plan: MakePlan) -> None:
    one, other = (plan(ON_GPU.replace("fp16", word), machine=HOPPER_TRT) for word in ("fp32", "fp16"))
    paths = [node.params.engine.path for node in (one.node("net"), other.node("net"))]
    found = diff_json(one, other)["changed"]
    assert found.keys() == {"net"}
    assert found["net"]["params.engine.precision"] == ["fp32", "fp16"]
    assert found["net"]["params.engine.path"] == paths
    assert "net.params.engine.precision: fp32 → fp16" in lines(one, other)


def test_shapes_and_types_of_edges(plan: MakePlan, clip: Callable[..., Path]) -> None:
    clip("large.mp4", size=(128, 96), audio="aac")
    found = lines(plan(UPSCALE), plan(UPSCALE.replace("clip.mp4", "large.mp4")))
    assert "net.outputs.out: uint8[1x3x96x128] NCHW RGB → uint8[1x3x192x256] NCHW RGB" in found
    assert "net.params.engine.input_shapes.input: [1, 3, 48, 64] → [1, 3, 96, 128]" in found
    video = [line for line in found if line.startswith("source.outputs.video")]
    assert video == [
        "source.outputs.video: frames 64x48 yuv420p bt601/limited? 25 fps on cpu"
        " → frames 128x96 yuv420p bt601/limited? 25 fps on cpu"
    ]
    assert "prepare.outputs.out.placement.source_width: 64 → 128" in found
    paths = [tuple(line.partition(": ")[0].split(".", 1)) for line in found]
    assert paths == sorted(paths)


def test_what_a_phrase_leaves_out_is_told(plan: MakePlan, clip: Callable[..., Path]) -> None:
    clip("late.mp4", times=[0, 0.04, 0.08, 0.2], audio="aac")
    found = lines(plan(COPY), plan(COPY.replace("clip.mp4", "late.mp4")))
    assert "source.outputs.video.variable_rate: false → true" in found


def test_nodes_come_and_go(plan: MakePlan) -> None:
    one = plan(UPSCALE)
    other = plan(
        UPSCALE.replace("inputs: [restore,", "inputs: [again,")
        + "again: {kind: frames, inputs: more}\nmore: {kind: preprocess, inputs: restore}\n"
    )
    found = diff_json(one, other)
    assert found["removed"] == {"restore-yuv420p": "convert"}
    assert found["added"] == {"again": "frames", "again-yuv420p": "convert", "more": "preprocess"}
    assert found["changed"]["sink"] == {
        "inputs": [["restore-yuv420p.out", "source.audio"], ["again-yuv420p.out", "source.audio"]]
    }
    told = lines(one, other)
    assert told[:4] == [
        "- restore-yuv420p (convert)",
        "+ again (frames)",
        "+ again-yuv420p (convert)",
        "+ more (preprocess)",
    ]
    assert 'sink.inputs: ["restore-yuv420p.out", "source.audio"] → ["again-yuv420p.out", "source.audio"]' in told
    back = diff_json(other, one)
    assert (back["removed"], back["added"]) == (found["added"], found["removed"])


def test_devices_and_hosts(plan: MakePlan) -> None:
    one, other = plan(UPSCALE), plan(UPSCALE, machine=HOPPER_TRT)
    found = lines(one, other)
    assert "net.device: cpu → cuda" in found
    assert "restore-yuv420p.kind: convert → download" in found
    assert "net.params.engine.runtime: onnxruntime → tensorrt" in found
    look = '\nlook: {kind: frames, inputs: prepare}\nsink2: {kind: encoder, inputs: look, path: "@look.mp4"}\n'
    assert "net.bmf_node: prepare+net+restore → net+restore" in lines(one, plan(UPSCALE + look))


def test_an_output_that_is_gone(packaged: Callable[[str], Plan]) -> None:
    found = lines(packaged("super_resolution"), packaged("super_resolution_gpu"))
    assert "source.outputs.audio: audio aac 48000 Hz 6 ch → null" in found
    assert "+ source-audio (sound)" in found


def test_a_bundle_is_told_by_its_tensors(plan: MakePlan) -> None:
    made = plan(DETECT)
    net = made.node("net")
    bundle = net.outputs[0].type
    assert isinstance(bundle, BundleSpec)
    halved = replace(bundle, tensors=(replace(bundle.tensors[0], dtype="float16"), *bundle.tensors[1:]))
    turned = replace(bundle, tensors=bundle.tensors[::-1])
    half, turn = (made.replace(replace(net, outputs=(Port("out", kind),))) for kind in (halved, turned))
    assert lines(made, half) == ["net.outputs.out.tensors.scores: float32[1x3x2] → float16[1x3x2]"]
    assert lines(made, turn) == ['net.outputs.out.tensors: ["scores", "boxes"] → ["boxes", "scores"]']
    single = made.replace(replace(net, outputs=(Port("out", bundle.tensors[0]),)))
    assert lines(made, single) == [f"net.outputs.out: {bundle} → {bundle.tensors[0]}"]


def test_the_order_and_the_name(plan: MakePlan) -> None:
    one = plan(COPY + 'other: {kind: encoder, inputs: source, path: "@b.mp4"}\n')
    other = replace(one, name="y", nodes=(one.nodes[0], *one.nodes[:0:-1]))
    names = [[node.name for node in made] for made in (one, other)]
    assert diff_json(one, other) == NOTHING | {"plan": {"name": ["x", "y"], "order": names}}
    assert lines(one, other)[0] == "name: x → y"


def test_long_values_are_cut_in_lines_only(plan: MakePlan) -> None:
    long = "o" * 200
    one, other = plan(COPY), plan(COPY.replace("out.mp4", f"{long}.mp4"))
    assert all(len(line) < 230 for line in lines(one, other))
    assert diff_json(one, other)["changed"]["sink"]["params.path"][1].endswith(f"{long}.mp4")


@pytest.mark.parametrize("text", [UPSCALE, DETECT])
def test_it_is_empty_only_for_equal_plans(plan: MakePlan, text: str) -> None:
    one = plan(text)
    for change in (
        text.replace("inputs: source}", "inputs: source, pad_value: 3}"),
        text.replace("aac.mp4", "b.mp4").replace("out.mp4", "b.mp4"),
        engine(text, "{threads: 1}"),
    ):
        other = plan(change)
        assert one.hash() != other.hash()
        assert plan_diff(one, other)
        assert json.loads(json.dumps(diff_json(one, other))) == diff_json(one, other)


def test_the_packaged_plans_differ(packaged: Callable[[str], Plan]) -> None:
    made = [packaged(name) for name in PLANS]
    for one in made:
        for other in made:
            assert (plan_diff(one, other) == "") == (one is other)
