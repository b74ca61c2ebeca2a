"""Measure the speed of an engine by itself, with inputs that stay in place."""

from __future__ import annotations

import time
from typing import Any

from bmfgraph.engines.spec import EngineSpec

__all__ = ["engine_alone"]

_SECONDS = 1.0
"""Time of the measurement, after a warm-up of a tenth of it."""
_LEAST, _MOST = 3, 2000
"""Inferences."""


def engine_alone(node: str, spec: EngineSpec, seconds: float = _SECONDS) -> float:
    """Return items per second: inferences times their batch.

    Numbers with fractions and levels of 8 bits are noise: on zeros, a GPU takes less power, and runs up to 3 % faster
    than on pictures. Other integers are zeros, because they may be positions in a table.

    Raises:
        EngineError: The engine cannot be loaded; the error names the node.
        InstallError: Its runtime is not installed.
    """
    import torch

    from bmfgraph.engines.runtimes import load_engine

    engine = load_engine(node, spec)
    on_gpu = spec.device == "cuda"
    dtypes = dict(spec.tensors)
    inputs = {
        name: _noise(shape, getattr(torch, dtypes[name])).to(spec.device)
        for name, shape in spec.input_shapes
    }
    begun: list[Any] = []

    def infer() -> None:
        begun.append(engine.begin(dict(inputs)))
        if len(begun) >= engine.streams:
            begun.pop(0).outputs()

    def go(minimum: int, limit: float) -> tuple[int, float]:
        count, began = 0, time.perf_counter()
        while count < minimum or (time.perf_counter() - began < limit and count < _MOST):
            infer()
            count += 1
            if on_gpu and count % 50 == 0:
                # Enqueued work is not done yet.
                torch.cuda.synchronize()
        if on_gpu:
            torch.cuda.synchronize()
        return count, time.perf_counter() - began

    def both() -> tuple[int, float]:
        go(1, seconds / 10)
        return go(_LEAST, seconds)

    if not on_gpu:
        count, took = both()
    else:
        with torch.cuda.stream(torch.cuda.Stream()):
            if spec.cuda_graph and engine.streams == 1:
                from bmfgraph.engines.runtimes.capture import captured

                graph, _ = captured(infer)
                infer = graph.replay
            count, took = both()
    return count * spec.batch / took


def _noise(shape: tuple[int, ...], dtype: Any) -> Any:
    import torch

    generator = torch.Generator().manual_seed(0)
    if dtype.is_floating_point:
        return torch.rand(shape, generator=generator).to(dtype)
    if dtype == torch.uint8:
        return torch.randint(0, 256, shape, generator=generator, dtype=dtype)
    return torch.zeros(shape, dtype=dtype)
