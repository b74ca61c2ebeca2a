"""Detect the GPU and the runtime libraries of this machine without importing torch or a runtime."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from bmfgraph.system.untrusted import has_form

__all__ = [
    "NO_MACHINE",
    "RTX_CAPABILITIES",
    "SCHEMA",
    "Flavour",
    "Gpu",
    "Library",
    "Machine",
    "distribution_names",
    "find_gpu",
    "find_libraries",
    "find_machine",
    "installed_version",
    "machine_from",
    "runs_rtx",
]

RTX_CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
"""Compute capabilities that TensorRT-RTX 1.x supports. Source: NVIDIA's support matrix of TensorRT-RTX."""

Flavour = Literal["tensorrt", "tensorrt_rtx"]

# Flavour, module, and whether the module builds engines; in the order of preference.
_MODULES: tuple[tuple[Flavour, str, bool], ...] = (
    ("tensorrt", "tensorrt", True),
    ("tensorrt", "tensorrt_lean", False),
    ("tensorrt", "tensorrt_dispatch", False),
    ("tensorrt_rtx", "tensorrt_rtx", True),
    ("tensorrt_rtx", "tensorrt_rtx_bindings", True),
)
_FORM = {
    "gpu": ({"name": str, "compute_capability": str, "memory": int}, None),
    "no_gpu": str,
    "libraries": [{"flavour": str, "module": str, "version": str, "builds": bool}],
    "onnxruntime_cuda": bool,
    "openvino": str,
    "cpu_bf16": bool,
}
"""Form of a machine as plain data."""
_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h."""


@dataclass(frozen=True)
class Gpu:
    """The first GPU that this process may use."""

    name: str
    compute_capability: str
    """Major and minor number, such as ``8.9``."""
    memory: int
    """Bytes."""

    def __str__(self) -> str:
        return f"{self.name} (compute capability {self.compute_capability})"


@dataclass(frozen=True)
class Library:
    """An installed TensorRT library."""

    flavour: Flavour
    module: str
    """Name of the Python module to import."""
    version: str
    builds: bool
    """True if the library builds engines; False if it only runs them."""


@dataclass(frozen=True)
class Machine:
    """The hardware and libraries that can build and run engines."""

    gpu: Gpu | None = None
    no_gpu: str = "no NVIDIA GPU was looked for"
    """Reason for the missing GPU."""
    libraries: tuple[Library, ...] = ()
    onnxruntime_cuda: bool = False
    """True if the installed ONNX Runtime has the CUDA provider."""
    openvino: str = ""
    """Version of the installed OpenVINO; "" for none."""
    cpu_bf16: bool = False
    """True if the CPU has instructions for bf16, without which bf16 is slower than fp32."""

    def library(self, flavour: Flavour, *, builds: bool = False) -> Library | None:
        """Return the preferred library of a flavour.

        Args:
            flavour: The product.
            builds: If true, libraries that only run engines are skipped.

        Returns:
            The library, or None if none is installed.
        """
        matches = (item for item in self.libraries if item.flavour == flavour and (item.builds or not builds))
        return next(matches, None)


def runs_rtx(gpu: Gpu | None) -> bool:
    """Return whether TensorRT-RTX runs on this GPU; False without a GPU."""
    return gpu is not None and gpu.compute_capability in RTX_CAPABILITIES


def machine_from(data: Mapping[str, Any]) -> Machine:
    """Create a machine from the plain data that ``doctor --json`` writes under ``machine``.

    Raises:
        TypeError: A key is missing or unknown, or a value has the wrong type.
    """
    # Earlier versions did not write all keys.
    data = {"openvino": "", "cpu_bf16": False, **data}
    if not has_form(data, _FORM):
        raise TypeError("the data does not describe a machine")
    gpu = data["gpu"]
    return Machine(
        gpu=Gpu(**gpu) if gpu is not None else None,
        no_gpu=data["no_gpu"],
        libraries=tuple(Library(**library) for library in data["libraries"]),
        onnxruntime_cuda=data["onnxruntime_cuda"],
        openvino=data["openvino"],
        cpu_bf16=data["cpu_bf16"],
    )


SCHEMA = 1
"""Version of the JSON that describes a machine; ``doctor --json`` writes it and ``target=`` reads it.

It is increased when a reader of the old form would misread the new form.
"""
NO_MACHINE = Machine()
"""A machine with a CPU only."""


@cache
def installed_version(distribution: str) -> str:
    """Return the version of an installed distribution. It is read once: each run would parse a dozen files of metadata.

    Raises:
        PackageNotFoundError: It is not installed; it may be the next time.
    """
    return importlib.metadata.version(distribution)


def find_machine() -> Machine:
    """Detect the GPU and the runtime libraries of this machine."""
    gpu, reason = find_gpu()
    return Machine(gpu, reason, find_libraries(), _onnxruntime_cuda(), _openvino(), _cpu_bf16())


def find_gpu() -> tuple[Gpu | None, str]:
    """Detect the first GPU through the CUDA driver, which applies CUDA_VISIBLE_DEVICES.

    Returns:
        The GPU and an empty text, or None and the reason.
    """
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
            reason = "it shows no GPU to this process" if code == 100 else f"it answers with error {code}"
            return None, f"the NVIDIA driver is installed, but {reason}"
    return Gpu(name.value.decode(), f"{major.value}.{minor.value}", memory.value), ""


def find_libraries() -> tuple[Library, ...]:
    """Return the installed TensorRT libraries, in the order of preference."""
    return tuple(
        Library(flavour, module, _version(module), builds)
        for flavour, module, builds in _MODULES
        if importlib.util.find_spec(module) is not None
    )


def distribution_names(flavour: Flavour) -> list[str]:
    """Return the names of the distributions that hold a flavour's builder."""
    return [name for kind, module, builds in _MODULES if kind == flavour and builds for name in _names(module)]


def _names(module: str) -> list[str]:
    """Return the names of a module's distributions. NVIDIA names one after its module and its CUDA version."""
    base = module.removesuffix("_bindings")
    versions = [f"{base}_{cuda}{part}" for cuda in ("cu13", "cu12", "cu11") for part in ("_bindings", "", "_libs")]
    return [module, *versions]


def _version(module: str) -> str:
    for name in _names(module):
        try:
            return installed_version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return str(importlib.import_module(module).__version__)


def _onnxruntime_cuda() -> bool:
    spec = importlib.util.find_spec("onnxruntime")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    return bool(folder and (folder / "capi" / "libonnxruntime_providers_cuda.so").is_file())


def _openvino() -> str:
    if importlib.util.find_spec("openvino") is None:
        return ""
    try:
        return installed_version("openvino")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


@cache
def _cpu_bf16() -> bool:
    """Return whether one of the sets of instructions for bf16 is listed among the CPU's flags."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return bool(re.search(r"^(?:flags|Features)\s*:.*\b(?:avx512_bf16|amx_bf16|bf16)\b", text, re.MULTILINE))
