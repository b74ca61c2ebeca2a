"""Run one inference in a child process, to see whether a runtime takes a model; see trial.py."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bmfgraph.engines.limited import report
from bmfgraph.engines.runtimes.ort_session import open_session
from bmfgraph.errors import first_line

__all__ = ["try_onnxruntime"]

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
        session = open_session(
            Path(request["path"]),
            {name: tuple(dims) for name, dims in request["dim_overrides"]},
            [name for name, _ in request["external"]],
            weights_as_inputs=request["weights_as_inputs"],
            threads=request["threads"],
        )
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


def _ending_after(seconds: float) -> Any:
    """Return options for a run, which ends with an error after that time."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    timer = threading.Timer(seconds, setattr, (options, "terminate", True))
    timer.daemon = True
    timer.start()
    return options


def _failure(stage: str, error: Exception) -> dict[str, Any]:
    text = first_line(error) or type(error).__name__
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
