"""bmfgraph from Python: compose, load, build in code, check, plan, run, stream."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import importlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Literal

import av
import numpy as np
import pytest

import bmfgraph as bg
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.collect import CollectSpec
from bmfgraph.nodes.decoder import DecoderSpec
from bmfgraph.nodes.encoder import EncoderSpec
from bmfgraph.plan.plan import Inferred, InputType, PlanNode, Requirement
from bmfgraph.plan.types import FrameSpec, Port, PortType
from bmfgraph.runner.result import RunResult
from bmfgraph.runner.stream import DetectionsItem, FrameItem, TensorsItem

Clip = Callable[..., Path]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def copying(clip: Path, path: str = "copy.mkv") -> bg.Job:
    pipeline = bg.Pipeline("copy")
    source = pipeline.add("source", "decoder", path=str(clip))
    pipeline.add("sink", "encoder", source.video, path=path, preset="ultrafast")
    return bg.Job(pipeline, overwrite=True)


def test_all_public_names_are_there() -> None:
    assert all(getattr(bg, name) is not None for name in bg.__all__)
    assert list(bg.__all__) == sorted(bg.__all__)
    assert dir(bg) == list(bg.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bg.nothing  # noqa: B018


def test_import_is_light_and_quiet(tmp_path: Path) -> None:
    code = """
