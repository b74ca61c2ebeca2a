"""Which runtime a machine gets, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from bmfgraph.compile.select_runtime import RuntimeChoice, select_runtime
from bmfgraph.engines.speeds import Speeds
from bmfgraph.errors import BmfgraphError, EngineError, InstallError, PlanError
from bmfgraph.nodes.engine import EngineOptions, reason_text
from bmfgraph.plan.plan import Plan
from bmfgraph.system.machine import Machine
from tests.compile.machines import (
    ADA_RTX,
    BARE,
    CPU_OPENVINO,
    CPU_OPENVINO_OLD,
    HOPPER,
    HOPPER_LEAN,
    HOPPER_ORT,
    HOPPER_RTX,
    HOPPER_TRT,
    NO_DRIVER,
)


def choose(machine: Machine, device: Any, options: dict[str, Any]) -> RuntimeChoice:
    return select_runtime(Plan("x", (), machine, device), "net", EngineOptions.model_validate(options))


FP16, ORT = {"precision": "fp16"}, {"runtime": "onnxruntime"}
BF16, INT8, VINO = {"precision": "bf16"}, {"precision": "int8"}, {"runtime": "openvino"}
TRT, RTX = {"runtime": "tensorrt"}, {"runtime": "tensorrt_rtx"}
ON_H200, ON_L4 = "on NVIDIA H200 (compute capability 9.0)", "on NVIDIA L4 (compute capability 8.9)"
NO_BUILDER = "no TensorRT that builds engines is installed"
NO_RTX = "TensorRT-RTX does not run on this GPU, and no TensorRT that builds is installed"
IDLE = f"{NO_BUILDER}: NVIDIA H200 (compute capability 9.0) stays idle; pip install tensorrt"


@pytest.mark.parametrize(
    ("machine", "device", "options", "runtime", "where", "precision", "why"),
    [
        # by itself
        (BARE, "auto", {}, "onnxruntime", "cpu", "fp32", NO_DRIVER),
        (BARE, "auto", FP16, "onnxruntime", "cpu", "fp32", f"{NO_DRIVER}; in fp32 instead of fp16"),
        (BARE, "cpu", {}, "onnxruntime", "cpu", "fp32", "device=cpu"),
        (HOPPER, "auto", {}, "onnxruntime", "cpu", "fp32", IDLE),
        (HOPPER, "auto", {"precision": "int8"}, "onnxruntime", "cpu", "fp32", f"{IDLE}; in fp32 instead of int8"),
        (HOPPER, "cpu", FP16, "onnxruntime", "cpu", "fp32", "device=cpu; in fp32 instead of fp16"),
        (HOPPER_TRT, "auto", {}, "tensorrt", "cuda", "fp32", ON_H200),
        (HOPPER_TRT, "auto", FP16, "tensorrt", "cuda", "fp16", ON_H200),
        (HOPPER_TRT, "cuda", {"precision": "int8"}, "tensorrt", "cuda", "int8", ON_H200),
        (HOPPER_TRT, "cpu", {}, "onnxruntime", "cpu", "fp32", "device=cpu"),
        (HOPPER_LEAN, "auto", {}, "onnxruntime", "cpu", "fp32", IDLE),
        (HOPPER_RTX, "auto", {}, "onnxruntime", "cpu", "fp32", IDLE.replace(NO_BUILDER, NO_RTX)),
        (ADA_RTX, "auto", FP16, "tensorrt_rtx", "cuda", "fp16", ON_L4),
        (HOPPER_ORT, "auto", {}, "onnxruntime", "cuda", "fp32", NO_BUILDER),
        (HOPPER_ORT, "cuda", {"precision": "tf32"}, "onnxruntime", "cuda", "tf32", NO_BUILDER),
        (HOPPER_ORT, "auto", FP16, "onnxruntime", "cuda", "fp32", f"{NO_BUILDER}; in fp32 instead of fp16"),
        (HOPPER_ORT, "cpu", {"precision": "tf32"}, "onnxruntime", "cpu", "fp32", "device=cpu; in fp32 instead of tf32"),
        (CPU_OPENVINO, "auto", BF16, "openvino", "cpu", "bf16", NO_DRIVER),
        (CPU_OPENVINO, "cpu", INT8, "openvino", "cpu", "int8", "device=cpu"),
        (CPU_OPENVINO, "auto", FP16, "onnxruntime", "cpu", "fp32", f"{NO_DRIVER}; in fp32 instead of fp16"),
        (CPU_OPENVINO_OLD, "auto", BF16, "onnxruntime", "cpu", "fp32", f"{NO_DRIVER}; in fp32 instead of bf16"),
        # by name: the user knows why
        (CPU_OPENVINO, "auto", VINO, "openvino", "cpu", "fp32", ""),
        (CPU_OPENVINO, "cpu", VINO | BF16, "openvino", "cpu", "bf16", ""),
        (CPU_OPENVINO_OLD, "auto", VINO | INT8, "openvino", "cpu", "int8", ""),
        (BARE, "auto", ORT, "onnxruntime", "cpu", "fp32", ""),
        (HOPPER_TRT, "auto", ORT, "onnxruntime", "cpu", "fp32", ""),
        (HOPPER_ORT, "cuda", ORT, "onnxruntime", "cuda", "fp32", ""),
        (HOPPER_ORT, "cpu", ORT, "onnxruntime", "cpu", "fp32", ""),
        (BARE, "auto", RTX | FP16, "tensorrt_rtx", "cuda", "fp16", ""),
        (HOPPER_TRT, "cuda", TRT | {"precision": "bf16"}, "tensorrt", "cuda", "bf16", ""),
        # an engine, or a builder, from elsewhere
        (HOPPER_LEAN, "auto", {"path": "x.plan"}, "tensorrt", "cuda", "fp32", ""),
        (HOPPER, "auto", {"python": "/py"}, "tensorrt", "cuda", "fp32", ""),
        (HOPPER, "cuda", {"builder": "command", "command": ["trtexec"]}, "tensorrt", "cuda", "fp32", ""),
        (ADA_RTX, "auto", {"path": "x.plan"}, "tensorrt_rtx", "cuda", "fp32", ""),
        (ADA_RTX, "auto", {"path": "x.plan"} | TRT, "tensorrt", "cuda", "fp32", ""),
    ],
)
def test_choice(
    machine: Machine,
    device: str,
    options: dict[str, Any],
    runtime: Any,
    where: Any,
    precision: str,
    why: str,
) -> None:
    choice = choose(machine, device, options)
    assert (choice.runtime, choice.device, choice.precision) == (runtime, where, precision)
    assert reason_text(choice.reason, precision) == why


AUTO = "set device=auto to run on the CPU"
INSTALL = f"pip install tensorrt (or onnxruntime-gpu), or {AUTO}"
NO_PROVIDER = "device=cuda: NVIDIA H200 (compute capability 9.0) is present, but ONNX Runtime has no CUDA provider"
GPU_ONLY = "runs on a GPU only, and device=cpu is set\n  → leave one of the two out"
NOT_OURS = (
    "engine.path 'x.plan' is an engine of TensorRT, which engine.runtime=onnxruntime does not run"
    "\n  → leave engine.path out, or set engine.runtime=tensorrt"
)
FP32 = "\n  → set engine.precision=fp32, or engine.runtime=tensorrt on a machine with a GPU"
ON_CPU = f"ONNX Runtime on the CPU computes in fp32{FP32}"
ON_GPU = f"ONNX Runtime on the GPU computes in fp32 or tf32{FP32}"
NO_VINO = "OpenVINO is not installed\n  → pip install openvino"
CPU_ONLY = "runs on the CPU only, and device=cuda is set\n  → leave one of the two out"
VINO_HAS = "OpenVINO computes in fp32, bf16, int8\n  → set engine.precision to one of them"
VINO_LACKS = "OpenVINO computes in fp32, int8, and this CPU has no bf16\n  → set engine.precision to one of them"
ELSEWHERE = (
    "engine.path, engine.python and engine.command need TensorRT and a GPU, and device=cpu is set"
    "\n  → leave one of the two out"
)


@pytest.mark.parametrize(
    ("machine", "device", "options", "kind", "text"),
    [
        (BARE, "cuda", {}, EngineError, f"device=cuda: {NO_DRIVER}\n  → {AUTO}"),
        (BARE, "cuda", ORT, EngineError, f"device=cuda: {NO_DRIVER}\n  → {AUTO}"),
        (HOPPER, "cuda", {}, EngineError, f"{NO_PROVIDER}; {NO_BUILDER}\n  → {INSTALL}"),
        (HOPPER_TRT, "cuda", ORT, EngineError, f"{NO_PROVIDER}\n  → {INSTALL}"),
        (HOPPER_TRT, "cpu", TRT, PlanError, f"engine.runtime=tensorrt {GPU_ONLY}"),
        (ADA_RTX, "cpu", RTX, PlanError, f"engine.runtime=tensorrt_rtx {GPU_ONLY}"),
        (HOPPER_TRT, "cpu", {"path": "x.plan"}, PlanError, ELSEWHERE),
        (HOPPER, "cpu", {"python": "/py"}, PlanError, ELSEWHERE),
        (HOPPER, "cpu", {"builder": "command", "command": ["trtexec"]}, PlanError, ELSEWHERE),
        (BARE, "auto", ORT | {"path": "x.plan"}, PlanError, NOT_OURS),
        (BARE, "auto", ORT | FP16, PlanError, f"engine.precision=fp16: {ON_CPU}"),
        (HOPPER_ORT, "cpu", ORT | {"precision": "tf32"}, PlanError, f"engine.precision=tf32: {ON_CPU}"),
        (HOPPER_ORT, "auto", ORT | {"precision": "int8"}, PlanError, f"engine.precision=int8: {ON_GPU}"),
        (BARE, "auto", VINO, InstallError, f"engine.runtime=openvino: {NO_VINO}"),
        (CPU_OPENVINO, "cuda", VINO, PlanError, f"engine.runtime=openvino {CPU_ONLY}"),
        (CPU_OPENVINO, "auto", VINO | {"path": "x.plan"}, PlanError, NOT_OURS.replace("=onnxruntime", "=openvino")),
        (CPU_OPENVINO, "auto", VINO | FP16, PlanError, f"engine.precision=fp16: {VINO_HAS}"),
        (CPU_OPENVINO_OLD, "auto", VINO | BF16, PlanError, f"engine.precision=bf16: {VINO_LACKS}"),
    ],
)
def test_refusal(machine: Machine, device: str, options: dict[str, Any], kind: type[BmfgraphError], text: str) -> None:
    with pytest.raises(BmfgraphError) as caught:
        choose(machine, device, options)
    assert type(caught.value) is kind
    assert str(caught.value) == f"pipeline.nodes.net: {text}"


@pytest.mark.parametrize(
    ("speeds", "runtime", "words"),
    [
        (Speeds(8.2, 5.6), "openvino", "; measured: OpenVINO 5.6 ms, ONNX Runtime 8.2 ms"),
        (Speeds(5.6, 8.2), "onnxruntime", "; measured: OpenVINO 8.2 ms, ONNX Runtime 5.6 ms"),
        (Speeds(), "onnxruntime", ""),
    ],
)
def test_the_faster_runtime_of_a_cpu(speeds: Speeds, runtime: str, words: str) -> None:
    asked: list[bool] = []

    def speeds_of(measure: bool) -> Speeds:
        asked.append(measure)
        return speeds

    def chosen(machine: Machine, options: dict[str, Any]) -> RuntimeChoice:
        return select_runtime(Plan("x", (), machine), "net", EngineOptions.model_validate(options), speeds_of)

    for options in ({}, FP16):
        choice = chosen(CPU_OPENVINO, options)
        assert choice.runtime == runtime
        assert reason_text(choice.reason, "fp32").startswith(f"{NO_DRIVER}{words}")
    # A plan without a long clip is not worth a measurement.
    assert asked == [False, False]
    for machine, options in ((BARE, {}), (CPU_OPENVINO, ORT), (CPU_OPENVINO, VINO), (CPU_OPENVINO, BF16)):
        chosen(machine, options)
    assert len(asked) == 2
