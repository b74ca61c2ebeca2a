"""Where the nodes work, and what is put between those that work apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bmfgraph.compile.assign_devices import assign_devices
from bmfgraph.errors import PlanError
from bmfgraph.nodes.registry import spec_class
from bmfgraph.nodes.transfer import DownloadParams, UploadParams
from bmfgraph.plan.plan import Plan, Ref
from bmfgraph.plan.types import ColorSpec, FrameSpec, device_of
from tests.compile.machines import BARE, HOPPER_ORT, HOPPER_TRT
from tests.compile.pipelines import DETECT, MIX, UPSCALE, MakePlan, engine

ON_GPU = UPSCALE.replace("kind: decoder", "kind: nvdec")
IDENTITY = """
source: {kind: nvdec, path: "@clip.mp4"}
prepare: {kind: preprocess, inputs: source}
back: {kind: frames, inputs: prepare}
sink: {kind: encoder, inputs: [back, source.audio], path: "@out.mp4"}
"""


def null(text: str) -> str:
    return text.replace('path: "@out.mp4"', 'container: "null"')


def told(plan: Plan) -> list[str]:
    """Each BMF node: what runs in it, and where; those of the GPU with a star."""
    hosts: dict[str, list[str]] = {}
    for node in plan:
        hosts.setdefault(node.bmf_node, []).append(node.name + "*" * (node.device == "cuda"))
    return ["+".join(members) for members in hosts.values()]


CHAIN = "prepare*+net*+restore*"


# ruff: noqa: E501
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (UPSCALE, ["source", "source-upload*", CHAIN, "restore-yuv420p*", "sink"]),
        (null(UPSCALE), ["source", "source-upload*", CHAIN, "sink*"]),
        (ON_GPU, ["source*", "source-audio", CHAIN, "restore-yuv420p*", "sink"]),
        (null(ON_GPU), ["source*", CHAIN, "sink*"]),
        # Boxes are drawn where the frames are; the frames that the encoder wants never go to the GPU and back.
        (DETECT, ["source", "source-upload*", "prepare*+net*+faces*", "source-rgb24", "draw", "table", "draw-yuv420p", "sink"]),
        (DETECT.replace("kind: decoder", "kind: nvdec"), ["source*", "source-audio", "prepare*+net*+faces*", "draw*", "table", "draw-yuv420p*", "sink"]),
        (IDENTITY, ["source*", "source-audio", "prepare*+back*", "back-yuv420p*", "sink"]),
        (null(IDENTITY), ["source*", "prepare*+back*", "sink*"]),
        # Both preprocess nodes take from one upload.
        (MIX, ["source", "source-upload*", "one*", "two*", "net*+restore*", "restore-yuv420p*", "sink"]),
        # A model that runs on the CPU between two that do not.
        (
            UPSCALE.replace("inputs: net}", "inputs: last}")
            + """