import sys, bmfgraph as bg
heavy = {"torch", "bmf", "hydra", "omegaconf", "pydantic", "onnx", "av", "numpy"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_nothing_is_printed(clip: Clip, tmp_path: Path) -> None:
    clip("clip.mp4", frames=3)
    code = """
import bmfgraph as bg
job = bg.compose("super_resolution", "encoder.preset=ultrafast", input="clip.mp4", output="x2.mp4", report="r.json")
assert job.check().ok
job.build()
job.run(progress=lambda progress: None)
for frame in job.stream("restore"): pass
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("", "")
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "x2.mp4", "r.json"}


def test_compose_takes_values_as_they_are(clip: Clip) -> None:
    path = clip("a=b, [ü].mp4", frames=3)
    job = bg.compose("super_resolution", "engine=fp16", input=path, output="x2=ü.mp4", engine={"threads": 1})
    assert job.spec.input == str(path)
    assert job.config["engine"]["precision"] == "fp16"
    assert job.plan().node("sink").params.path == "x2=ü.mp4"
    assert job.config["pipeline"]["nodes"]["upscale"]["engine"]["threads"] == 1


def test_compose_and_the_command_line_give_equal_plans(clip: Clip, compose: Callable[..., dict[str, Any]]) -> None:
    clip("clip.mp4", frames=3)
    words = ("engine=fp16", "encoder.crf=20")
    python = bg.compose("face_detection", *words, input="clip.mp4").plan()
    yaml = bg.Job.from_config(compose("pipeline=face_detection", "input=clip.mp4", *words)).plan()
    assert python.hash() == yaml.hash()


def test_load_a_file_and_a_mapping(clip: Clip, tmp_path: Path) -> None:
    clip("clip.mp4", frames=3)
    text = """
name: mine
nodes:
  source: {use: "${decoder}", path: "${input}"}
  sink: {kind: encoder, inputs: [source.video, source.audio], use: "${encoder}", path: "${output}"}
"""
    (tmp_path / "mine.yaml").write_text(text)
    from_file = bg.load("mine.yaml", "encoder.crf=30", input="clip.mp4", output="out.mkv")
    nodes = {
        "source": {"use": "${decoder}", "path": "${input}"},
        "sink": {
            "kind": "encoder",
            "inputs": ["source.video", "source.audio"],
            "use": "${encoder}",
            "path": "${output}",
        },
    }
    mapping = bg.load({"name": "mine", "nodes": nodes}, "encoder.crf=30", input="clip.mp4", output="out.mkv")
    assert from_file.plan().hash() == mapping.plan().hash()
    assert dict(from_file.plan().node("sink").params.options)["crf"] == "30"


def test_load_a_file_with_defaults(clip: Clip, tmp_path: Path) -> None:
    clip("clip.mp4", frames=3)
    text = "# @package _global_\ndefaults:\n  - override /encoder: x264\npipeline:\n  name: own\n  nodes:\n"
    text += "    source: {use: '${decoder}', path: '${input}'}\n"
    text += "    sink: {kind: encoder, inputs: [source.video], path: own.mkv}\n"
    (tmp_path / "conf" / "pipeline").mkdir(parents=True)
    (tmp_path / "conf" / "pipeline" / "own.yaml").write_text(text)
    assert bg.load("conf/pipeline/own.yaml", input="clip.mp4").plan().name == "own"
    assert bg.compose("own", config_dir="conf", input="clip.mp4").plan().name == "own"
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(bg.ConfigError, match="does not lie in a folder named pipeline"):
        bg.load("own.yaml", input="clip.mp4")


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: bg.compose("super_resolutoin"), "E103"),
        (lambda: bg.compose("super_resolution", inptu="x"), "E104"),
        (lambda: bg.compose("super_resolution", "engine.bacth=2").plan(), "E203"),
        (lambda: bg.compose("super_resolution", "device=gpu").plan(), "E110"),
        (lambda: bg.compose("super_resolution", config_dir="nowhere"), "E102"),
        (lambda: bg.load("nowhere.yaml"), "E106"),
        (lambda: bg.load({"name": "x", "nodes": {}}).plan(), "E208"),
        (lambda: bg.model("centerfaze"), "E103"),
        (lambda: bg.engine("fp16", bacth=2), "E203"),
        (lambda: bg.Pipeline("x").add("a", "decodre"), "E211"),
        (lambda: bg.Pipeline("x").add("a", "decoder", path="x", pth="x"), "E203"),
        (lambda: bg.Pipeline("x").add("a", "decoder", path="x").vidio, "E217"),
        (lambda: bg.compose("super_resolution", target="no.json").run(), "E113"),
        (lambda: bg.compose("super_resolution", input="no.mp4").stream("restore"), "E401"),
        (lambda: bg.compose("super_resolution").stream("restore", device="gpu"), "E110"),
    ],
)
def test_errors_carry_their_problems(call: Callable[[], object], code: str) -> None:
    with pytest.raises(bg.BmfgraphError) as caught:
        call()
    assert [problem.code for problem in caught.value.problems] == [code]
    assert all(problem.hint for problem in caught.value.problems)


def test_check_tells_all_at_once(clip: Clip) -> None:
    result = bg.compose("super_resolution", "encoder.crf=99", "pipeline.nodes.prepare.sise=3", input="no.mp4").check()
    assert not result.ok
    assert {problem.path for problem in result.problems} >= {
        "pipeline.nodes.sink.crf",
        "pipeline.nodes.prepare.sise",
        "pipeline.nodes.source",
    }
    clip("clip.mp4", frames=3)
    right = bg.compose("super_resolution", input="clip.mp4").check()
    assert right.ok
    assert right.plan.name == "super_resolution"


def test_a_job_is_frozen(clip: Clip) -> None:
    job = copying(clip("clip.mp4", frames=3))
    with pytest.raises(FrozenInstanceError):
        job.config = {}  # type: ignore[misc]


def test_a_pipeline_in_code_equals_the_same_in_yaml(clip: Clip) -> None:
    path = clip("clip.mp4", frames=3)
    pipeline = bg.Pipeline("up")
    source = pipeline.add("source", DecoderSpec(kind="decoder", path=str(path)))
    prepare = pipeline.add("prepare", "preprocess", source.video)
    model, engine = bg.model("vsr_x2_fast"), bg.engine("fp32")
    upscale = pipeline.add("upscale", "inference", prepare, model=model, engine=engine)
    restore = pipeline.add("restore", "frames", upscale)
    pipeline.add("sink", EncoderSpec(kind="encoder", path="x2.mkv"), restore)
    data = {
        "name": "up",
        "nodes": {
            "source": {"kind": "decoder", "path": str(path)},
            "prepare": {"kind": "preprocess", "inputs": "source.video"},
            "upscale": {"kind": "inference", "inputs": "prepare", "model": "${model}", "engine": "${engine}"},
            "restore": {"kind": "frames", "inputs": "upscale"},
            "sink": {"kind": "encoder", "inputs": "restore", "path": "x2.mkv"},
        },
    }
    assert bg.Job(pipeline).plan().hash() == bg.load(data, "model=vsr_x2_fast").plan().hash()


def test_run_gives_a_result(clip: Clip, tmp_path: Path) -> None:
    seen: list[bg.Progress] = []
    job = copying(clip("clip.mp4", frames=30))
    result = job.run(progress=seen.append)
    assert isinstance(result, RunResult)
    assert (result.frames, result.outputs) == (30, {"sink": Path("copy.mkv")})
    assert result.nodes["source"].frames == 30
    assert result.nodes["sink"].p95_ms is not None
    assert result.fps == result.frames / result.seconds
    assert result.report()["frames"] == {"in": 30, "out": 30}
    assert all(progress.task == "copy" and progress.unit == "frames" for progress in seen)
    assert job.run(output_folder=tmp_path).outputs == {"sink": tmp_path / "sink.mkv"}


def test_runs_in_several_threads(clip: Clip) -> None:
    jobs = [copying(clip("clip.mp4", frames=20), f"copy{number}.mkv") for number in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(bg.Job.run, jobs))
    assert [result.frames for result in results] == [20] * 4
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        composed = list(pool.map(lambda name: bg.compose(name).spec, ["super_resolution", "face_detection"] * 4))
    assert {spec.pipeline.name for spec in composed if spec.pipeline} == {"super_resolution", "face_detection"}


@pytest.mark.wide
def test_isolated_runs_side_by_side(clip: Clip) -> None:
    jobs = [copying(clip("clip.mp4", frames=20), f"copy{number}.mkv") for number in range(2)]
    seen: list[bg.Progress] = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(job.run, isolated=True, progress=seen.append) for job in jobs]
        results = [run.result() for run in runs]
    assert [result.frames for result in results] == [20, 20]
    assert all(Path(f"copy{number}.mkv").exists() for number in range(2))


def test_an_isolated_run_that_fails(clip: Clip, tmp_path: Path) -> None:
    path = clip("clip.mp4", frames=20)
    with pytest.raises(bg.RunError) as caught:
        copying(path, "/dev/full/x.mkv").run(isolated=True)
    assert caught.value.problems[0].code == "E411"

    class Local(CollectSpec):
        """Cannot be imported by name."""

    pipeline = bg.Pipeline("local")
    source = pipeline.add("source", "decoder", path=str(path))
    pipeline.add("end", Local(), source.video)
    with pytest.raises(bg.RunError, match="cannot be sent to a child process") as sent:
        bg.Job(pipeline).run(isolated=True)
    assert sent.value.problems[0].code == "E809"


def test_stream_of_detections(samples: Any) -> None:
    clip = samples["carphone"]
    job = bg.compose("face_detection", input=str(clip))
    found = list(job.stream("faces"))
    assert [item.index for item in found] == list(range(120))
    first = found[0]
    assert isinstance(first, DetectionsItem)
    assert first.boxes.shape == (1, 4)
    assert first.boxes.dtype == first.scores.dtype == np.float32
    assert first.labels == ("face",)
    last = found[-1]
    assert isinstance(last, DetectionsItem)
    assert last.pts == Fraction(119 * 1001, 30000)
    assert not Path("outputs").exists()


def test_stream_of_frames_is_the_decoded_picture(clip: Clip) -> None:
    path = clip("clip.mp4", frames=5)
    frames = list(copying(path).stream("source"))
    with av.open(str(path)) as container:
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == len(expected) == 5
    for frame, pixels in zip(frames, expected, strict=True):
        assert isinstance(frame, FrameItem)
        assert frame.numpy().shape == pixels.shape
        assert not frame.numpy().flags.writeable
        # PyAV repeats chroma samples, where the pipeline interpolates them.
        assert np.abs(frame.numpy().astype(int) - pixels).mean() <= 4


def test_stream_of_tensors(clip: Clip) -> None:
    item = next(bg.compose("super_resolution", input=str(clip("clip.mp4", frames=3))).stream("upscale", device="cpu"))
    assert isinstance(item, TensorsItem)
    assert item.pts == (Fraction(0),)
    assert item.tensors["output"].shape == (1, 3, 96, 128)


def test_a_stream_closed_early_ends_its_run(clip: Clip) -> None:
    job = copying(clip("clip.mp4", frames=300))
    for frame in job.stream("source"):
        if frame.index == 10:
            break
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("bmfgraph")]
    assert job.run().frames == 300


def test_a_slow_consumer_holds_the_pipeline_back(clip: Clip) -> None:
    stream = copying(clip("clip.mp4", frames=300)).stream("source")
    next(stream)
    threading.Event().wait(0.5)
    monitors = [thread for thread in threading.enumerate() if thread.name == "bmfgraph-stream-source"]
    assert len(monitors) == 1, "it waits"
    assert sum(1 for _ in stream) == 299


def test_streams_and_runs_side_by_side(clip: Clip) -> None:
    job = copying(clip("clip.mp4", frames=60))
    first, second = job.stream("source"), job.stream("source")
    assert [next(first).index, next(second).index, next(first).index, next(second).index] == [0, 0, 1, 1]
    assert job.run().frames == 60
    assert [len(list(stream)) for stream in (first, second)] == [58, 58]


@dataclass(frozen=True)
class Nothing:
    """No parameters."""


class Breaking(NodeSpec):
    """Fails at frame 2."""

    kind: Literal["breaking"] = "breaking"
    stage: ClassVar[str] = "tests.test_api:BreakingStage"

    def accepts(self, index: int) -> InputType:
        return InputType(FrameSpec, "rgb24")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        frames = inputs[0]
        assert isinstance(frames, FrameSpec)
        return Inferred((Port("out", frames.as_rgb()),), Nothing())


def __getattr__(name: str) -> Any:
    """The stage is made on demand: its base class imports torch."""
    if name != "BreakingStage":
        raise AttributeError(name)
    from bmfgraph.stages.base import Stage

    class BreakingStage(Stage):
        def process(self, *items: Any) -> Any:
            if items[0].index == 2:
                raise ValueError("no more of these frames")
            return items

    return BreakingStage


def test_a_stream_that_fails_raises_after_its_items(clip: Clip) -> None:
    pipeline = bg.Pipeline("breaks")
    source = pipeline.add("source", "decoder", path=str(clip("clip.mp4", frames=5)))
    pipeline.add("broken", Breaking(), source.video)
    frames: list[int] = []
    with pytest.raises(bg.RunError, match=r"node 'broken' .*frame 2.*no more of these frames") as caught:
        frames.extend(item.index for item in bg.Job(pipeline).stream("broken"))
    # The nodes run side by side: the failure may come before the frames.
    assert frames == [0, 1][: len(frames)]
    assert caught.value.problems[0].path == "pipeline.nodes.broken"


@pytest.mark.wide
def test_a_stream_of_several_nodes(clip: Clip) -> None:
    job = bg.compose("super_resolution", input=clip("clip.mp4", frames=5, size=(64, 48)))
    pairs = list(job.stream("source", "restore", "upscale"))
    assert [[item.index for item in items] for items in pairs] == [[number] * 3 for number in range(5)]
    small, large, tensors = pairs[2]
    assert (small.numpy().shape, large.numpy().shape) == ((48, 64, 3), (96, 128, 3))
    assert isinstance(tensors, TensorsItem)


@pytest.mark.parametrize(
    ("output", "code", "words"),
    [
        ("sourze", "E216", r"no node 'sourze' \(did you mean 'source'\?\)"),
        ("source.vidio", "E217", r"no port 'vidio' \(did you mean 'video'\?\)"),
        ("sink", "E217", r"'sink' \(encoder\) has no output; it takes 'restore' and 'source.audio'"),
        ("source.audio", "E301", "'source.audio' carries audio"),
    ],
)
def test_a_stream_that_cannot_be(clip: Clip, output: str, code: str, words: str) -> None:
    job = bg.compose("super_resolution", input=clip("clip.mp4", frames=3, audio="aac"))
    with pytest.raises(bg.SpecError, match=words) as caught:
        job.stream(output)
    (problem,) = caught.value.problems
    assert (problem.path, problem.code) == ("stream", code)
    assert problem.hint
    with pytest.raises(TypeError, match="needs the name of a node"):
        job.stream()


def test_a_stream_of_an_inference_node_with_several_outputs(clip: Clip) -> None:
    item = next(bg.compose("face_detection", input=clip("clip.mp4", frames=3)).stream("detect"))
    assert len(item.tensors) == 4
    assert {tensor.shape[0] for tensor in item.tensors.values()} == {1}


def test_a_node_may_be_named_stream(clip: Clip) -> None:
    pipeline = bg.Pipeline("named")
    source = pipeline.add("stream", "decoder", path=clip("clip.mp4", frames=3))
    pipeline.add("sink", "encoder", source.video, path="x.mkv")
    assert len(list(bg.Job(pipeline).stream("stream"))) == 3


def test_a_clip_of_one_frame(clip: Clip) -> None:
    path = clip("clip.mp4", frames=1)
    assert copying(path).run().frames == 1
    for model in ("vsr_x2_fast", "vsr_x2_temporal"):
        (frame,) = bg.compose("super_resolution", f"model={model}", input=path).stream("restore")
        assert (frame.index, frame.pts) == (0, 0)


def test_a_clip_that_goes_away(clip: Clip) -> None:
    path = clip("clip.mp4", frames=3)
    stream = copying(path).stream("source")
    path.unlink()
    with pytest.raises(bg.RunError, match=r"'source'.*No such file"):
        next(stream)
    assert copying(clip("clip.mp4", frames=3)).run().frames == 3


def test_a_stream_may_end_in_another_thread(clip: Clip) -> None:
    job = copying(clip("clip.mp4", frames=60))
    streams = [job.stream("source")]
    next(streams[0])
    collector = threading.Thread(target=streams.clear)
    collector.start()
    collector.join()
    assert job.run().frames == 60
    stream = job.stream("source")
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        indices = [pool.submit(next, stream).result().index for _ in range(5)]
    stream.close()
    assert indices == list(range(5))
    assert job.run().frames == 60


def test_an_exception_in_the_consumer_ends_the_run(clip: Clip) -> None:
    job = copying(clip("clip.mp4", frames=300))

    def consume() -> None:
        for frame in job.stream("source"):
            raise LookupError(f"frame {frame.index}")

    with pytest.raises(LookupError, match="frame 0"):
        consume()
    assert job.run().frames == 300


@pytest.mark.wide
def test_ctrl_c_while_iterating(clip: Clip, tmp_path: Path) -> None:
    clip("clip.mp4", frames=3000)
    code = """
import os, signal, threading
import bmfgraph as bg
job = bg.compose("face_detection", input="clip.mp4")
try:
    for found in job.stream("faces"):
        if found.index == 3:
            os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("bmfgraph")]
    print("stopped at", found.index, left)
