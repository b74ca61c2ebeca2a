"""Examine the machine: Python, memory, folders, GPU, the libraries that use the GPU, and stored engines."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bmfgraph.doctor.finding import GIB, Finding, version_of
from bmfgraph.system.machine import RTX_CAPABILITIES, Machine, runs_rtx
from bmfgraph.system.text import counted

__all__ = [
    "cpu_finding",
    "cuda_of_driver",
    "folder_finding",
    "glibc_version",
    "gpu_finding",
    "pynvvideocodec_finding",
    "python_finding",
    "rtx_finding",
    "store_findings",
    "tensorrt_finding",
]

_CHECKED = GIB // 2
"""Bytes of engines whose checksums are verified; more would take seconds."""
_GLIBC = (2, 28)
"""The version that the wheels of BMF and torch need."""


def python_finding(version: tuple[int, ...], system: str, glibc: str) -> Finding:
    """Judge the Python, the platform and the C library.

    Args:
        version: Version of Python.
        system: Operating system and processor, such as ``Linux x86_64``.
        glibc: Version of glibc; empty with another C library.
    """
    facts = f"{'.'.join(map(str, version))}, {system}, {f'glibc {glibc}' if glibc else 'no glibc'}"
    if system != "Linux x86_64":
        return Finding("Python", "fail", facts, "use Linux on x86-64: BMF has wheels only for it")
    if not glibc or tuple(map(int, glibc.split(".")[:2])) < _GLIBC:
        return Finding(
            "Python", "fail", facts, "use a system with glibc 2.28 or later, such as Debian 12 or Ubuntu 22.04"
        )
    if not (3, 10) <= version[:2] <= (3, 12):
        fix = "python3.12 -m venv .venv && .venv/bin/pip install 'bmfgraph[cpu]'"
        return Finding("Python", "fail", f"{facts}; bmfgraph runs in Python 3.10 to 3.12", fix)
    return Finding("Python", "ok", facts)


def glibc_version() -> str:
    """Return the version of glibc; empty with another C library."""
    library, version = platform.libc_ver()
    return version if library == "glibc" else ""


def cpu_finding() -> Finding:
    """Count the cores and the memory that this process may use."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):
        # The limit of a container; without a limit the file contains the word "max", which is a ValueError.
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    facts = f"{counted(len(os.sched_getaffinity(0)), 'core')}, {memory / GIB:.1f} GiB of memory"
    if memory < 2 * GIB:
        return Finding(
            "CPU", "warn", f"{facts}: too little for large videos", "give the machine or container more memory"
        )
    return Finding("CPU", "ok", facts)


def folder_finding(name: str, folder: Path, fix: str) -> Finding:
    """Check that a folder is writable and has free space. If it does not exist, check its nearest existing parent.

    Args:
        name: Name of the finding.
        folder: The folder.
        fix: The fix if the check fails.
    """
    try:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
    except OSError as error:
        return Finding(name, "warn", f"{folder} cannot be written ({error.strerror})", fix)
    facts = f"{folder}, {free / GIB:.1f} GiB free"
    return Finding(name, "warn", facts, f"free some space, or {fix}") if free < GIB else Finding(name, "ok", facts)


def gpu_finding(machine: Machine) -> Finding:
    """Describe the GPU and its driver."""
    cuda = cuda_of_driver()
    if machine.gpu is None:
        fix = "check nvidia-smi and CUDA_VISIBLE_DEVICES" if cuda else "install NVIDIA's driver"
        fix = f"if this machine has a GPU: {fix}; in a container: docker run --gpus all"
        return Finding("GPU", "warn", f"{machine.no_gpu}: the CPU does all the work", fix)
    driver = f"driver {_driver() or 'unknown'}, CUDA up to {'.'.join(map(str, cuda))}"
    return Finding("GPU", "ok", f"{machine.gpu}, {machine.gpu.memory / GIB:.0f} GiB, {driver}")


