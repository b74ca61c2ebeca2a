"""Build engines with TensorRT-RTX, with other interpreters and with programs, and check the errors."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

import bmfgraph.models
from bmfgraph.engines import trt_network, trt_process as script
from bmfgraph.engines.build import builder_version, ensure_engine
from bmfgraph.engines.external import command_line
from bmfgraph.engines.key import Profile
from bmfgraph.engines.manifest import LOG, StoredEngine
from bmfgraph.engines.onnx import sensitive
from bmfgraph.engines.store import EngineStore
from bmfgraph.errors import EngineError, InstallError
from bmfgraph.plan.types import RUNTIME_NAMES
from bmfgraph.system.files import DISK_FULL
from tests.engines.engine_tools import (
    build,
    ended,
    key,
    picture_model,
    rtx as rtx,
    start,
    strange_model,
    until,
)
from tests.tools import file_system, middle_model, negate_model, save_model, tensor_info

SCRIPT = Path(script.__file__)
SHAPE = (1, 3, 24, 32)


class Builds:
    """Builds engines into the test's own store, and records the messages and the progress."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "engines"
        self.said: list[str] = []
        self.steps: list[tuple[str, int, int]] = []

    def __call__(self, onnx: Path, *, calibration: Any = None, **changes: Any) -> StoredEngine:
        def progress(phase: str, done: int, total: int) -> None:
            self.steps.append((phase, done, total))

        return ensure_engine(
            "upscale",
            build(self.store, **changes),
            onnx,
            self.store,
            say=self.said.append,
            progress=progress,
            calibration=calibration,
        )

    def error(self, onnx: Path, **changes: Any) -> str:
        """The message of a build that must fail and leave no engine."""
        with pytest.raises(EngineError) as caught:
            self(onnx, **changes)
        assert str(caught.value).startswith("pipeline.nodes.upscale: ")
        assert caught.value.hint
        assert [entry for entry in EngineStore(self.store).entries() if not entry.damage()] == []
        assert list(self.store.glob("*/.*.building")) == []
        return str(caught.value)


@pytest.fixture
def builds(tmp_path: Path) -> Builds:
    return Builds(tmp_path)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return picture_model(tmp_path / "picture.onnx")


def profile(*shapes: tuple[int, ...], name: str = "input") -> tuple[tuple[str, Profile], ...]:
    """Return ``profiles`` with one input: of one shape, or of min, opt and max."""
    return ((name, Profile(*(shapes if len(shapes) == 3 else shapes * 3))),)


# ------------------------------------------------------------------------------------------------ TensorRT-RTX


def test_build_writes_engine_manifest_and_log(builds: Builds, picture: Path, rtx: str) -> None:
    entry = builds(picture)
    assert builds.said[0] == f"building an engine for picture (fp16, TensorRT-RTX {rtx}): the first of this model"
    size = entry.manifest["file"]["bytes"] / 1e6
    assert builds.said[1].startswith(f"built the engine for picture: {size:.1f} MB in ")
    assert {("reading the network", 0, 1), ("reading the network", 1, 1)} <= set(builds.steps)
    assert all(0 <= done <= total for _, done, total in builds.steps)
    assert len({phase for phase, _, _ in builds.steps}) > 3
    sizes = {"min": [*SHAPE], "opt": [*SHAPE], "max": [*SHAPE]}
    assert entry.tensors == [
        {"name": "input", "mode": "input", "dtype": "uint8", "dims": [-1, 3, -1, -1], "profile": sizes},
        {"name": "output", "mode": "output", "dtype": "uint8", "dims": [-1, 3, -1, -1]},
    ]
    assert entry.manifest["built"]["builder"] == {"library": "TensorRT-RTX", "version": rtx}
    assert "Engine generation completed" in (entry.folder / LOG).read_text()
    assert sorted(file.name for file in entry.folder.iterdir()) == ["build.log", "engine.plan", "manifest.json"]
    said = len(builds.said)
    assert builds(picture).manifest == entry.manifest
    assert len(builds.said) == said


