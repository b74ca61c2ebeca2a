"""Select the runtime that runs a model on a machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from bmfgraph import error_codes as codes
from bmfgraph.engines.spec import RuntimeReason
from bmfgraph.engines.speeds import Speeds
from bmfgraph.errors import EngineError, InstallError, PlanError
from bmfgraph.nodes.engine import EngineOptions, idle_text
from bmfgraph.plan.plan import Plan
from bmfgraph.plan.types import Device, Runtime
from bmfgraph.system.machine import runs_rtx

__all__ = ["RuntimeChoice", "select_runtime"]

_TENSORRT = "pip install tensorrt"
_MEASURED_FROM = 250
"""Frames of a clip from which on it is worth two seconds to find the faster runtime."""

Code = Literal["requested", "gpu", "device_cpu", "no_gpu", "rtx_unsupported", "no_builder"]


SpeedsOf = Callable[[bool], Speeds]


def _unknown(_: bool) -> Speeds:
    return Speeds()


@dataclass(frozen=True)
class RuntimeChoice:
    """A runtime, its device and precision, and the reason for it."""

    runtime: Runtime
    device: Device
    precision: str
    reason: RuntimeReason


def select_runtime(plan: Plan, node: str, options: EngineOptions, speeds: SpeedsOf = _unknown) -> RuntimeChoice:
    """Return the runtime that ``options`` name, or the best one of the plan's machine.

    Where a CPU has two runtimes, the one that is faster with the model is chosen.

    Args:
        plan: The plan.
        node: The node that errors name.
        options: The engine's options.
        speeds: Returns the speeds of the model on this CPU, and measures them if its argument is true.

    Raises:
        PlanError: The options contradict each other.
        EngineError: The machine cannot run it.
    """
    if options.runtime == "onnxruntime":
        return _onnxruntime(plan, node, options, "requested")
    if options.runtime == "openvino":
        return _requested_openvino(plan, node, options)
    if options.runtime != "auto":
        if plan.device == "cpu":
            raise PlanError(
                node,
                f"engine.runtime={options.runtime} runs on a GPU only, and device=cpu is set",
                hint="leave one of the two out",
                code=codes.DEVICE_CONFLICT,
            )
        return _on_gpu(plan, options, options.runtime, "requested")
    return _best(plan, node, options, speeds)


def _best(plan: Plan, node: str, options: EngineOptions, speeds: SpeedsOf) -> RuntimeChoice:
    machine = plan.machine
    if options.path is not None or options.command or options.python:
        # The user has an engine, or a TensorRT elsewhere that builds one.
        rtx_only = options.path is not None and machine.library("tensorrt") is None and runs_rtx(plan.machine.gpu)
        if plan.device == "cpu":
            raise PlanError(
                node,
                "engine.path, engine.python and engine.command need TensorRT and a GPU, and device=cpu is set",
                hint="leave one of the two out",
                code=codes.DEVICE_CONFLICT,
            )
        return _on_gpu(plan, options, "tensorrt_rtx" if rtx_only else "tensorrt", "requested")
    if plan.device == "cpu":
        return _on_cpu(plan, node, options, "device_cpu", speeds)
    if machine.gpu is None:
        return _on_cpu(plan, node, options, "no_gpu", speeds)
    if machine.library("tensorrt", builds=True):
        return _on_gpu(plan, options, "tensorrt", "gpu")
    if machine.library("tensorrt_rtx"):
        if runs_rtx(plan.machine.gpu):
            return _on_gpu(plan, options, "tensorrt_rtx", "gpu")
        return _onnxruntime(plan, node, options, "rtx_unsupported")
    return _onnxruntime(plan, node, options, "no_builder")


def _requested_openvino(plan: Plan, node: str, options: EngineOptions) -> RuntimeChoice:
    machine = plan.machine
    _refuse_path(node, options)
    if plan.device == "cuda":
        raise PlanError(
            node,
            "engine.runtime=openvino runs on the CPU only, and device=cuda is set",
            hint="leave one of the two out",
            code=codes.DEVICE_CONFLICT,
        )
    if not machine.openvino:
        raise InstallError(
            "engine.runtime=openvino: OpenVINO is not installed",
            hint="pip install openvino",
            code=codes.MISSING_OPENVINO,
            path=f"pipeline.nodes.{node}",
        )
    possible = ("fp32", "bf16", "int8") if machine.cpu_bf16 else ("fp32", "int8")
    if options.precision not in possible:
        lacking = ", and this CPU has no bf16" if options.precision == "bf16" else ""
        raise PlanError(
            node,
            f"engine.precision={options.precision}: OpenVINO computes in {', '.join(possible)}{lacking}",
            hint="set engine.precision to one of them",
            code=codes.UNSUPPORTED_PRECISION,
        )
    return RuntimeChoice("openvino", "cpu", options.precision, _reason(plan, options, "requested", gpu=False))


def _on_cpu(plan: Plan, node: str, options: EngineOptions, code: Code, speeds: SpeedsOf) -> RuntimeChoice:
    """Choose between the CPU's runtimes: OpenVINO where it has the precision, or is faster in fp32."""
    machine = plan.machine
    choice = _onnxruntime(plan, node, options, code)
    if not machine.openvino or choice.device != "cpu":
        return choice
    if options.precision == "int8" or (options.precision == "bf16" and machine.cpu_bf16):
        return replace(choice, runtime="openvino", precision=options.precision)
    frames = max((info.frames for _, info in plan.sources()), default=0)
    known = speeds(frames >= _MEASURED_FROM)
    if not (known.openvino and known.onnxruntime):
        return choice
    figures = [("OpenVINO", known.openvino), ("ONNX Runtime", known.onnxruntime)]
    text = "measured: " + ", ".join(f"{name} {milliseconds:.3g} ms" for name, milliseconds in figures)
    faster: Runtime = "openvino" if known.openvino < known.onnxruntime else "onnxruntime"
    return replace(choice, runtime=faster, reason=replace(choice.reason, speeds=text))


