"""Run inferences in a child process, to see whether a runtime takes a model, and how fast it is.

See trial.py and speeds.py.
"""

from __future__ import annotations

import os
import re
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bmfgraph.engines.limited import report
from bmfgraph.engines.runtimes.openvino_model import compile_model, failure_text
from bmfgraph.engines.runtimes.ort_session import open_session

__all__ = ["time_runtimes", "try_onnxruntime", "try_openvino"]

Shapes = dict[str, tuple[int, ...]]
_MULTIPLES = (2, 4, 8, 16, 32, 64, 128)
_SIDES = (32, 64, 96, 112, 128, 160, 192, 224, 256, 299, 320, 384, 416, 448, 480, 512, 640)
"""Usual sides of networks for square pictures of one size."""
_SEARCH = 5.0
"""Seconds to look for sizes that a network takes."""
_ENOUGH = 1.0
"""Seconds after which an inference is cut short: mistakes in sizes show early, and frames may take long."""
_PATIENCE = 10.0
"""Seconds after which an inference is stopped that must come to its end."""
_MEASURED, _TURN = 0.5, 0.1
"""Seconds that each runtime is measured, and seconds of one turn of a runtime."""
_NO_MEMORY = re.compile(r"bad_alloc|bad allocation|Failed to allocate(?:.*buffer of size (?P<size>\d+))?")


def try_onnxruntime(request: Mapping[str, Any]) -> dict[str, Any]:
    """Load a model in ONNX Runtime, and run it once on ones, because a network may divide by its input.

    Args:
        request: The fields of :class:`bmfgraph.engines.trial.TrialRequest`.

    Returns:
        ``outputs`` with the shape of every output. Or, if the inference was cut short, ``lasting``, whether it had
        really computed until then, and ``slow``, the time if that is a reason to warn. Or ``stage``, load or run, with
        the ``reason`` of the failure, and ``multiple`` or ``side`` if the network takes such sizes.
    """
    shapes: Shapes = {name: tuple(shape) for name, _, shape in request["inputs"]}
    dtypes = {name: dtype for name, dtype, _ in request["inputs"]}
    try:
        session = _session(request)
    except Exception as error:
        return _failure("load", error)
    report("loaded")
    computed = time.process_time()
    limit = _PATIENCE if request["whole"] else _ENOUGH
    options = _ending_after(limit)

    def run(shapes: Shapes, value: float = 1, options: Any = None) -> list[tuple[int, ...]]:
        inputs = {name: np.full(shape, value, dtypes[name]) for name, shape in shapes.items()}
        return [np.shape(array) for array in session.run(request["outputs"], inputs, options)]

    try:
        outputs = run(shapes, options=options)
        # Sizes that depend on the data differ with it.
        again = run(shapes, 0) if request["compare"] else outputs
    except Exception as error:
        if options.terminate:
            lasting = time.process_time() - computed > limit / 2
            return {"lasting": lasting, "slow": f"{limit:g} s" if request["whole"] else ""}
        failure = _failure("run", error)
        # The search below may exceed a limit.
        report(f"refused {failure['reason']}")
        return {**failure, **_accepted_sizes(run, shapes, dict(request["sides"]))}
    return {
        "outputs": {
            name: [size if size == other else None for size, other in zip(first, second, strict=False)]
            for name, first, second in zip(request["outputs"], outputs, again, strict=True)
        }
    }


def try_openvino(request: Mapping[str, Any]) -> dict[str, Any]:
    """Compile a model with OpenVINO, and run it once on ones.

    Args:
        request: See :func:`try_onnxruntime`.

    Returns:
        As :func:`try_onnxruntime`, without ``multiple`` and ``side``.
    """
    try:
        inference = _compiled(request).create_infer_request()
    except Exception as error:
        return _failure("load", error)
    report("loaded")
    computed = time.process_time()
    try:
        inference.start_async(_ones(request))
        if not inference.wait_for(round(1000 * _ENOUGH)):
            return {"lasting": time.process_time() - computed > _ENOUGH / 2, "slow": ""}
        # It raises the inference's error.
        inference.wait()
    except Exception as error:
        return _failure("run", error)
    return {"outputs": {name: list(inference.get_tensor(name).shape) for name in request["outputs"]}}


