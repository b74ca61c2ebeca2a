"""What this machine has for engines: the GPU and the runtimes' libraries, found without loading any of them."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = [
    "NO_MACHINE",
    "RTX_CAPABILITIES",
    "SCHEMA",
    "Flavour",
    "Gpu",
    "Library",
    "Machine",
    "find_gpu",
    "find_libraries",
    "find_machine",
    "machine_from",
]

RTX_CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
"""What TensorRT-RTX 1.x runs on, after its support matrix."""

Flavour = Literal["tensorrt", "tensorrt_rtx"]

# In the order in which they are tried. The lean and dispatch libraries run engines and cannot build them.
_MODULES: tuple[tuple[Flavour, str, bool], ...] = (
    ("tensorrt", "tensorrt", True),
    ("tensorrt", "tensorrt_lean", False),
    ("tensorrt", "tensorrt_dispatch", False),
    ("tensorrt_rtx", "tensorrt_rtx", True),
    ("tensorrt_rtx", "tensorrt_rtx_bindings", True),
)
_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h."""


@dataclass(frozen=True)
class Gpu:
    """The first GPU that this process may use; ``memory`` in bytes."""

    name: str
    compute_capability: str
    memory: int

    def __str__(self) -> str:
        return f"{self.name} (compute capability {self.compute_capability})"


@dataclass(frozen=True)
class Library:
    """A TensorRT library that is installed; ``module`` is what to import."""

    flavour: Flavour
    module: str
    version: str
    builds: bool
    """Whether it builds engines, or only runs them."""


@dataclass(frozen=True)
class Machine:
    """What engines can be built and run with."""

    gpu: Gpu | None = None
    no_gpu: str = "no NVIDIA GPU was looked for"
    """Why there is no GPU."""
    libraries: tuple[Library, ...] = ()
    onnxruntime_cuda: bool = False
    """Whether the ONNX Runtime that is installed has the CUDA provider."""

    def library(self, flavour: Flavour, *, builds: bool = False) -> Library | None:
        """The first library of that flavour, that builds engines if it must."""
        found = (one for one in self.libraries if one.flavour == flavour and (one.builds or not builds))
        return next(found, None)


def machine_from(data: Mapping[str, Any]) -> Machine:
    """The machine that plain data describe, as ``doctor --json`` writes them. Raises KeyError and TypeError."""
    gpu = data["gpu"]
    return Machine(
        gpu=Gpu(**gpu) if gpu is not None else None,
        no_gpu=str(data["no_gpu"]),
        libraries=tuple(Library(**library) for library in data["libraries"]),
        onnxruntime_cuda=bool(data["onnxruntime_cuda"]),
    )


SCHEMA = 1
"""Of the files that describe a machine, which ``doctor --json`` writes and ``target=`` takes; raised when a reader of
the old form would misread the new one.
"""
NO_MACHINE = Machine()
"""A machine with a CPU and no more."""


def find_machine() -> Machine:
    """Look at this machine. Imports neither torch nor a runtime."""
    gpu, why = find_gpu()
    return Machine(gpu, why, find_libraries(), _onnxruntime_cuda())


def find_gpu() -> tuple[Gpu | None, str]:
    """The first GPU that CUDA's driver shows to this process, or None and the reason."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None, "no NVIDIA driver (libcuda.so.1) is installed"
    count, device, major, minor = (ctypes.c_int() for _ in range(4))
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    calls = (
        lambda: driver.cuInit(0),
        lambda: driver.cuDeviceGetCount(ctypes.byref(count)),
        lambda: 0 if count.value else 100,
        lambda: driver.cuDeviceGet(ctypes.byref(device), 0),
        lambda: driver.cuDeviceGetName(name, len(name), device),
        lambda: driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device),
        lambda: driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device),
        lambda: driver.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device),
    )
    for call in calls:
        if code := call():
            why = "it shows no GPU to this process" if code == 100 else f"it answers with error {code}"
            return None, f"the NVIDIA driver is installed, but {why}"
    return Gpu(name.value.decode(), f"{major.value}.{minor.value}", memory.value), ""


def find_libraries() -> tuple[Library, ...]:
    """The TensorRT libraries installed here, best first."""
    found = []
    for flavour, module, builds in _MODULES:
        if importlib.util.find_spec(module) is not None:
            found.append(Library(flavour, module, _version(module), builds))
    return tuple(found)


def _version(module: str) -> str:
    """Of the installed distribution: NVIDIA's are named after the module and the CUDA they were made for."""
    base = module.removesuffix("_bindings")
    names = [
        module,
        *(f"{base}_{cuda}{part}" for cuda in ("cu13", "cu12", "cu11") for part in ("_bindings", "", "_libs")),
    ]
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return str(importlib.import_module(module).__version__)


def _onnxruntime_cuda() -> bool:
    spec = importlib.util.find_spec("onnxruntime")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    return bool(folder and (folder / "capi" / "libonnxruntime_providers_cuda.so").is_file())