def test_why_an_engine_is_built_anew(builds: Builds, picture: Path, rtx: str) -> None:
    entry = builds(picture)
    builds(picture, precision="fp32", gpu="NVIDIA L4")
    entry.path.write_bytes(b"nothing")
    builds(picture)
    builds(picture, policy="always")
    reasons = [text.partition("): ")[2] for text in builds.said if text.startswith("building")]
    size = entry.manifest["file"]["bytes"]
    assert reasons == [
        "the first of this model",
        "rebuilt because: gpu, precision",
        f"rebuilt because: engine.plan has 7 bytes, not {size}",
        "rebuilt because: it was asked for",
    ]


@pytest.mark.sample(3)
@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16", "int8"])
def test_every_precision_is_built(builds: Builds, picture: Path, rtx: str, precision: str) -> None:
    rng = np.random.default_rng(0)
    frames = [{"input": rng.integers(0, 256, SHAPE, dtype=np.uint8)} for _ in range(3)]
    entry = builds(picture, precision=precision, calibration=frames)
    assert [tensor["dtype"] for tensor in entry.tensors] == ["uint8", "uint8"]
    assert entry.damage() == ""


def test_the_flags_reach_the_builder(builds: Builds, picture: Path, rtx: str) -> None:
    sources = ["JIT_CONVOLUTIONS"]
    flags = {"optimization_level": 1, "tactic_sources": sources, "version_compatible": False, "workspace": 64}
    assert builds(picture, flags=tuple(sorted(flags.items()))).damage() == ""
    message = builds_error_of_flags(Builds(builds.store.parent / "other"), picture, tactic_sources=["CUBLAS"])
    assert "has no tactic source 'CUBLAS'\n  → it has: EDGE_MASK_CONVOLUTIONS, JIT_CONVOLUTIONS" in message


def builds_error_of_flags(builds: Builds, onnx: Path, **flags: Any) -> str:
    return builds.error(onnx, flags=tuple(sorted(flags.items())))


def test_a_network_whose_dims_are_freed(builds: Builds, tmp_path: Path, rtx: str) -> None:
    path = negate_model(tmp_path / "fixed.onnx", shape=(10, 3, 32, 32))
    shapes = ((1, 3, 16, 16), (1, 3, 24, 32), (2, 3, 64, 64))
    entry = builds(path, dims=(("input", ("batch", 3, "height", "width")),), profiles=profile(*shapes))
    assert [tensor["dims"] for tensor in entry.tensors] == [[-1, 3, -1, -1], [-1, 3, -1, -1]]
    assert entry.tensors[0]["profile"] == {"min": [1, 3, 16, 16], "opt": [1, 3, 24, 32], "max": [2, 3, 64, 64]}
    message = Builds(tmp_path / "other").error(path, profiles=profile(*shapes))
    assert "input 'input' is 10x3x32x32 in the network, and the profile has 1x3x16x16" in message


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "name",
    [
        "anime4k_vl_x2_u8",
        "bmf_v1_contract_x2",
        "realesr_animevideov3_x2",
        "ultraface_rfb_320",
        "ultraface_rfb_640_original",
    ],
)
def test_the_shared_models(builds: Builds, shared_models: Path, rtx: str, name: str) -> None:
    takes_the_model(builds, shared_models / f"{name}.onnx")


@pytest.mark.sample(4)
@pytest.mark.parametrize(
    "path", sorted(Path(bmfgraph.models.__file__).parent.glob("*.onnx")), ids=lambda path: path.stem
)
def test_the_shipped_models(builds: Builds, rtx: str, path: Path) -> None:
    takes_the_model(builds, path, precision="int8" if path.stem.endswith("int8") else "fp16")