def _on_gpu(plan: Plan, options: EngineOptions, runtime: Runtime, code: Code) -> RuntimeChoice:
    return RuntimeChoice(runtime, "cuda", options.precision, _reason(plan, options, code, gpu=True))


def _onnxruntime(plan: Plan, node: str, options: EngineOptions, code: Code) -> RuntimeChoice:
    """Choose ONNX Runtime: on the GPU if that is allowed and possible, else on the CPU."""
    _refuse_path(node, options)
    machine = plan.machine
    gpu = machine.gpu is not None and machine.onnxruntime_cuda and plan.device != "cpu"
    reason = _reason(plan, options, code, gpu=gpu)
    if plan.device == "cuda" and not gpu:
        missing = (
            machine.no_gpu
            if machine.gpu is None
            else f"{machine.gpu} is present, but ONNX Runtime has no CUDA provider"
        )
        cause = idle_text(reason)[0] if machine.gpu else ""
        raise EngineError(
            node,
            f"device=cuda: {missing}" + (f"; {cause}" if cause else ""),
            hint="set device=auto to run on the CPU"
            if machine.gpu is None
            else f"{_TENSORRT} (or onnxruntime-gpu), or set device=auto to run on the CPU",
            code=codes.MISSING_GPU,
        )
    precisions = ("fp32", "tf32") if gpu else ("fp32",)
    if options.precision not in precisions and code == "requested":
        raise PlanError(
            node,
            f"engine.precision={options.precision}: ONNX Runtime on the {'GPU' if gpu else 'CPU'} computes in "
            f"{' or '.join(precisions)}",
            hint=f"set engine.precision={precisions[0]}, or engine.runtime=tensorrt on a machine with a GPU",
            code=codes.UNSUPPORTED_PRECISION,
        )
    precision = options.precision if options.precision in precisions else "fp32"
    return RuntimeChoice("onnxruntime", "cuda" if gpu else "cpu", precision, reason)


def _refuse_path(node: str, options: EngineOptions) -> None:
    if options.path is not None:
        raise PlanError(
            node,
            f"engine.path {options.path!r} is an engine of TensorRT, which engine.runtime={options.runtime} does not "
            "run",
            hint="leave engine.path out, or set engine.runtime=tensorrt",
            code=codes.ENGINE_RUNTIME_CONFLICT,
        )


def _reason(plan: Plan, options: EngineOptions, code: Code, *, gpu: bool) -> RuntimeReason:
    machine = plan.machine
    return RuntimeReason(
        code,
        options.precision,
        gpu=str(machine.gpu) if machine.gpu else "",
        detail=machine.no_gpu if code == "no_gpu" else "",
        idle=machine.gpu is not None and not gpu and plan.device == "auto",
    )
