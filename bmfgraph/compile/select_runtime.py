"""Which runtime runs a model on this machine, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bmfgraph.errors import EngineError, PlanError
from bmfgraph.nodes.engine import EngineOptions
from bmfgraph.plan.plan import Plan
from bmfgraph.plan.types import Device
from bmfgraph.system.machine import runs_rtx

__all__ = ["RuntimeChoice", "select_runtime"]

Runtime = Literal["onnxruntime", "tensorrt", "tensorrt_rtx"]

_TENSORRT = "pip install tensorrt"


@dataclass(frozen=True)
class RuntimeChoice:
    """A runtime, where it runs, how precisely it will compute, and the reason in words ("": it was asked for)."""

    runtime: Runtime
    device: Device
    precision: str
    why: str = ""


def select_runtime(plan: Plan, node: str, options: EngineOptions) -> RuntimeChoice:
    """The runtime that ``options`` name, or the best one here. Raises PlanError or EngineError where there is none."""
    if options.runtime == "onnxruntime":
        return _onnxruntime(plan, node, options, "")
    if options.runtime != "auto":
        if plan.device == "cpu":
            raise PlanError(
                node,
                f"engine.runtime={options.runtime} runs on a GPU only, and device=cpu is set",
                hint="leave one of the two out",
                code="E601",
            )
        return RuntimeChoice(options.runtime, "cuda", options.precision)
    return _best(plan, node, options)


def _best(plan: Plan, node: str, options: EngineOptions) -> RuntimeChoice:
    machine = plan.machine
    if options.path is not None or options.command or options.python:
        # Somebody has an engine, or a TensorRT elsewhere that builds one.
        rtx_only = options.path is not None and machine.library("tensorrt") is None and runs_rtx(machine.gpu)
        if plan.device == "cpu":
            raise PlanError(
                node,
                "engine.path, engine.python and engine.command are TensorRT's, which needs a GPU, and "
                "device=cpu is set",
                hint="leave one of the two out",
                code="E601",
            )
        return RuntimeChoice("tensorrt_rtx" if rtx_only else "tensorrt", "cuda", options.precision)
    if plan.device == "cpu":
        return _onnxruntime(plan, node, options, "device=cpu")
    if machine.gpu is None:
        return _onnxruntime(plan, node, options, machine.no_gpu)
    if machine.library("tensorrt", builds=True):
        return RuntimeChoice("tensorrt", "cuda", options.precision, f"on {machine.gpu}")
    if machine.library("tensorrt_rtx"):
        if runs_rtx(machine.gpu):
            return RuntimeChoice("tensorrt_rtx", "cuda", options.precision, f"on {machine.gpu}")
        return _onnxruntime(
            plan, node, options, "TensorRT-RTX does not run on this GPU, and no TensorRT that builds is here"
        )
    return _onnxruntime(plan, node, options, "no TensorRT that builds engines is installed")


def _onnxruntime(plan: Plan, node: str, options: EngineOptions, why: str) -> RuntimeChoice:
    """ONNX Runtime: on the GPU if it may and can be used, else on the CPU."""
    if options.path is not None:
        raise PlanError(
            node,
            f"engine.path {options.path!r} is an engine of TensorRT, which engine.runtime=onnxruntime does not run",
            hint="leave engine.path out, or set engine.runtime=tensorrt",
            code="E603",
        )
    machine = plan.machine
    gpu = machine.gpu is not None and machine.onnxruntime_cuda and plan.device != "cpu"
    if plan.device == "cuda" and not gpu:
        reason = (
            machine.no_gpu if machine.gpu is None else f"{machine.gpu} is here, but ONNX Runtime has no CUDA provider"
        )
        raise EngineError(
            node,
            f"device=cuda: {reason}" + (f"; {why}" if machine.gpu and why else ""),
            hint="set device=auto to run on the CPU"
            if machine.gpu is None
            else f"{_TENSORRT} (or onnxruntime-gpu), or set device=auto to run on the CPU",
            code="E605",
        )
    able = ("fp32", "tf32") if gpu else ("fp32",)
    if options.precision in able:
        return RuntimeChoice("onnxruntime", "cuda" if gpu else "cpu", options.precision, _reason(plan, gpu, why))
    if options.runtime == "onnxruntime":
        raise PlanError(
            node,
            f"engine.precision={options.precision}: ONNX Runtime on the {'GPU' if gpu else 'CPU'} computes in "
            f"{' or '.join(able)}",
            hint=f"set engine.precision={able[0]}, or engine.runtime=tensorrt on a machine with a GPU",
            code="E604",
        )
    told = _reason(plan, gpu, why)
    return RuntimeChoice(
        "onnxruntime", "cuda" if gpu else "cpu", "fp32", f"{told}; in fp32 instead of {options.precision}"
    )


def _reason(plan: Plan, gpu: bool, why: str) -> str:
    """The reason, and on a machine with a GPU that it is left idle."""
    idle = plan.machine.gpu is not None and not gpu and plan.device == "auto"
    return f"{why}: {plan.machine.gpu} stays idle; {_TENSORRT}" if idle and why else why