print(next(job.stream("source")).index)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("stopped at 3 []\n0\n", "")


@pytest.mark.wide
def test_a_progress_callback_that_raises(clip: Clip) -> None:
    def raising(_: bg.Progress) -> None:
        raise LookupError("of the callback")

    for isolated in (False, True):
        with pytest.raises(LookupError, match="of the callback"):
            copying(clip("clip.mp4", frames=600)).run(progress=raising, isolated=isolated)
        assert not list(Path.cwd().glob("copy*"))
    assert copying(clip("clip.mp4", frames=5)).run().frames == 5


@pytest.mark.wide
def test_a_progress_callback_that_raises_after_the_last_frame(clip: Clip) -> None:
    def raising(progress: bg.Progress) -> None:
        time.sleep(1)
        if progress.done == progress.total:
            raise LookupError("of the callback")

    for isolated in (False, True):
        with pytest.raises(LookupError, match="of the callback"):
            copying(clip("clip.mp4", frames=5)).run(progress=raising, isolated=isolated)
        assert not list(Path.cwd().glob("copy*"))


def test_run_in_an_event_loop(clip: Clip) -> None:
    job = copying(clip("clip.mp4", frames=5))

    async def blocking_and_beside() -> list[int]:
        return [job.run().frames, (await asyncio.to_thread(job.run)).frames]

    assert asyncio.run(blocking_and_beside()) == [5, 5]