def cuda_of_driver() -> tuple[int, ...]:
    """Return the newest version of CUDA that the driver supports, such as (13, 0); empty without a driver."""
    version = ctypes.c_int()
    with contextlib.suppress(OSError):
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    return (version.value // 1000, version.value % 1000 // 10) if version.value else ()


def _driver() -> str:
    """Return the version of the driver, such as 580.95.05; empty if NVML does not report it."""
    version = ctypes.create_string_buffer(96)
    with contextlib.suppress(OSError):
        management = ctypes.CDLL("libnvidia-ml.so.1")
        if management.nvmlInit_v2() == 0:
            management.nvmlSystemGetDriverVersion(version, len(version))
            management.nvmlShutdown()
    return version.value.decode()


def tensorrt_finding(machine: Machine) -> Finding:
    """Judge whether a library builds engines for the GPU."""
    facts = ", ".join(
        f"{library.module} {library.version} {'builds and runs' if library.builds else 'only runs'} engines"
        for library in machine.libraries
        if library.flavour == "tensorrt"
    )
    if machine.gpu is None:
        return Finding("TensorRT", "ok", f"{facts or 'not installed'}; it needs a GPU")
    if machine.library("tensorrt", builds=True):
        return Finding("TensorRT", "ok", facts)
    if machine.library("tensorrt_rtx") and runs_rtx(machine.gpu):
        return Finding("TensorRT", "ok", f"{facts or 'not installed'}; TensorRT-RTX replaces it")
    return Finding(
        "TensorRT",
        "warn",
        f"{facts or 'not installed'}; no library builds engines for this GPU",
        "pip install tensorrt",
    )


def rtx_finding(machine: Machine) -> Finding:
    """Judge whether TensorRT-RTX, if it is installed, runs on the GPU."""
    library = machine.library("tensorrt_rtx")
    if library is None:
        return Finding("TensorRT-RTX", "ok", "not installed; it is optional")
    facts = f"{library.module} {library.version} builds engines"
    if runs_rtx(machine.gpu):
        return Finding("TensorRT-RTX", "ok", f"{facts} and runs them on this GPU")
    facts += f", which run on GPUs of compute capability {', '.join(RTX_CAPABILITIES)}"
    if machine.gpu is None:
        return Finding("TensorRT-RTX", "ok", facts)
    facts += f", but this GPU has {machine.gpu.compute_capability}"
    if machine.library("tensorrt", builds=True):
        return Finding("TensorRT-RTX", "ok", f"{facts}; TensorRT replaces it")
    return Finding("TensorRT-RTX", "warn", facts, "pip install tensorrt")


def pynvvideocodec_finding(machine: Machine) -> Finding:
    """Check that NVIDIA's decoder is installed if there is a GPU."""
    if version := version_of("PyNvVideoCodec"):
        return Finding("PyNvVideoCodec", "ok", version)
    if machine.gpu is None:
        return Finding("PyNvVideoCodec", "ok", "not installed; it needs a GPU")
    return Finding("PyNvVideoCodec", "warn", "not installed; decoder=nvdec needs it", "pip install PyNvVideoCodec")


def store_findings(root: Path) -> Iterable[Finding]:
    """Check the folder of an engine store, and the engines in it."""
    from bmfgraph.engines.store import EngineStore, StoreError

    folder = folder_finding("engine store", root, "name another: engine.store=/other/folder")
    try:
        entries = EngineStore(root).entries()
    except StoreError as error:
        return [Finding("engine store", "fail", str(error), "name another: engine.store=/other/folder")]
    left, damaged = _CHECKED, 0
    for entry in entries:
        left -= entry.size
        damaged += bool(entry.damage() if left >= 0 else entry.manifest_error)
    facts = f"{folder.found}; {counted(len(entries), 'engine')}, {damaged} damaged"
    facts += "; python -m bmfgraph engines verify checks all their bytes" if left < 0 else ""
    if damaged:
        return [
            Finding("engine store", "warn", facts, "python -m bmfgraph engines prune; the next run builds them again")
        ]
    return [Finding("engine store", folder.state, facts, folder.fix)]
