"""Run CUDA kernels on the CPU: a C++ compiler compiles their source, and a loop takes the place of the grid."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

_FRAME = """
#include <algorithm>
#include <cmath>
#include <utility>
using std::max;
using std::min;
#define __global__
struct Place { int x, y, z; };
static Place blockIdx, threadIdx, blockDim;
SOURCE
template <class... Arguments, std::size_t... Numbers>
static void call(void (*kernel)(Arguments...), void** arguments, std::index_sequence<Numbers...>)
{
    kernel(*static_cast<Arguments*>(arguments[Numbers])...);
}
template <class... Arguments>
static void call(void (*kernel)(Arguments...), void** arguments)
{
    call(kernel, arguments, std::index_sequence_for<Arguments...>());
}
extern "C" void launch(const int* grid, const int* block, void** arguments)
{
    blockDim = {block[0], block[1], block[2]};
    for (blockIdx.z = 0; blockIdx.z < grid[2]; blockIdx.z++)
    for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
    for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++)
    for (threadIdx.z = 0; threadIdx.z < block[2]; threadIdx.z++)
    for (threadIdx.y = 0; threadIdx.y < block[1]; threadIdx.y++)
    for (threadIdx.x = 0; threadIdx.x < block[0]; threadIdx.x++)
        call(NAME, arguments);
}
"""


class Emulator:
    """Takes the place of :func:`bmfgraph.stages.cuda_kernels.compiled`.

    Args:
        folder: Where the programs are built.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.built = 0

    def compiled(self, source: str, name: str, values: Mapping[str, object]) -> Callable[..., None]:
        """Compile a kernel, and return a function that launches it."""
        compiler = shutil.which("c++")
        if compiler is None or sys.platform != "linux":
            pytest.skip("no C++ compiler is installed")
        self.built += 1
        path = self._folder / f"kernel{self.built}"
        defines = "".join(f"#define {key} {value}\n" for key, value in values.items())
        text = _FRAME.replace("NAME", name).replace("SOURCE", defines + source)
        path.with_suffix(".cpp").write_text(text)
        flags = ["-O2", "-std=c++17", "-shared", "-fPIC", "-ffp-contract=off", "-w"]
        subprocess.run([compiler, *flags, "-o", path.with_suffix(".so"), path.with_suffix(".cpp")], check=True)
        library = ctypes.CDLL(str(path.with_suffix(".so")))

        def launch(*, grid: tuple[int, ...], block: tuple[int, ...], args: list[Any]) -> None:
            # As torch passes them.
            kept = [_argument(value) for value in args]
            addresses = [ctypes.cast(ctypes.byref(value), ctypes.c_void_p) for value in kept]
            pointers = (ctypes.c_void_p * len(kept))(*addresses)
            library.launch((ctypes.c_int * 3)(*grid), (ctypes.c_int * 3)(*block), pointers)

        return launch


def _argument(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return ctypes.c_void_p(value.data_ptr())
    return ctypes.c_double(value) if isinstance(value, float) else ctypes.c_int(value)
