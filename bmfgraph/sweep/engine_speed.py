"""How fast an engine is by itself, with inputs that stay where they are."""

from __future__ import annotations

import time
from typing import Any

from bmfgraph.nodes.inference import InferenceParams

__all__ = ["engine_alone"]

_SECONDS = 1.0
"""So long it is measured, after a tenth of that to warm up."""
_LEAST, _MOST = 3, 2000
"""Inferences."""


def engine_alone(params: InferenceParams, seconds: float = _SECONDS) -> float:
    """Items a second: inferences times their batch, on zeros. Raises EngineError or InstallError."""
    import torch

    from bmfgraph.engines.runtimes import load_engine

    assert params.engine is not None
    engine = load_engine(params.model, params.engine)
    on_gpu = params.engine.device == "cuda"
    dtypes = dict(params.engine.tensors)
    inputs = {
        name: torch.zeros(shape, dtype=getattr(torch, dtypes[name]), device=params.engine.device)
        for name, shape in params.inputs
    }
    begun: list[Any] = []

    def go(minimum: int, limit: float) -> tuple[int, float]:
        count, began = 0, time.perf_counter()
        while count < minimum or (time.perf_counter() - began < limit and count < _MOST):
            begun.append(engine.begin(dict(inputs)))
            count += 1
            if len(begun) >= engine.streams:
                begun.pop(0).outputs()
            if on_gpu and count % 50 == 0:
                # What was enqueued is not yet done.
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
            count, took = both()
    return count * params.batch / took