slow: {kind: inference, inputs: net, engine: {runtime: onnxruntime}, model: {name: n, file: "@double.onnx", outputs: {output: {}}}}
last: {kind: inference, inputs: slow, model: {name: n, file: "@double.onnx", outputs: {output: {}}}}
""",
            ["source", "source-upload*", "prepare*+net*+net-download*+slow+slow-upload*+last*+restore*", "restore-yuv420p*", "sink"],
        ),
    ],
)  # fmt: skip
def test_devices_and_hosts(plan: MakePlan, text: str, wanted: list[str]) -> None:
    made = plan(text, machine=HOPPER_TRT)
    assert told(made) == wanted
    for node in made:
        assert all(
            device_of(port.type) in (None, node.device if node.kind != "download" else "cpu") for port in node.outputs
        )
        for ref in node.inputs:
            there = {"upload": "cpu", "download": "cuda"}.get(node.kind, node.device)
            assert device_of(made.type_of(ref)) in (None, there), node.name


@pytest.mark.parametrize("text", [UPSCALE, DETECT, MIX])
def test_without_a_gpu_nothing_is_on_it(plan: MakePlan, text: str) -> None:
    plans = [
        plan(text),
        plan(text, machine=BARE),
        plan(text, machine=HOPPER_TRT, device="cpu"),
        plan(engine(text, "{runtime: onnxruntime}"), machine=HOPPER_TRT),
    ]
    for made in plans:
        assert {node.device for node in made} == {"cpu"}
        assert not {"upload", "download"} & {node.kind for node in made}
    assert told(plans[0]) == told(plans[1]) == told(plans[2]) == told(plans[3])


def test_onnx_runtime_on_the_gpu_has_its_frames_there_too(plan: MakePlan) -> None:
    assert told(plan(UPSCALE, machine=HOPPER_ORT)) == told(plan(UPSCALE, machine=HOPPER_TRT))


def test_what_is_uploaded_and_what_comes_back(plan: MakePlan, clip: Callable[..., Path]) -> None:
    made = plan(UPSCALE, machine=HOPPER_TRT)
    up, down = made.node("source-upload"), made.node("restore-yuv420p")
    assert isinstance(up.params, UploadParams)
    assert up.params.frames == made.type_of(Ref("source", "video"))
    assert down.params == DownloadParams("yuv420p", ColorSpec("bt601", False, tagged=False), "left", 128, 96)
    frames = made.type_of(Ref("restore-yuv420p", "out"))
    assert isinstance(frames, FrameSpec)
    assert (frames.pixel_format, frames.device) == ("yuv420p", "cpu")
    # What cannot be made RGB on the GPU is made so before.
    clip("rgb.mkv", codec="ffv1", pix_fmt="bgr0")
    odd = plan(UPSCALE.replace("clip.mp4", "rgb.mkv"), machine=HOPPER_TRT)
    assert told(odd)[:4] == ["source", "source-rgb24", "source-rgb24-upload*", CHAIN]
    assert odd.node("source-rgb24-upload").params.frames.pixel_format == "rgb24"


def test_pixel_formats_that_differ_are_downloaded_apart(plan: MakePlan) -> None:
    more = '\nother: {kind: encoder, inputs: restore, path: "@b.mp4", pixel_format: PF}'
    for name, downloads in (("yuv420p", ["restore-yuv420p"]), ("yuv444p", ["restore-yuv420p", "restore-yuv444p"])):
        made = plan(ON_GPU + more.replace("PF", name), machine=HOPPER_TRT)
        assert [node.name for node in made if node.kind == "download"] == downloads


@pytest.fixture
def invert(nodepack: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The kind ``invert`` of the node pack, which knows nothing of GPUs."""
    spec_class.cache_clear()
    monkeypatch.syspath_prepend(str(nodepack))
    yield
    spec_class.cache_clear()


@pytest.mark.usefixtures("invert")
def test_a_stage_for_the_cpu_between_stages_on_the_gpu(plan: MakePlan) -> None:
    text = ON_GPU.replace("inputs: source}", "inputs: before}").replace("[restore,", "[after,")
    text += "before: {kind: invert, inputs: source}\nafter: {kind: invert, inputs: restore}\n"
    made = plan(text, machine=HOPPER_TRT)
    assert told(made) == [
        "source*",
        "source-audio",
        "source-rgb24*",
        "before",
        "before-upload*",
        CHAIN,
        "restore-rgb24*",
        "after",
        "after-yuv420p",
        "sink",
    ]
    kinds = {node.name: node.kind for node in made}
    assert (kinds["source-rgb24"], kinds["restore-rgb24"], kinds["after-yuv420p"]) == (
        "download",
        "download",
        "convert",
    )


def test_a_decoder_on_the_gpu_is_refused_on_the_cpu(plan: MakePlan) -> None:
    with pytest.raises(PlanError) as caught:
        plan(ON_GPU, assign_devices, machine=HOPPER_TRT, device="cpu")
    assert str(caught.value) == (
        "pipeline.nodes.source: kind 'nvdec' works on a GPU only, and device=cpu is set\n"
        "  → set decoder=ffmpeg, or leave device=cpu out"
    )


def test_sound_is_read_beside_a_decoder_on_the_gpu_where_somebody_keeps_it(plan: MakePlan) -> None:
    made = plan(ON_GPU, machine=HOPPER_TRT)
    assert [port.name for port in made.node("source").outputs] == ["video"]
    assert made.node("sink").inputs == (Ref("restore-yuv420p", "out"), Ref("source-audio", "audio"))
    sound, frames = made.node("source-audio").params, made.node("source").params
    assert (sound.path, sound.tracks, sound.start, sound.end) == (frames.path, frames.tracks, frames.start, frames.end)
    for muted in (
        ON_GPU.replace('path: "@out.mp4"', 'path: "@out.mp4", audio: none'),
        ON_GPU.replace("[restore, source.audio]", "restore"),
        ON_GPU.replace("clip.mp4", "silent.mp4").replace("[restore, source.audio]", "restore"),
    ):
        made = plan(muted, machine=HOPPER_TRT)
        assert "source-audio" not in {node.name for node in made}
        assert made.node("sink").inputs == (Ref("restore-yuv420p", "out"),)
    # A name that is the user's own stays the user's.
    taken = plan(ON_GPU.replace("prepare", "source-audio"), machine=HOPPER_TRT)
    assert (taken.node("source-audio").kind, taken.node("source-audio-").kind) == ("preprocess", "sound")
