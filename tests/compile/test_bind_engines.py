"""Engine requests: which engine, under which key, for which shapes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.compile.bind_engines import bind_engines
from bmfgraph.compile.infer_types import infer_types
from bmfgraph.engines.key import EngineKey, Profile
from bmfgraph.engines.manifest import ENGINE, BuildResult
from bmfgraph.engines.spec import EngineSpec
from bmfgraph.engines.store import EngineStore
from bmfgraph.errors import BmfgraphError, EngineError, InstallError, PlanError
from bmfgraph.nodes.engine import reason_text
from bmfgraph.system.machine import Machine
from tests.compile.machines import ADA_RTX, BARE, H200, HOPPER, HOPPER_LEAN, HOPPER_TRT, NO_DRIVER
from tests.compile.pipelines import DETECT, MIX, UPSCALE, MakePlan, engine

FLOAT = UPSCALE.replace("double.onnx", "negate.onnx")


def test_engines_are_bound_to_file_and_shape(plan: MakePlan, tmp_path: Path) -> None:
    made = plan(engine(UPSCALE, "{batch: 4, threads: 2}"), bind_engines)
    request = made.node("net").params.engine
    assert request.path == str(tmp_path / "double.onnx")
    assert request.build is None
    assert request.input_shapes == (("input", (4, 3, 48, 64)),)
    assert request.output_shapes == (("output", (4, 3, 96, 128)),)
    assert request.tensors == (("input", "uint8"), ("output", "uint8"))
    assert (request.batch, request.threads, request.precision, request.dim_overrides) == (4, 2, "fp32", ())
    assert made.node("prepare").params == plan(UPSCALE, infer_types).node("prepare").params


@pytest.fixture
def bound(plan: MakePlan) -> Callable[..., EngineSpec]:
    """The request of ``net`` under those engine options."""

    def make(options: str = "{}", text: str = UPSCALE, machine: Machine = HOPPER_TRT) -> EngineSpec:
        request: EngineSpec = plan(engine(text, options), bind_engines, machine=machine).node("net").params.engine
        return request

    return make


Bound = Callable[..., EngineSpec]


def key_of(request: EngineSpec) -> EngineKey:
    assert request.build is not None
    return request.build.key


def test_a_built_engine_has_its_place_in_the_store(bound: Bound, tmp_path: Path) -> None:
    request = bound(f"{{store: {tmp_path}/store, precision: fp16, timing_cache: false, build: never, streams: 3}}")
    build, key = request.build, key_of(request)
    assert build is not None
    assert (request.runtime, request.device, request.precision) == ("tensorrt", "cuda", "fp16")
    assert request.onnx == str(tmp_path / "double.onnx")
    assert request.path == f"{tmp_path}/store/m/{key.digest()[:16]}/engine.plan"
    assert (build.model, build.policy, build.timing_cache, build.python) == ("m", "never", False, None)
    assert (request.streams, request.threads) == (3, None)
    assert reason_text(request.reason, request.precision) == f"on {H200}"
    assert (key.onnx, key.precision, key.calibration) == (request.sha256, "fp16", None)
    assert (key.runtime, key.version, key.gpu, key.compute_capability) == ("tensorrt", "10.13.0", "NVIDIA H200", "9.0")
    assert dict(key.flags) == {
        "optimization_level": None,
        "tactic_sources": None,
        "version_compatible": False,
        "workspace": None,
    }


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ("{precision: fp16}", ["precision"]),
        ("{precision: tf32}", ["precision"]),
        ("{batch: 4}", ["profiles"]),
        ("{profiles: {input: {min: 1x3x16x16, opt: 1x3x48x64, max: 1x3x96x96}}}", ["profiles"]),
        ("{optimization_level: 3}", ["flags"]),
        ("{workspace: 512}", ["flags"]),
        ("{version_compatible: true}", ["flags"]),
        ("{tactic_sources: [JIT_CONVOLUTIONS]}", ["flags"]),
        ("{builder: command, command: [trtexec], version: 10.13.0}", ["flags"]),
        ("{builder: command, command: [trtexec]}", ["flags", "version"]),
        # what changes how an engine is run or kept does not change the engine
        ("{threads: 3}", []),
        ("{streams: 2}", []),
        ("{cuda_graph: true}", []),
        ("{build: always}", []),
        ("{store: elsewhere}", []),
        ("{timing_cache: false}", []),
        ("{allow_host_code: true}", []),
        ("{calibration: nothing.mp4, calibration_frames: 5}", []),
        ("{input_shapes: {input: 1x3x48x64}}", []),
        ("{runtime: tensorrt}", []),
    ],
)
def test_an_option_changes_its_own_field_of_the_key(bound: Bound, options: str, fields: list[str]) -> None:
    assert key_of(bound(options)).changes(key_of(bound()).as_json()) == fields


def test_the_key_follows_the_model_and_the_machine(bound: Bound, clip: Callable[..., Path]) -> None:
    base = key_of(bound("{runtime: tensorrt}")).as_json()
    other_gpu = replace(HOPPER_TRT, gpu=replace(H200, name="NVIDIA H100"))
    newer = replace(HOPPER_TRT, libraries=(replace(HOPPER_TRT.libraries[0], version="10.14.1"),))
    freed = UPSCALE.replace("inputs: {input: {}}", "inputs: {input: {dims: [batch, 3, H, W]}}")
    clip("big.mp4", size=(96, 64))
    for request, fields in (
        (bound(machine=other_gpu), ["gpu"]),
        (bound(machine=newer), ["version"]),
        (bound(text=freed), ["dims"]),
        (bound(text=UPSCALE.replace("clip.mp4", "big.mp4")), ["profiles"]),
        (bound(text=FLOAT), ["onnx"]),
        (bound(machine=ADA_RTX), ["compute_capability", "gpu", "runtime", "version"]),
    ):
        assert key_of(request).changes(base) == fields
    # RTX tunes an engine where it is loaded: no GPU is needed to build one.
    portable = key_of(bound("{runtime: tensorrt_rtx}", machine=replace(ADA_RTX, gpu=None)))
    assert portable == key_of(bound(machine=ADA_RTX))
    assert (portable.gpu, portable.compute_capability) == ("any", "any")


def test_int8_depends_on_what_it_is_calibrated_with(bound: Bound, clip: Callable[..., Path], tmp_path: Path) -> None:
    other = clip("other.mp4", frames=3)
    options = f"precision: int8, calibration: {tmp_path}/clip.mp4"
    base = key_of(bound(f"{{{options}}}"))
    assert base.calibration
    assert base.changes(key_of(bound()).as_json()) == ["calibration", "precision"]
    crop = UPSCALE.replace("inputs: source}", "inputs: source, fit: crop, size: [32, 32]}")
    for request, fields in (
        (bound(f"{{{options}, threads: 3}}"), []),
        (bound(f"{{{options}, calibration_frames: 5}}"), ["calibration"]),
        (bound(f"{{precision: int8, calibration: {other}}}"), ["calibration"]),
        (bound(f"{{{options}}}", crop), ["calibration", "profiles"]),
    ):
        assert key_of(request).changes(base.as_json()) == fields
    # It is the clip that counts, not its name.
    copy = tmp_path / "copy.mp4"
    copy.write_bytes((tmp_path / "clip.mp4").read_bytes())
    assert key_of(bound(f"{{precision: int8, calibration: {copy}}}")) == base
    quantised = FLOAT.replace("negate", "quantised")
    assert key_of(bound("{precision: int8}", quantised)).calibration is None


def test_every_input_of_a_model_belongs_to_its_calibration(bound: Bound, tmp_path: Path) -> None:
    options = f"{{precision: int8, calibration: {tmp_path}/clip.mp4}}"
    small = "inputs: source, fit: stretch, size: [32, 32], mode: "
    text = MIX.replace("one: {kind: preprocess, inputs: source", f"one: {{kind: preprocess, {small}area")
    text = text.replace("two: {kind: preprocess, inputs: source", f"two: {{kind: preprocess, {small}MODE")
    one, other = (key_of(bound(options, text.replace("MODE", mode))) for mode in ("area", "bilinear"))
    assert one.changes(other.as_json()) == ["calibration"]


SHAPE = (1, 3, 48, 64)


@pytest.mark.parametrize(
    ("options", "text", "least", "most"),
    [
        ("{}", UPSCALE, SHAPE, SHAPE),
        ("{batch: 4}", UPSCALE, SHAPE, (4, *SHAPE[1:])),
        # A tensor whose batch is fixed by the model, or by the user.
        ("{batch: 1}", DETECT, SHAPE, SHAPE),
        ("{batch: 4, input_shapes: {input: [4, 3, 48, 64]}}", UPSCALE, (4, *SHAPE[1:]), (4, *SHAPE[1:])),
    ],
)
def test_automatic_profiles(bound: Bound, options: str, text: str, least: Any, most: Any) -> None:
    assert key_of(bound(options, text)).profiles == (("input", Profile(least, most, most)),)


def test_the_work_of_engines_that_tensorrt_built_is_recorded(plan: MakePlan) -> None:
    for options, machine, recorded in (
        ("{batch: 4}", HOPPER_TRT, True),
        ("{batch: 4}", BARE, False),
        ("{cuda_graph: false}", HOPPER_TRT, False),
    ):
        work = plan(engine(UPSCALE, options), bind_engines, machine=machine).node("net").params
        assert work.engine.cuda_graph is recorded
        assert not work.fixed_batch


def test_profiles_of_the_user(bound: Bound) -> None:
    options = "{profiles: {input: {min: 1x3x16x16, opt: [2, 3, 48, 64], max: 4x3x96x96}}, batch: 2}"
    wanted = Profile((1, 3, 16, 16), (2, 3, 48, 64), (4, 3, 96, 96))
    assert key_of(bound(options)).profiles == (("input", wanted),)
    both = "{profiles: {b: {min: 1x3x48x64, opt: 1x3x48x64, max: 2x3x48x64}, a: {min: 1x3x48x64, opt: 1x3x48x64, max: 1x3x48x64}}}"
    assert key_of(bound(both, MIX)).profiles == (
        ("a", Profile(SHAPE, SHAPE, SHAPE)),
        ("b", Profile(SHAPE, SHAPE, (2, *SHAPE[1:]))),
    )


def test_an_engine_from_elsewhere_is_taken_as_it_is(bound: Bound, tmp_path: Path) -> None:
    plan_file = tmp_path / "mine.plan"
    plan_file.write_bytes(b"x")
    for machine in (HOPPER_TRT, HOPPER_LEAN, BARE):
        request = bound(f"{{path: {plan_file}, allow_host_code: true}}", machine=machine)
        assert (request.path, request.build, request.runtime) == (str(plan_file), None, "tensorrt")
        assert request.allow_host_code


def test_a_library_that_only_runs_engines_takes_those_of_the_store(bound: Bound, tmp_path: Path) -> None:
    def build(folder: Path, reason: str) -> BuildResult:
        (folder / ENGINE).write_bytes(b"plan")
        return BuildResult([], {})

    options = (
        f"{{runtime: tensorrt, store: {tmp_path}/store, precision: PRECISION, build: BUILD, version_compatible: yes}}"
    )
    fp16 = options.replace("PRECISION", "fp16").replace("BUILD", "auto")
    there = bound(fp16)
    EngineStore(tmp_path / "store").ensure("m", key_of(there), build, say=print)
    tied = bound(fp16.replace("yes", "no"))
    EngineStore(tmp_path / "store").ensure("m", key_of(tied), build, say=print)
    with pytest.raises(EngineError, match=LONE):
        # An engine of another version, which was not built to move.
        bound(fp16.replace("yes", "no"), machine=HOPPER_LEAN)
    found = bound(fp16, machine=HOPPER_LEAN)
    assert (found.path, found.build) == (there.path, there.build)
    assert Path(found.path).is_file()
    # One that is not there cannot be built here, and is looked for as if this version had built it.
    fp32 = options.replace("PRECISION", "fp32")
    with pytest.raises(EngineError, match=LONE):
        bound(fp32.replace("BUILD", "auto"), machine=HOPPER_LEAN)
    assert key_of(bound(fp32.replace("BUILD", "never"), machine=HOPPER_LEAN)).version == "10.16.0"
    with pytest.raises(EngineError, match=r"the engine store '.*clip\.mp4' cannot be read \(Not a directory\)"):
        bound(fp16.replace("/store", "/clip.mp4"), machine=HOPPER_LEAN)


SAME = "min: 1x3x48x64, opt: 1x3x48x64"
LONE = "only tensorrt_lean 10.16.0 is installed, which cannot build engines"
PIP_TRT = "pip install tensorrt"
PIP_RTX = "pip install tensorrt_rtx_cu13_libs tensorrt_rtx_cu13_bindings"


@pytest.mark.parametrize(
    ("options", "text", "machine", "kind", "message"),
    # One row a line reads better than what the formatter makes of it.
    # ruff: noqa: E501
    [
        ("{path: no.plan}", UPSCALE, HOPPER_TRT, EngineError, "engine.path 'no.plan' does not exist\n  → check the path, which is relative to the current folder, or leave engine.path out to build one"),
        ("{runtime: tensorrt}", UPSCALE, BARE, EngineError, f"TensorRT's engines are built for one GPU, and {NO_DRIVER}\n  → build on the machine that will run it; leave engine.runtime, engine.python and engine.command out to run on the CPU"),
        ("{runtime: tensorrt}", UPSCALE, HOPPER, EngineError, f"engine.runtime=tensorrt: it is not installed\n  → {PIP_TRT}"),
        ("{runtime: tensorrt}", UPSCALE, HOPPER_LEAN, EngineError, f"engine.runtime=tensorrt: {LONE}\n  → {PIP_TRT}"),
        ("{runtime: tensorrt_rtx}", UPSCALE, BARE, EngineError, f"engine.runtime=tensorrt_rtx: it is not installed\n  → {PIP_RTX}"),
        ("{precision: int8}", UPSCALE, HOPPER_TRT, PlanError, "engine.precision=int8: model 'm' is not quantised, and there is no clip to calibrate it\n  → set engine.calibration=CLIP to one like those you will process, or choose engine=fp16"),
        ("{precision: int8, calibration: no.mp4}", UPSCALE, HOPPER_TRT, PlanError, "engine.calibration: 'no.mp4' does not exist\n  → check the path; a relative path starts in the current folder"),
        ("{profiles: {inptu: {SAME, max: 1x3x48x64}}}", UPSCALE, HOPPER_TRT, PlanError, "engine.profiles.inptu: the model has no such input (did you mean 'input'?); it has: input\n  → correct the name under engine.profiles"),
        ("{profiles: {a: {SAME, max: 1x3x48x64}}}", MIX, HOPPER_TRT, PlanError, "engine.profiles has no b; the model has the inputs a, b\n  → add engine.profiles.b.min, .opt and .max, or set engine.profiles=auto"),
        ("{batch: 2, profiles: {input: {SAME, max: 1x3x48x64}}}", UPSCALE, HOPPER_TRT, PlanError, "input input has the shape [2, 3, 48, 64], outside of engine.profiles.input: min [1, 3, 48, 64], max [1, 3, 48, 64]\n  → widen the profile, or set the preprocess node's `size` or engine.batch"),
        ("{profiles: {input: {SAME, max: 1x3x48x96}}}", DETECT, HOPPER_TRT, PlanError, "engine.profiles.input.max=[1, 3, 48, 96]: the model accepts [1, 3, 48, 64]\n  → correct it, or set engine.profiles=auto"),
        ("{profiles: {input: {min: 1x3, opt: 1x3, max: 1x3}}}", UPSCALE, HOPPER_TRT, PlanError, "engine.profiles.input.min=[1, 3]: the model accepts [N, 3, H, W]\n  → correct it, or set engine.profiles=auto"),
    ],
)  # fmt: skip
def test_refusal(
    bound: Bound, options: str, text: str, machine: Machine, kind: type[BmfgraphError], message: str
) -> None:
    with pytest.raises(BmfgraphError) as caught:
        bound(options.replace("SAME", SAME), text, machine)
    assert str(caught.value) == f"pipeline.nodes.net: {message}"
    assert type(caught.value) is kind


def test_another_interpreter_says_what_it_builds_with(bound: Bound) -> None:
    with pytest.raises(InstallError, match=r"the interpreter 'no-python' cannot be run \(No such file or directory\)"):
        bound("{python: no-python}")
    version = pytest.importorskip("tensorrt_rtx_bindings").__version__
    request = bound(f"{{python: {sys.executable}, runtime: tensorrt_rtx}}", machine=HOPPER)
    assert key_of(request).version == version
    assert request.build is not None
    assert request.build.python == sys.executable
