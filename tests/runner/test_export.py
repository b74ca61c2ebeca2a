"""Test the export to BMF's graph JSON, which BMF's own command runs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import av
import pytest

from bmfgraph.errors import PlanError
from bmfgraph.plan.plan import Plan
from bmfgraph.runner.export import bmf_graph
from bmfgraph.system import ffmpeg4
from tests.compile import pipelines
from tests.compile.conftest import plan as plan
from tests.compile.machines import HOPPER_TRT
from tests.compile.pipelines import DETECT, UPSCALE, MakePlan
from tests.plan.views.pipelines import ON_GPU, TWO_SINKS

FRAMES = 8


def native(text: str) -> str:
    """Return a pipeline with BMF's own decoder and encoder."""
    return text.replace("{kind: decoder,", "{kind: decoder, backend: bmf,").replace(
        "{kind: encoder,", "{kind: encoder, backend: bmf,"
    )


COPY = native(pipelines.COPY)
ENCODED = native(TWO_SINKS).replace("{kind: encoder,", "{kind: encoder, audio: aac,")


@pytest.fixture(scope="session", autouse=True)
def libraries() -> None:
    """Prepare FFmpeg 4 for BMF."""
    ffmpeg4.prepare()


def run(plan: Plan, folder: Path) -> None:
    """Run the plan's JSON by ``run_bmf_graph`` of the installed BMF, which knows nothing of bmfgraph."""
    file = folder / "graph.json"
    file.write_text(json.dumps(bmf_graph(plan)))
    found = find_spec("bmf")
    assert found is not None
    assert found.submodule_search_locations
    package = Path(found.submodule_search_locations[0])
    environment = {**os.environ, "LD_LIBRARY_PATH": str(package / "lib")}
    command = [str(package / "bin" / "run_bmf_graph"), str(file)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def pictures(path: Path) -> list[tuple[float | None, bytes]]:
    """Return time and pixels of every frame."""
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray().tobytes()) for frame in container.decode(video=0)]


def sound(path: Path) -> int:
    """Count the audio packets."""
    with av.open(str(path)) as container:
        return sum(packet.size > 0 for packet in container.demux() if packet.stream.type == "audio")


def test_a_copy(plan: MakePlan, tmp_path: Path) -> None:
    run(plan(COPY), tmp_path)
    assert len(pictures(tmp_path / "out.mp4")) == len(pictures(tmp_path / "clip.mp4")) == FRAMES
    assert sound(tmp_path / "out.mp4") == sound(tmp_path / "clip.mp4") > 0


def test_two_sinks_and_a_conversion(plan: MakePlan, tmp_path: Path) -> None:
    run(plan(ENCODED), tmp_path)
    for name in ("out.mp4", "other.mkv"):
        assert [time for time, _ in pictures(tmp_path / name)] == [index / 25 for index in range(FRAMES)]
        assert sound(tmp_path / name) > 0
    with av.open(str(tmp_path / "other.mkv")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv444p"


@pytest.mark.wide
def test_pixels_are_those_of_a_run_by_bmfgraph(plan: MakePlan, clip: Callable[..., Path], tmp_path: Path) -> None:
    from bmfgraph.runner.isolated import run_isolated

    clip("rgb.mkv", codec="ffv1", pix_fmt="bgr0", audio="aac")
    # With slower presets, pictures of x264 depend on memory that it does not initialise: a few levels differ.
    made = plan(COPY.replace("clip.mp4", "rgb.mkv").replace("{kind: encoder,", "{kind: encoder, preset: ultrafast,"))
    run_isolated(made)
    ours = pictures(tmp_path / "out.mp4")
    (tmp_path / "out.mp4").unlink()
    run(made, tmp_path)
    assert pictures(tmp_path / "out.mp4") == ours
    assert len(ours) == FRAMES


@pytest.mark.parametrize("option", ["start: 0.08", "end: 0.2"])
def test_a_part(plan: MakePlan, tmp_path: Path, option: str) -> None:
    made = plan(COPY.replace("{kind: decoder,", f"{{kind: decoder, {option},"))
    run(made, tmp_path)
    assert len(pictures(tmp_path / "out.mp4")) == made.node("source").params.frame_count


@pytest.mark.parametrize("audio", ["none", "aac"])
def test_sound_left_out_and_encoded(plan: MakePlan, tmp_path: Path, audio: str) -> None:
    run(plan(COPY.replace("{kind: encoder,", f"{{kind: encoder, audio: {audio},")), tmp_path)
    assert len(pictures(tmp_path / "out.mp4")) == FRAMES
    assert (sound(tmp_path / "out.mp4") > 0) == (audio == "aac")


def test_streams_and_threads(plan: MakePlan) -> None:
    nodes = bmf_graph(plan(ENCODED))["nodes"]
    assert [node["id"] for node in nodes] == list(range(len(nodes)))
    assert len({node["alias"] for node in nodes}) == len(nodes)
    made = [stream["identifier"] for node in nodes for stream in node["output_streams"]]
    assert len(set(made)) == len(made)
    taken = {stream["identifier"] for node in nodes for stream in node["input_streams"]}
    # The second decoder reads audio only, and has its streams at the same positions.
    assert taken | {"source-audio_video"} == set(made)
    threads = {node["alias"]: node["scheduler"] for node in nodes}
    assert threads == {"source": 0, "sink": 1, "source-yuv444p-0": 0, "source-yuv444p": 0, "other": 1} | {
        "source-audio": 0
    }


def test_sound_is_not_lost_behind_a_conversion(plan: MakePlan, tmp_path: Path) -> None:
    made = plan(COPY.replace("{kind: encoder,", "{kind: encoder, pixel_format: yuv444p,"))
    for _ in range(5):
        run(made, tmp_path)
        assert sound(tmp_path / "out.mp4") == sound(tmp_path / "clip.mp4")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (
            native(UPSCALE),
            "prepare (preprocess), net (inference), restore (frames): such nodes run inside bmfgraph only",
        ),
        (
            native(DETECT),
            "prepare (preprocess), net (inference), faces (detections), draw (overlay) and 1 more: such nodes",
        ),
        (pipelines.COPY, "source (decoder), sink (encoder): such nodes run inside bmfgraph only"),
        (COPY.replace('path: "@out.mp4"', 'container: "null"'), "sink (encoder): such nodes run inside bmfgraph only"),
    ],
)
def test_what_bmf_cannot_run_alone(plan: MakePlan, text: str, named: str) -> None:
    with pytest.raises(PlanError) as caught:
        bmf_graph(plan(text))
    assert f"BMF alone cannot run {named}" in str(caught.value)
    assert caught.value.node == named.split()[0]
    assert caught.value.hint


def test_decoders_on_the_gpu_are_ours(plan: MakePlan) -> None:
    with pytest.raises(PlanError, match=r"source \(nvdec\)"):
        bmf_graph(plan(ON_GPU, machine=HOPPER_TRT))