def takes_the_model(builds: Builds, path: Path, **changes: Any) -> None:
    """Assert that TensorRT-RTX builds the model, with its tensors as they are."""
    from bmfgraph.engines.onnx.model import read_onnx

    model = read_onnx(path)
    (tensor,) = model.inputs
    free = {"N": 1, "batch": 1, "H": 32, "W": 48, "height": 32, "width": 48}
    shape = tuple(size if isinstance(size, int) else free.get(size, 32) for size in tensor.dims)
    entry = builds(model.path, profiles=profile(shape, name=tensor.name), **changes)
    found = {(one["name"], one["mode"], one["dtype"]) for one in entry.tensors}
    assert found == {(one.name, "input", one.dtype) for one in model.inputs} | {
        (one.name, "output", one.dtype) for one in model.outputs
    }


def test_an_operator_that_tensorrt_lacks(builds: Builds, tmp_path: Path, rtx: str) -> None:
    message = builds.error(strange_model(tmp_path / "strange.onnx"), precision="fp32")
    assert f"TensorRT-RTX {rtx} cannot read the network" in message
    assert "Wobble 'strange' (node 1, it makes 'output')" in message
    assert "engine.runtime=onnxruntime" in message


def test_shapes_that_the_network_does_not_take(builds: Builds, picture: Path, rtx: str) -> None:
    message = builds.error(picture, profiles=profile((1, 4, 24, 32)))
    assert "input 'input' is ?x3x?x? in the network, and the profile has 1x4x24x32" in message
    message = builds.error(picture, profiles=profile((1, 24, 32)))
    assert "the profile has 1x24x32" in message
    message = builds.error(picture, profiles=())
    assert "input 'input' has free dims ?x3x?x?, and no profile" in message
    message = builds.error(picture, profiles=profile((1, 3, 24, 32), (1, 3, 20, 32), (1, 3, 48, 64)))
    assert "the profile of input 'input' is not min <= opt <= max" in message


def test_a_network_that_cannot_be_built(builds: Builds, tmp_path: Path, rtx: str) -> None:
    path = save_model(
        tmp_path / "product.onnx",
        [helper.make_node("MatMul", ["left", "right"], ["output"])],
        [tensor_info("left", "float32", ["N", "K"]), tensor_info("right", "float32", ["L", "M"])],
        [tensor_info("output", "float32", ["N", "M"])],
    )
    message = builds.error(path, profiles=profile((2, 3), name="left") + profile((4, 5), name="right"))
    assert f"TensorRT-RTX {rtx} cannot build this network: " in message
    log = EngineStore(builds.store).failed_log(
        "picture", key(profiles=profile((2, 3), name="left") + profile((4, 5), name="right"))
    )
    assert str(log) in message
    assert "[ERROR]" in log.read_text()


def test_an_operator_that_computes_with_uint8(builds: Builds, tmp_path: Path, rtx: str) -> None:
    path = save_model(
        tmp_path / "sum.onnx",
        [
            helper.make_node("Add", ["input", "input"], ["sum"], name="brighter"),
            helper.make_node("Cast", ["sum"], ["output"], to=1),
        ],
        [tensor_info("input", "uint8", ["N", 3, "H", "W"])],
        [tensor_info("output", "float32", ["N", 3, "H", "W"])],
    )
    message = builds.error(path)
    assert "sum.onnx: node 'brighter' (Add) computes with the uint8 tensor 'input'" in message
    assert "Cast to float32 before the Add" in message


def test_a_file_that_is_no_model(builds: Builds, tmp_path: Path, rtx: str) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    assert "is not an ONNX model, or it is damaged" in builds.error(tmp_path / "text.onnx")


# ------------------------------------------------------------------------------------------- timing cache, script


def test_a_timing_cache_is_taken_only_with_the_right_checksum(tmp_path: Path) -> None:
    path = tmp_path / "timing" / "gpu.cache"
    assert script.read_cache(str(path)) == b""
    script.write_cache(str(path), b"timings")
    assert script.read_cache(str(path)) == b"timings"
    path.write_bytes(b"timingz")
    assert script.read_cache(str(path)) == b""
    script.write_cache(str(path), b"timings")
    Path(f"{path}.sha256").write_bytes(b"\xff\xff")
    assert script.read_cache(str(path)) == b""
    Path(f"{path}.sha256").unlink()
    assert script.read_cache(str(path)) == b""