def time_runtimes(request: dict[str, Any]) -> dict[str, float]:
    """Run a model in ONNX Runtime and in OpenVINO, in turns.

    Args:
        request: See :func:`try_onnxruntime`; ``streams`` says how many inferences run side by side.

    Returns:
        Milliseconds for each inference, by runtime: the median over the turns.
    """
    streams, inputs = request["streams"], _ones(request)
    session = _session(request | {"threads": request["threads"] // streams})
    compiled = _compiled(request, streams)
    inferences = [compiled.create_infer_request() for _ in range(streams)]
    calls: dict[str, Callable[[int], object]] = {
        "onnxruntime": lambda _: session.run(request["outputs"], inputs),
        "openvino": lambda number: inferences[number].infer(inputs, share_inputs=True, share_outputs=True),
    }
    turns: dict[str, list[float]] = {name: [] for name in calls}
    spent = 0.0
    with ThreadPoolExecutor(streams) as pool:
        for call in calls.values():
            list(pool.map(call, range(streams)))
        while spent < _MEASURED * len(calls):
            for name, call in calls.items():
                began, count = time.perf_counter(), 0
                while count == 0 or time.perf_counter() - began < _TURN:
                    count += len(list(pool.map(call, range(streams))))
                seconds = time.perf_counter() - began
                turns[name].append(1000 * seconds / count)
                spent += seconds
    return {name: statistics.median(times) for name, times in turns.items()}


def _session(request: Mapping[str, Any]) -> Any:
    return open_session(
        Path(request["path"]),
        {name: tuple(dims) for name, dims in request["dim_overrides"]},
        [name for name, _ in request["external"]],
        weights_as_inputs=request["weights_as_inputs"],
        threads=request["threads"],
    )


def _compiled(request: Mapping[str, Any], streams: int = 1) -> Any:
    return compile_model(
        Path(request["path"]),
        {name: tuple(shape) for name, _, shape in request["inputs"]},
        [name for name, _ in request["external"]],
        precision=request["precision"],
        threads=request["threads"],
        streams=streams,
    )


def _ones(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.ones(shape, dtype) for name, dtype, shape in request["inputs"]}


def _ending_after(seconds: float) -> Any:
    """Return options for a run, which ends with an error after that time."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    timer = threading.Timer(seconds, setattr, (options, "terminate", True))
    timer.daemon = True
    timer.start()
    return options


def _failure(stage: str, error: Exception) -> dict[str, Any]:
    text = failure_text(error) or type(error).__name__
    match = _NO_MEMORY.search(str(error))
    # One tensor that is larger than the machine is a mistake of the model, and no lack of free memory.
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if isinstance(error, MemoryError) or (match and int(match["size"] or 0) <= memory):
        raise MemoryError(stage)
    return {"stage": stage, "reason": text}


def _accepted_sizes(run: Any, shapes: Shapes, sides: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Look for a number that must divide the sides, or for the only size of a network.

    A number counts only if the network takes two sizes whose sides are odd multiples of it.
    """
    end = time.monotonic() + _SEARCH

    def takes(*candidates: Shapes) -> bool:
        for candidate in candidates:
            if time.monotonic() > end:
                return False
            try:
                run(candidate)
            except Exception:
                return False
        return True

    if not any(sides.values()):
        return {}
    for multiple in _MULTIPLES:
        if takes(*(_with_sides(shapes, sides, partial(_odd, multiple, extra)) for extra in (0, 2))):
            return {"multiple": multiple}
    for side in _SIDES:
        if takes(_with_sides(shapes, sides, lambda _, side=side: side)):
            return {"side": side}
    return {}


def _odd(multiple: int, extra: int, size: int) -> int:
    """Return the next odd multiple of a number, and ``extra`` multiples more."""
    return ((-(-size // multiple) | 1) + extra) * multiple


def _with_sides(shapes: Shapes, sides: Mapping[str, Sequence[int]], changed: Any) -> Shapes:
    return {
        name: tuple(changed(size) if axis in sides.get(name, ()) else size for axis, size in enumerate(shape))
        for name, shape in shapes.items()
    }
