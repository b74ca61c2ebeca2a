"""Choose how many frames travel together: more cost less time for each, and more memory and latency."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from bmfgraph.compile.passes import compiler_pass
from bmfgraph.plan.plan import Plan
from bmfgraph.plan.types import BundleSpec, Device, FrameSpec, PortType, TensorSpec

__all__ = ["size_batches"]

_MOST: dict[Device, int] = {"cpu": 4, "cuda": 32}
"""Frames of a batch. On an H200, eight are as fast as more for one clip; four clips side by side, whose threads share
one interpreter, have two thirds of their speed with eight. On a CPU, a frame costs little beside its pixels."""
_MEMORY: dict[Device, int] = {"cpu": 4 << 20, "cuda": 256 << 20}
"""Bytes of a batch on its largest edge."""
_SHARE = 256
"""A batch has at most this part of the GPU's memory on an edge: several batches are on their way on each."""


@compiler_pass(requires=("types", "engines"))
def size_batches(plan: Plan) -> Plan:
    """Set ``batch``: the most frames that memory and latency allow, in multiples of the engines' own batches."""
    device: Device = "cuda" if plan.uses_gpu else "cpu"
    largest = max((_bytes(port.type) for node in plan for port in node.outputs), default=0)
    memory = _MEMORY[device]
    if device == "cuda" and plan.machine.gpu is not None:
        memory = min(memory, plan.machine.gpu.memory // _SHARE)
    most = min(_MOST[device], memory // max(1, largest))
    if plan.latency is not None:
        rates = [port.type.rate for node in plan for port in node.outputs if isinstance(port.type, FrameSpec)]
        most = min(most, int(plan.latency * float(max(rates, default=0))))
    elif device == "cuda":
        engines = math.lcm(*(engine.batch for _, engine in plan.engines()))
        most = max(engines, most // engines * engines)
    return replace(plan, batch=max(1, most))


def _bytes(kind: PortType) -> int:
    """Return the memory of one frame's item on an edge, in bytes; 0 for results."""
    if isinstance(kind, FrameSpec):
        return kind.width * kind.height * 3 * (2 if kind.bits > 8 else 1)
    if isinstance(kind, TensorSpec):
        bits = int(re.sub(r"\D", "", kind.dtype) or 8)
        return math.prod(size or 1 for size in kind.shape) * bits // 8
    return sum(map(_bytes, kind.tensors)) if isinstance(kind, BundleSpec) else 0
