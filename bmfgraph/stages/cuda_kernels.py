"""Compile CUDA kernels from source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from bmfgraph.engines.runtimes.capture import NO_CAPTURE

__all__ = ["compiled", "number", "table"]


def compiled(source: str, name: str, values: Mapping[str, object]) -> Callable[..., None] | None:
    """Compile a kernel.

    Args:
        source: Text in CUDA C++ with one kernel.
        name: Name of the kernel.
        values: Text for each name that the source leaves open. Numbers that are no integers belong here: torch passes
            them as double to a kernel.

    Returns:
        A function that launches the kernel on the current stream; None where torch cannot compile kernels.
    """
    # Torch offers its access to CUDA's compiler without a promise to keep it, so nothing depends on it.
    build: Any = getattr(torch.cuda, "_compile_kernel", None)
    if build is None:
        return None
    defines = "".join(f"#define {key} {value}\n" for key, value in values.items())
    try:
        with NO_CAPTURE:
            # The driver loads a kernel into the context of this thread, which has none before its first work on a GPU.
            torch.zeros((), device="cuda")
            kernel: Callable[..., None] = build(defines + source, name)
    except Exception:
        # A machine may lack the compiler, or have one that is too old for its GPU.
        return None
    return kernel


def number(value: float) -> str:
    """Return a number as a float of the source."""
    return f"({float(value)!r}f)"


def table(values: Sequence[float | str]) -> str:
    """Return numbers, or the text of tables, as a table of the source."""
    return "{" + ", ".join(value if isinstance(value, str) else number(value) for value in values) + "}"