def test_everything_can_be_pickled(clip: Clip) -> None:
    job = bg.compose("super_resolution", input=clip("clip.mp4", frames=3), output="x.mkv")
    for thing in (job, job.check(), job.plan(), job.run()):
        assert pickle.loads(pickle.dumps(thing)) == thing
    calls: list[Callable[[], Any]] = [
        lambda: bg.compose("super_resolutoin"),
        lambda: bg.compose("super_resolution", "engine.bacth=2", input="no.mp4").plan(),
        lambda: bg.compose("super_resolution", input="no.mp4").run(),
    ]
    for call in calls:
        with pytest.raises(bg.BmfgraphError) as caught:
            call()
        copy = pickle.loads(pickle.dumps(caught.value))
        assert (type(copy), str(copy), copy.problems) == (type(caught.value), str(caught.value), caught.value.problems)


@pytest.mark.wide
def test_logging_is_left_alone(clip: Clip, tmp_path: Path) -> None:
    clip("clip.mp4", frames=3)
    code = """
import logging
import bmfgraph as bg
job = bg.compose("super_resolution", input="clip.mp4", output="x.mkv", overwrite=True)
job.run()
job.run(isolated=True)
assert not logging.root.handlers
logging.basicConfig(level=logging.INFO, format="%(name)s|%(message)s")
job.run()
job.run(isolated=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    here, child = done.stderr.count("bmfgraph|upscale: "), done.stderr.count("\n")
    assert (done.stdout, here) == ("", 2)
    assert child == len([line for line in done.stderr.splitlines() if line.startswith("bmfgraph|")])


@pytest.mark.wide
def test_an_isolated_child_ends_with_its_parent(clip: Clip, tmp_path: Path) -> None:
    clip("clip.mp4", frames=3000)
    code = """
