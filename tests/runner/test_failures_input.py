"""Test inputs and models that are missing, damaged or of another type."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

from tests.runner.command import bmfgraph, frames_in, message_has
from tests.runner.conftest import Workplace

Fails = Callable[..., str]


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("none.mp4", ["does not exist", "check the path"]),
        ("cut_good.mp4", ["is not a video", "cut off"]),
        ("cut_index_first.mp4", ["is cut off", "decoder.on_error=skip"]),
        ("/dev/zero", ["is a device"]),
        ("sound.mp4", ["no video stream", "audio"]),
        ("good.mp4/none.mp4", ["does not exist"]),
        ("x" * 300, ["cannot be read .File name too long"]),
        ("nothing", ["is a folder without pictures"]),
        ("empty.mp4", ["is not a video"]),
        ("text.mp4", ["is not a video"]),
    ],
)
def test_an_input_that_cannot_be_used(fails: Fails, clips: Path, name: str, parts: list[str]) -> None:
    message_has(fails(bmfgraph(f"input={clips / name}")), "node 'source' .decoder.", *parts)


def test_an_unreadable_input(fails: Fails, place: Workplace, clips: Path, powerless: list[str]) -> None:
    secret = place.folder / "secret.mp4"
    secret.write_bytes((clips / "good.mp4").read_bytes())
    secret.chmod(0)
    message_has(fails([*powerless, *bmfgraph("input=secret.mp4")]), "node 'source'", "may not be read", "chmod")


@pytest.mark.wide
@pytest.mark.parametrize("name", ["cut_good.mkv", "cut_index_first.mp4"])
def test_a_truncated_input_is_used_if_allowed(place: Workplace, clips: Path, name: str) -> None:
    ended = place.start(bmfgraph(f"input={clips / name}", "output=out.mp4", "decoder.on_error=skip")).wait()
    assert ended.code == 3
    message_has(str(ended.err), "warning.W124.: pipeline.nodes.source: .* frames could not be decoded.*its last [12]")
    assert 40 < frames_in(place.output) < 65


def test_a_truncated_matroska_file_fails_without_leave(fails: Fails, clips: Path) -> None:
    message = fails(bmfgraph(f"input={clips / 'cut_good.mkv'}"))
    message_has(message, "node 'source' .decoder.", "its segment ends .* bytes behind the file's end", "on_error=skip")


@pytest.mark.wide
def test_a_truncated_transport_stream_is_whole_up_to_its_end(place: Workplace, clips: Path) -> None:
    place.run(bmfgraph(f"input={clips / 'cut_good.ts'}", "output=out.mp4")).success()
    assert 40 < frames_in(place.output) < 65


@pytest.mark.wide
def test_damage_in_the_middle_ends_in_a_message_or_a_whole_file(place: Workplace, clips: Path) -> None:
    words = (f"input={clips / 'damaged.mp4'}", "output=out.mp4")
    ended = place.run(bmfgraph(*words))
    if ended.code:
        message_has(ended.error(), "node 'source'", "decoder.on_error=skip")
        assert place.start(bmfgraph(*words, "decoder.on_error=skip")).wait().code in (0, 3)
    assert 45 < frames_in(place.output) <= 90


def test_a_model_that_cannot_be_used(
    fails: Fails, place: Workplace, clips: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("models")
    network = (resources.files("bmfgraph.models") / "vsr_x2_fast_video.onnx").read_bytes()
    (folder / "cut.onnx").write_bytes(network[: len(network) // 2])
    (folder / "noise.onnx").write_bytes(os.urandom(20_000))
    (folder / "empty.onnx").touch()
    good = f"input={clips / 'good.mp4'}"
    for name, part in (
        ("none.onnx", "does not exist"),
        ("cut.onnx", "not an ONNX model, or it is damaged"),
        ("noise.onnx", "not an ONNX model, or it is damaged"),
        ("empty.onnx", "holds no network"),
    ):
        message_has(fails(bmfgraph(good, f"model.file={folder / name}")), r"pipeline\.nodes\.upscale: ", part)


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("++engine.input_shapes={input: [1, 4, 48, 64]}", r"nodes\.upscale: engine.input_shapes.input"),
        ("pipeline.nodes.prepare.dtype=float16", r"nodes\.upscale: input input .* expects .*float16"),
        ("encoder.crf=60", r"nodes\.sink: crf 60 is out of range for x264: 0\.\.51"),
        ("encoder.codec=x266", r"nodes\.sink\.codec: .*x266.* allowed"),
        ("encoder=x266", "encoder=x266: there is no such option .did you mean 'x26[45]'"),
        ("encoder.crv=20", r"nodes\.sink\.crv: unknown key .did you mean 'crf'"),
        ("encoder.crf=[", r"encoder\.crf=\["),
    ],
)
def test_a_mistake_in_the_configuration(place: Workplace, clips: Path, word: str, part: str) -> None:
    ended = place.run(bmfgraph(f"input={clips / 'good.mp4'}", "output=out.mp4", word))
    assert ended.code == 2, ended
    assert ended.err.startswith("bmfgraph: error["), ended.err
    assert ended.err.count("error[") == 1
    assert "Traceback" not in ended.err
    message_has(ended.err, part)
