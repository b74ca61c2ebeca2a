"""Test engines from the command line: build, reuse, rebuild with a reason, list, reject."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from bmfgraph.api import Job
from bmfgraph.errors import EngineError
from bmfgraph.system.machine import find_gpu
from tests.conftest import located
from tests.runner.conftest import Workplace
from tests.tools import make_clip

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None, reason="pip install 'bmfgraph[rtx]'"
)
no_gpu = pytest.mark.skipif(find_gpu()[0] is not None, reason="there is a GPU here")

RTX = ("engine=fp16", "engine.runtime=tensorrt_rtx", "input=clip.mp4")
Compose = Callable[..., dict[str, Any]]


def bmfgraph(*words: str) -> list[str]:
    return [sys.executable, "-m", "bmfgraph", *words]


@pytest.fixture
def here(place: Workplace) -> Workplace:
    """Return a folder with a small clip."""
    make_clip(place.folder / "clip.mp4", frames=4, audio="aac")
    return place


@pytest.fixture
def build(here: Workplace, monkeypatch: pytest.MonkeyPatch, compose: Compose, capsys: Any) -> Callable[..., str]:
    """Return a function that builds in this process and returns the messages, without the folder."""
    monkeypatch.chdir(here.folder)

    def run(*words: str) -> str:
        Job.from_config(compose("pipeline=super_resolution", *RTX, "progress=false", *words)).build()
        told: str = capsys.readouterr().err
        return told

    return run


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("pipeline", "node", "model"),
    [("super_resolution", "upscale", "vsr_x2_fast_video"), ("face_detection", "detect", "centerface")],
)
def test_build_makes_the_engines_and_nothing_else(
    here: Workplace, pipeline: str, node: str, model: str, compose: Compose
) -> None:
    data = compose(f"pipeline={pipeline}")["model"]
    if "source" in data:
        located(data["source"], data["sha256"])
    told = here.run(bmfgraph("build", f"pipeline={pipeline}", *RTX)).success().err.splitlines()
    assert len(told) == 3, told
    assert re.fullmatch(
        rf"bmfgraph: building an engine for {model} \(fp16, TensorRT-RTX .*\): the first of .*", told[0]
    )
    assert re.fullmatch(rf"bmfgraph: built the engine for {model}: \d+\.\d MB in \d+\.\d s", told[1])
    (folder,) = (here.folder / "engines" / model).iterdir()
    assert told[2] == f"bmfgraph: {node}: engines/{model}/{folder.name}/engine.plan"
    assert sorted(path.name for path in folder.iterdir()) == ["build.log", "engine.plan", "manifest.json"]
    assert [name for name in here.files() if not name.startswith("engines")] == ["clip.mp4"]
    # The second build reuses the engine.
    again = here.run(bmfgraph("build", f"pipeline={pipeline}", *RTX)).success().err.splitlines()
    assert again == [told[2]]
    assert sorted(path.name for path in folder.iterdir()) == ["build.log", "engine.plan", "manifest.json", "used"]


@pytest.mark.wide
def test_what_changes_is_built_anew_and_says_why(here: Workplace, build: Callable[..., str]) -> None:
    make_clip(here.folder / "wide.mp4", size=(96, 48), frames=3)
    assert "the first of this model" in build()
    for words, why in (
        (["engine.precision=fp32"], "precision"),
        (["engine.batch=4"], "profiles"),
        (["engine.optimization_level=1"], "flags"),
        (["input=wide.mp4"], "profiles"),
    ):
        assert f"): rebuilt because: {why}\n" in build(*words)
        assert "building" not in build(*words)
    assert "building" not in build("engine.streams=2", "engine.build=never", "engine.cuda_graph=true")
    assert "rebuilt because: it was asked for\n" in build("engine.build=always")
    assert len(list((here.folder / "engines").glob("*/*/engine.plan"))) == 5


def test_a_damaged_engine_is_built_anew(here: Workplace, build: Callable[..., str]) -> None:
    build()
    (plan,) = here.folder.glob("engines/*/*/engine.plan")
    size = plan.stat().st_size
    plan.write_bytes(plan.read_bytes()[:1000])
    with pytest.raises(EngineError, match=rf"is damaged: engine\.plan has 1000 bytes, not {size}"):
        build("engine.build=never")
    assert f"rebuilt because: engine.plan has 1000 bytes, not {size}\n" in build()
    assert "building" not in build()


def test_nothing_is_built_where_that_is_not_wanted_or_not_needed(here: Workplace, build: Callable[..., str]) -> None:
    with pytest.raises(EngineError) as caught:
        build("engine.build=never")
    assert str(caught.value) == (
        "pipeline.nodes.upscale: 'engines' has no engine of 'vsr_x2_fast_video'; engine.build is 'never'\n"
        "  → build it: engine.build=auto, or take over a store that has it"
    )
    told = build("engine=fp32", "engine.runtime=onnxruntime")
    assert told == "bmfgraph: super_resolution: its models need no engines\n"
    told = build("engine=fp16", "engine.runtime=auto", "device=cpu")
    assert told.startswith("bmfgraph: warning[W103]: pipeline.nodes.upscale: computes in fp32, not in fp16: ")
    assert told.endswith("its models need no engines\n")
    build()
    with pytest.raises(EngineError, match=r"the nearest, \w{16}, differs in precision 'fp16' there, 'fp32' here; "):
        build("engine.build=never", "engine.precision=fp32")
    assert len(list((here.folder / "engines").glob("*/*/engine.plan"))) == 1


def test_int8_is_calibrated_and_built(here: Workplace, build: Callable[..., str]) -> None:
    pytest.importorskip("onnxruntime")
    told = build("engine.precision=int8", "engine.calibration=clip.mp4", "engine.calibration_frames=2")
    assert "building an engine for vsr_x2_fast_video (int8, " in told
    (manifest,) = here.folder.glob("engines/*/*/manifest.json")
    key = json.loads(manifest.read_text())["key"]
    assert (key["precision"], len(key["calibration"])) == ("int8", 64)


@pytest.mark.wide
def test_plan_prints_the_engine_and_its_shapes(here: Workplace) -> None:
    ended = here.run(bmfgraph("plan", "pipeline=super_resolution", *RTX, "engine.batch=2")).success()
    nodes = {node["name"]: node for node in json.loads(ended.out)["nodes"]}
    engine = nodes["upscale"]["params"]["engine"]
    assert re.fullmatch(r"engines/vsr_x2_fast_video/[0-9a-f]{16}/engine\.plan", engine["path"])
    assert engine["input_shapes"] == [["input", [2, 3, 48, 64]]]
    assert engine["output_shapes"] == [["output", [2, 3, 96, 128]]]
    assert {name: nodes[name]["device"] for name in ("source", "upscale", "sink")} == {
        "source": "cpu",
        "upscale": "cuda",
        "sink": "cpu",
    }
    assert here.files() == ["clip.mp4"]


# ruff: noqa: E501
@pytest.mark.sample(2)
@no_gpu
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (RTX, 1, r"pipeline\.nodes\.upscale: engine\.runtime=tensorrt_rtx runs on an NVIDIA GPU, and .*\n  → run it on a machine with a GPU, or leave engine\.runtime out to use the CPU"),
        (("decoder=nvdec", "input=clip.mp4"), 1, r"pipeline\.nodes\.source: kind 'nvdec' runs on an NVIDIA GPU, and .*\n  → run it on"),
        (("decoder=ffmpeg", "engine.runtime=tensorrt", "input=clip.mp4"), 1, r"TensorRT's engines are built for one GPU, and "),
        (("device=cuda", "input=clip.mp4"), 1, r"device: cuda needs a GPU, but .*\n  → set device=auto to run on the CPU"),
        (("device=cuuda", "input=clip.mp4"), 2, r"device: 'cuuda' is not allowed \(did you mean 'cuda'\?\); allowed: auto, cpu, cuda"),
    ],
    ids=["runtime", "decoder", "gpu engine", "cuda", "cuuda"],
)  # fmt: skip
def test_what_cannot_run_here_is_refused_before_anything_is_built(
    here: Workplace, words: tuple[str, ...], code: int, message: str
) -> None:
    # A failing run does not change the folder.
    error = here.run(bmfgraph("run", "pipeline=super_resolution", *words, "output=out.mp4")).error(code)
    assert re.search(message, error), error


def test_the_store_from_the_command_line(here: Workplace, build: Callable[..., str]) -> None:
    build("engine.store=shelf")
    (folder,) = (here.folder / "shelf" / "vsr_x2_fast_video").iterdir()

    def engines(*words: str) -> Any:
        return here.start(bmfgraph("engines", *words, "--store", "shelf")).wait()

    listed = engines("list").success().out
    assert all(word in listed for word in ("vsr_x2_fast_video", folder.name, "fp16", "TensorRT-RTX", "1x3x48x64", "ok"))
    shown = json.loads(engines("show", folder.name[:6]).success().out)
    tensors = {one["name"]: (one["mode"], one["dims"]) for one in shown["tensors"]}
    assert tensors == {"input": ("input", [-1, 3, -1, -1]), "output": ("output", [-1, 3, -1, -1])}
    assert shown["key"]["profiles"]["input"]["max"] == [1, 3, 48, 64]
    assert engines("verify").success().out == "1 engine(s), 0 damaged\n"
    (folder / "engine.plan").write_bytes(b"x")
    assert engines("verify").code == 1
    assert engines("prune").success().out.splitlines()[-1].startswith("deleted 1 item(s), ")
    assert not folder.exists()


def test_a_folder_of_configs_may_stand_between_overrides(here: Workplace) -> None:
    group = here.folder / "my conf" / "engine"
    group.mkdir(parents=True)
    (group / "mine.yaml").write_text("defaults: [fp32, _self_]\nbatch: 3\n")
    command = bmfgraph("plan", "input=clip.mp4", "--config-dir", "my conf", "pipeline=super_resolution", "engine=mine")
    plan = json.loads(here.run([*command, "engine.threads=1"]).success().out)
    (net,) = (node["params"]["engine"] for node in plan["nodes"] if node["kind"] == "inference")
    assert (net["batch"], net["threads"]) == (3, 1)


def test_a_verb_that_is_none(here: Workplace) -> None:
    ended = here.run(bmfgraph("biuld", "pipeline=super_resolution"))
    assert (ended.code, ended.err) == (
        2,
        "bmfgraph: error[E101]: unknown verb 'biuld' (did you mean 'build'?); "
        "verbs: batch, build, check, doctor, engines, model, plan, report, run, schema\n  → python -m bmfgraph --help\n",
    )
