"""Compile CUDA kernels from source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

__all__ = ["compiled"]


def compiled(source: str, name: str, values: Mapping[str, object]) -> Callable[..., None] | None:
    """Compile a kernel.

    Args:
        source: Text in CUDA C++ with one kernel.
        name: Name of the kernel.
        values: Text for each name that the source leaves open.

    Returns:
        A function that launches the kernel on the current stream; None where torch cannot compile kernels.
    """
    # Torch offers its access to CUDA's compiler without a promise to keep it, so nothing depends on it.
    build: Any = getattr(torch.cuda, "_compile_kernel", None)
    if build is None:
        return None
    defines = "".join(f"#define {key} {value}\n" for key, value in values.items())
    try:
        kernel: Callable[..., None] = build(defines + source, name)
    except Exception:
        # A machine may lack the compiler, or have one that is too old for its GPU.
        return None
    return kernel