import os, signal
import bmfgraph as bg
def kill(progress):
    if progress.done > 5:
        os.kill(os.getpid(), signal.SIGKILL)
bg.compose("super_resolution", input="clip.mp4", output="x.mkv").run(isolated=True, progress=kill)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while processes_in(tmp_path) - {os.getpid()}:
        assert time.monotonic() < deadline, "the child goes on"
        time.sleep(0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def processes_in(folder: Path) -> set[int]:
    found = set()
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if link.readlink() == folder:
                found.add(int(link.parent.name))
    return found


@pytest.mark.wide
def test_an_isolated_child_finds_modules_as_its_parent_does(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    source = Path(__file__).read_text()
    (tmp_path / "mine" / "own_breaking.py").write_text(source.replace("tests.test_api:", "own_breaking:"))
    monkeypatch.syspath_prepend(tmp_path / "mine")
    kind = importlib.import_module("own_breaking").Breaking
    pipeline = bg.Pipeline("breaks")
    source_node = pipeline.add("source", "decoder", path=clip("clip.mp4", frames=5))
    pipeline.add("sink", "encoder", pipeline.add("broken", kind, source_node.video), path="x.mkv")
    with pytest.raises(bg.RunError, match=r"node 'broken' .*frame 2"):
        bg.Job(pipeline).run(isolated=True)


def test_add_takes_a_kind_a_class_or_an_instance(clip: Clip) -> None:
    path = clip("clip.mp4", frames=3)
    specs = []
    for node in ("decoder", DecoderSpec, DecoderSpec(kind="decoder", path="other.mp4", threads=2)):
        pipeline = bg.Pipeline("x")
        fields = {} if isinstance(node, str) else {"kind": "decoder"}
        pipeline.add("source", node, path=path, threads=2, **fields)
        specs.append(pipeline.spec().nodes["source"])
    assert specs == [DecoderSpec(kind="decoder", path=str(path), threads=2)] * 3
    with pytest.raises(bg.SpecError, match=r"pipeline.nodes.a.pth: unknown key \(did you mean 'path'\?\)"):
        bg.Pipeline("x").add("a", DecoderSpec, path="x", pth="x")


def test_groups_take_names_mappings_and_specs(clip: Clip) -> None:
    clip("clip.mp4", frames=3)

    def detect(**values: Any) -> tuple[object, ...]:
        job = bg.compose("face_detection", input="clip.mp4", **values)
        node = job.plan().node("detect")
        return node.params, job.config["engine"]["precision"], job.config["engine"]["threads"]

    named = detect(engine="fp16", model="centerface")
    assert named[1:] == ("fp16", None)
    assert detect(engine=bg.engine("fp16"), model=bg.model("centerface")) == named
    assert detect(engine=bg.engine("fp16", threads=1))[1:] == ("fp16", 1)
    assert detect(engine={"threads": 1})[1:] == ("fp32", 1)
    other = bg.compose("face_detection", input="clip.mp4", model=bg.model("ultraface_rfb_640", file="x.onnx"))
    assert (other.config["model"]["name"], other.config["model"]["file"]) == ("ultraface_rfb_640", "x.onnx")
    loaded = bg.load(
        {
            "name": "x",
            "nodes": {},
        },
        engine="fp16",
        input="clip.mp4",
    )
    assert loaded.config["engine"]["precision"] == "fp16"
    with pytest.raises(bg.ConfigError, match="fp61"):
        bg.compose("face_detection", engine="fp61")


def test_compose_takes_words_of_the_command_line(clip: Clip) -> None:
    words = ("engine=fp32", "input=clip.mp4")
    assert bg.compose("pipeline=super_resolution", *words) == bg.compose("super_resolution", *words)


def test_job_refuses_unknown_keys(clip: Clip) -> None:
    pipeline = bg.Pipeline("x")
    pipeline.add("source", "decoder", path="x")
    with pytest.raises(bg.ConfigError, match=r"reprot: there is no such key \(did you mean 'report'\?\)"):
        bg.Job(pipeline, reprot="r.json")


def test_check_for_another_machine_keeps_own_nodes(clip: Clip) -> None:
    pipeline = bg.Pipeline("breaks")
    source = pipeline.add("source", "decoder", path=clip("clip.mp4", frames=3))
    pipeline.add("sink", "encoder", pipeline.add("broken", Breaking, source.video), path="x.mkv")
    result = bg.Job(pipeline).check(target="no.json")
    assert [problem.path for problem in result.problems] == ["target"]


def test_a_plan_is_drawn_in_notebooks(clip: Clip) -> None:
    assert copying(clip("clip.mp4", frames=3)).plan()._repr_svg_().startswith("<svg")


def test_objects_have_short_texts(clip: Clip) -> None:
    job = copying(clip("clip.mp4", frames=3))
    assert repr(job) == "<Job copy: source, sink>"
    assert repr(job.check()) == "CheckResult(problems=())"
    assert len(repr(job.run())) < 400