def test_builds_that_end_at_once_leave_a_whole_timing_cache(tmp_path: Path) -> None:
    path = str(tmp_path / "gpu.cache")
    contents = [bytes([number]) * 100_000 for number in range(8)]
    threads = [threading.Thread(target=script.write_cache, args=(path, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert script.read_cache(path) in contents


@pytest.mark.parametrize("name", ["trt_process.py", "trt_network.py"])
def test_the_scripts_can_be_read_by_python_3_8(name: str) -> None:
    tree = ast.parse(SCRIPT.with_name(name).read_text(), feature_version=(3, 8))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names} | {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }
    # onnx is asked for where it happens to be; the scripts lie side by side.
    assert imported - {"onnx", "trt_network", "bmfgraph.engines.trt_network"} <= sys.stdlib_module_names
    # Newer than 3.8 where they are run; as annotations they are never evaluated.
    assert "__future__" in imported
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "strict"]


def test_the_scripts_own_tables_agree_with_the_package() -> None:
    # The scripts run without bmfgraph, so they have their own copies.
    assert RUNTIME_NAMES == script.NAMES | {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
    assert script.DISK_FULL == DISK_FULL
    layers = {
        "CONVOLUTION": {"Conv", "ConvInteger", "QLinearConv"},
        "DECONVOLUTION": {"ConvTranspose"},
        "EINSUM": {"Einsum"},
        "FULLY_CONNECTED": {"Gemm"},
        "LOOP_OUTPUT": {"GRU", "LSTM", "RNN"},
        "MATRIX_MULTIPLY": {"Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"},
        "RNN_V2": {"GRU", "LSTM", "RNN"},
    }
    assert set(layers) == set(trt_network.HEAVY)
    # TensorRT has no layer of its own for DeformConv: a plugin runs it.
    assert set().union(*layers.values()) == sensitive.HEAVY - {"DeformConv"}


def test_build_ends_when_its_parent_is_gone(tmp_path: Path, rtx: str) -> None:
    # The build reads from a pipe without a writer, so it never ends by itself.
    network, job = tmp_path / "network.onnx", tmp_path / "job.json"
    os.mkfifo(network)
    told = {"runtime": "tensorrt_rtx", "onnx": str(network), "plan": str(tmp_path / "engine.plan"), "profiles": {}}
    job.write_text(json.dumps(told | {"precision": "fp32", "flags": {}, "timing_cache": None}))
    process = subprocess.Popen(
        [sys.executable, "-u", str(SCRIPT), str(job)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    until(lambda: "phase" in json.loads(process.stdout.readline()))  # type: ignore[union-attr]
    process.stdin.close()
    assert process.wait(timeout=30) == 1
    assert process.stderr is not None
    assert "the process that asked for the build has ended" in process.stderr.read()
    process.stdout.close()
    process.stderr.close()


# ---------------------------------------------------------------------------------------- another interpreter


def interpreter(path: Path, text: str) -> str:
    """Write a shell script that acts as another Python."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_builder_version_of_this_interpreter(rtx: str) -> None:
    version = builder_version(None, "tensorrt_rtx")
    assert (version.library, version.version, version.strongly_typed) == ("TensorRT-RTX", rtx, True)


def test_another_interpreter_builds(builds: Builds, picture: Path, tmp_path: Path, rtx: str) -> None:
    # One that is not replaced by Python, but waits for it, as wrappers do.
    python = interpreter(
        tmp_path / "python", f'echo "$@" >> {tmp_path}/calls\necho hello; echo 3\n{sys.executable} "$@"\nexit $?'
    )
    assert builds(picture, python=python).damage() == ""
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 2
    assert all("trt_process.py" in call for call in calls)


def test_an_interpreter_without_tensorrt(tmp_path: Path) -> None:
    bare = interpreter(tmp_path / "bare", f'exec {sys.executable} -I -S "$@"')
    with pytest.raises(InstallError, match=r"TensorRT cannot be imported by .*No module named 'tensorrt'") as caught:
        builder_version(bare, "tensorrt")
    assert "pip install tensorrt" in caught.value.hint


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: str(path), "cannot be run .No such file or directory"),
        (lambda path: interpreter(path, "exit 0"), "does not say which TensorRT it has: ended with exit code 0"),
        (
            lambda path: interpreter(path, "echo 3; exit 0"),
            "does not say which TensorRT it has: ended with exit code 0",
        ),
        (lambda path: interpreter(path, "echo oh no >&2; exit 1"), "does not say which TensorRT it has: oh no"),
        (lambda path: interpreter(path, "kill -SEGV $$"), "does not say which TensorRT it has: was ended by SIGSEGV"),
    ],
)
def test_program_that_is_not_an_interpreter(tmp_path: Path, make: Callable[[Path], str], told: str) -> None:
    with pytest.raises(InstallError, match=told) as caught:
        builder_version(make(tmp_path / "python"), "tensorrt")
    assert "engine.python" in caught.value.hint


def test_a_crash_of_the_builder_is_a_message(builds: Builds, picture: Path, tmp_path: Path, rtx: str) -> None:
    python = interpreter(
        tmp_path / "python",
        f'case "$*" in *--version*) exec {sys.executable} "$@";; esac\necho "terrible things" >&2; kill -ABRT $$',
    )
    message = builds.error(picture, python=python)
    assert "the builder was ended by SIGABRT\n    terrible things" in message
    assert str(EngineStore(builds.store).failed_log("picture", key())) in message


# ------------------------------------------------------------------------------------------------- by a program

PROGRAM = """
import json, subprocess, sys
script, network, plan, name, low, best, high = sys.argv[1:]
shapes = {part: [int(size) for size in text.split("x")] for part, text in (("min", low), ("opt", best), ("max", high))}
job = {"runtime": "tensorrt_rtx", "onnx": network, "plan": plan, "precision": "fp32", "profiles": {name: shapes}}
with open(plan + ".json", "w") as file:
    json.dump({**job, "flags": {}, "timing_cache": None}, file)
print("this program builds")
sys.exit(subprocess.call([sys.executable, script, plan + ".json"]))
"""


def test_a_program_builds(builds: Builds, picture: Path, tmp_path: Path, rtx: str) -> None:
    (tmp_path / "program.py").write_text(PROGRAM.replace('plan + ".json"', f'"{tmp_path}/job.json"'))
    words = (sys.executable, str(tmp_path / "program.py"), str(SCRIPT), "{onnx}", "{plan}")
    command = (*words, "input", *("x".join(map(str, SHAPE)),) * 3)
    own = builds(picture)
    entry = Builds(tmp_path / "other")(picture, command=command)
    assert entry.manifest["file"]["bytes"] == pytest.approx(own.manifest["file"]["bytes"], abs=16)
    assert entry.tensors == own.tensors
    assert entry.manifest["built"]["builder"] == {"command": list(command)}
    assert "this program builds" in (entry.folder / LOG).read_text()


def words_of(*command: str, **changes: Any) -> list[str]:
    return command_line("n", ("true", *command), key(**changes), Path("/m.onnx"), Path("/e.plan"))[1:]


def test_the_words_of_a_program() -> None:
    two = profile((1, 3, 16, 16), (1, 3, 24, 32), (2, 3, 48, 64)) + profile((1, 4), name="a:0")
    assert words_of("--onnx={onnx}", "--saveEngine={plan}") == ["--onnx=/m.onnx", "--saveEngine=/e.plan"]
    assert words_of("--minShapes={min_shapes}", profiles=two) == ["--minShapes=input:1x3x16x16,'a:0':1x4"]
    assert words_of("{opt_shapes}", "{max_shapes}", profiles=two[:1]) == ["input:1x3x24x32", "input:2x3x48x64"]
    assert words_of("{shapes}", profiles=two) == [
        *("--shape", "input", "1x3x16x16", "1x3x24x32", "2x3x48x64"),
        *("--shape", "a:0", "1x4", "1x4", "1x4"),
    ]
    assert words_of("--memPoolSize=workspace:{workspace}") == []
    assert words_of("{workspace}M", flags=(("workspace", 512),)) == ["512M"]
    # Braces that do not name a placeholder stay, such as those of a shell.
    assert words_of("${HOME}", "{}", "awk '{print $1}'") == ["${HOME}", "{}", "awk '{print $1}'"]


@pytest.mark.parametrize(
    ("runtime", "version", "precision", "words"),
    [
        ("tensorrt", "8.6.0", "fp16", ["--fp16"]),
        ("tensorrt", "10.16.1", "bf16", ["--bf16"]),
        ("tensorrt", "10.16.1", "int8", ["--int8"]),
        ("tensorrt", "8.6.0", "fp32", ["--noTF32"]),
        ("tensorrt", "8.6.0", "tf32", []),
        # There the network has the precision already.
        ("tensorrt", "11.0.0", "fp16", []),
        ("tensorrt_rtx", "1.7.1", "fp16", []),
    ],
)
def test_the_precision_for_a_program(runtime: str, version: str, precision: str, words: list[str]) -> None:
    assert words_of("{precision_flag}", runtime=runtime, version=version, precision=precision) == words


@pytest.mark.parametrize(
    ("command", "told", "hint"),
    [
        (("true", "{model}"), "engine.command has {model} in '{model}'", "allowed: {onnx}, {plan}"),
        (("true", "x={shapes}"), "engine.command has {shapes} inside 'x={shapes}'", "write it alone"),
        (
            ("nosuchprogram",),
            "engine.command names 'nosuchprogram', which is not a program on this machine",
            "write its path",
        ),
        (("true",), "'true' ended without an error, but wrote no engine to {plan}", "use {plan}"),
        (("sh", "-c", ": > {plan}"), "'sh' ended without an error, but wrote no engine to {plan}", "use {plan}"),
        (("sh", "-c", "echo no licence; exit 3"), "'sh' ended with exit code 3\n    no licence", "log: "),
        (("sh", "-c", "kill -9 $$"), "'sh' was ended by SIGKILL", "log: "),
    ],
)
def test_programs_that_build_nothing(
    builds: Builds, picture: Path, command: tuple[str, ...], told: str, hint: str
) -> None:
    message = builds.error(picture, command=command, runtime="tensorrt", version="8.6.0")
    assert told in message
    assert hint in message.partition("→")[2]


# --------------------------------------------------------------------------------------------------- policies


def test_an_engine_that_must_be_there_already(builds: Builds, picture: Path, tmp_path: Path, rtx: str) -> None:
    with pytest.raises(EngineError, match=r"has no engine of 'picture'; engine.build is 'never'"):
        builds(picture, policy="never")
    assert not builds.store.exists()
    entry = builds(picture)
    assert builds(picture, policy="never").manifest == entry.manifest
    with pytest.raises(EngineError) as caught:
        builds(picture, policy="never", gpu="NVIDIA H200", precision="int8")
    assert f"the nearest, {entry.folder.name}, differs in gpu 'any' there, 'NVIDIA H200' here; " in str(caught.value)
    assert "precision 'fp16' there, 'int8' here; engine.build is 'never'" in str(caught.value)
    assert caught.value.hint.startswith("build it: engine.build=auto")
    entry.path.write_bytes(b"nothing")
    with pytest.raises(EngineError, match=r"is damaged: engine.plan has 7 bytes, not"):
        builds(picture, policy="never")
    assert len([text for text in builds.said if text.startswith("building")]) == 1


# -------------------------------------------------------------------------------------------- ends before the end

ENSURE = """
import signal, sys
from pathlib import Path
from bmfgraph.engines.build import ensure_engine
from tests.engines.engine_tools import build
# A shell's background jobs ignore it, and so would their children.
signal.signal(signal.SIGINT, signal.default_int_handler)
store, onnx, *command = sys.argv[1:]
try:
    ensure_engine("n", build(Path(store), command=tuple(command)), Path(onnx), Path(store), say=print)
except KeyboardInterrupt:
    sys.exit(130)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


# Both write the process number of a sleep into a file.
SLEEPS = "echo $$ > pid.part; mv pid.part pid; exec sleep 600"
CHILD_SLEEPS = "sleep 600 & echo $! > pid.part; mv pid.part pid; wait"


def sleeper(folder: Path) -> int:
    """Wait until the process number is written, and return it."""
    until((folder / "pid").exists)
    return int((folder / "pid").read_text())


def gone(number: int) -> bool:
    """Return whether the process has ended, even if its exit code was not read yet."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.sample(1)
@pytest.mark.parametrize("program", [SLEEPS, CHILD_SLEEPS])
def test_ctrl_c_ends_the_build_at_once(builds: Builds, picture: Path, tmp_path: Path, program: str) -> None:
    process = start(ENSURE, builds.store, picture, "sh", "-c", program, cwd=tmp_path)
    child = sleeper(tmp_path)
    process.send_signal(signal.SIGINT)
    ended(process, 130)
    until(lambda: gone(child))
    assert [path.name for path in (builds.store / "picture").iterdir()] == []


def test_kill_9_ends_the_build_too(builds: Builds, picture: Path, tmp_path: Path, rtx: str) -> None:
    process = start(ENSURE, builds.store, picture, "sh", "-c", SLEEPS, cwd=tmp_path)
    child = sleeper(tmp_path)
    process.kill()
    ended(process, -signal.SIGKILL)
    until(lambda: gone(child))
    assert EngineStore(builds.store).entries() == []
    assert len(list(builds.store.glob("picture/.*.building"))) == 1
    assert builds(picture).damage() == ""
    assert list(builds.store.glob("picture/.*.building")) == []


# ------------------------------------------------------------------------------------------------ no room, no rights


@pytest.fixture
def smaller_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 kB: room for the network, not for the engine."""
    with file_system(tmp_path / "disk", "32k") as folder:
        yield folder


def test_a_full_disk(picture: Path, smaller_disk: Path, rtx: str) -> None:
    builds = Builds(smaller_disk)
    message = builds.error(picture)
    assert "No space left on device" in message
    assert str(smaller_disk) in message
    assert "room on the disk" in message
    (smaller_disk / "filler").write_bytes(b"x" * 20_000)
    assert "room on the disk" in builds.error(picture)


def test_a_store_that_cannot_be_written(builds: Builds, picture: Path, powerless: list[str], rtx: str) -> None:
    builds.store.mkdir(mode=0o555)
    told = ended(start(ENSURE, builds.store, picture, before=powerless), 1)
    assert f"EngineError: pipeline.nodes.n: the engine store {str(builds.store)!r} cannot be written" in told
    assert "Permission denied" in told
    assert "set engine.store to a folder where you may write" in told


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, bmfgraph.engines.build, bmfgraph.cli.engines, bmfgraph.engines.trt_process\n"
        "print(sorted({'onnx', 'onnxruntime', 'torch', 'tensorrt_rtx_bindings', 'rich'} & set(sys.modules)))"
    )
    assert ended(start(code)) == "[]\n"


def test_a_network_that_is_all_uint8(builds: Builds, tmp_path: Path, rtx: str) -> None:
    path = middle_model(tmp_path / "middle.onnx")
    entry = builds(path, profiles=profile((1, 24, 32, 21), name="input:0"))
    assert [tensor["dtype"] for tensor in entry.tensors] == ["uint8", "uint8"]
