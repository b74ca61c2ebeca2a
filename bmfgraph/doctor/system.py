"""Lines about the machine: its Python, memory, folders, GPU, what runs on the GPU, and its engines."""

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
from bmfgraph.system.machine import Machine

__all__ = [
    "cpu_line",
    "cuda_of_driver",
    "folder_line",
    "glibc_version",
    "gpu_line",
    "pynvvideocodec_line",
    "python_line",
    "rtx_line",
    "store_lines",
    "tensorrt_line",
]

_CHECKED = GIB // 2
"""Bytes of engines that are compared with their checksums: more takes seconds."""
_GLIBC = (2, 28)
"""What the wheels of BMF and torch ask for."""


def python_line(version: tuple[int, ...], system: str, glibc: str) -> Finding:
    """``system`` as in ``Linux x86_64``; ``glibc``: its version, empty where there is none."""
    found = f"{'.'.join(map(str, version))}, {system}, {f'glibc {glibc}' if glibc else 'no glibc'}"
    if system != "Linux x86_64":
        return Finding("Python", "fail", found, "use Linux on x86-64: BMF has wheels for nothing else")
    if not glibc or tuple(map(int, glibc.split(".")[:2])) < _GLIBC:
        return Finding(
            "Python", "fail", found, "use a system with glibc 2.28 or later, such as Debian 12 or Ubuntu 22.04"
        )
    if not (3, 10) <= version[:2] <= (3, 12):
        fix = "python3.12 -m venv .venv && .venv/bin/pip install 'bmfgraph[cpu]'"
        return Finding("Python", "fail", f"{found}; bmfgraph runs in Python 3.10 to 3.12", fix)
    return Finding("Python", "ok", found)


def glibc_version() -> str:
    """Its version; empty where the C library is another."""
    library, version = platform.libc_ver()
    return version if library == "glibc" else ""


def cpu_line() -> Finding:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):
        # A container's limit; the word "max" where it has none.
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    found = f"{len(os.sched_getaffinity(0))} core(s), {memory / GIB:.1f} GiB of memory"
    if memory < 2 * GIB:
        return Finding(
            "CPU", "warn", f"{found}: little for large pictures", "give the machine or container more memory"
        )
    return Finding("CPU", "ok", found)


def folder_line(name: str, folder: Path, fix: str) -> Finding:
    """Whether files can be made in a folder, or in the nearest one above it that exists, and what space is left."""
    try:
        there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding(name, "warn", f"{folder} cannot be written ({error.strerror})", fix)
    found = f"{folder}, {free / GIB:.1f} GiB free"
    return Finding(name, "warn", found, f"free some space, or {fix}") if free < GIB else Finding(name, "ok", found)


def gpu_line(machine: Machine) -> Finding:
    cuda = cuda_of_driver()
    if machine.gpu is None:
        fix = "see what nvidia-smi and CUDA_VISIBLE_DEVICES say" if cuda else "install NVIDIA's driver"
        fix = f"where there is a GPU: {fix}; in a container: docker run --gpus all"
        return Finding("GPU", "warn", f"{machine.no_gpu}: the CPU does all the work", fix)
    driver = f"driver {_driver() or 'unknown'}, CUDA up to {'.'.join(map(str, cuda))}"
    return Finding("GPU", "ok", f"{machine.gpu}, {machine.gpu.memory / GIB:.0f} GiB, {driver}")


def cuda_of_driver() -> tuple[int, ...]:
    """The newest CUDA that the driver runs, such as (13, 0); empty without a driver."""
    version = ctypes.c_int()
    with contextlib.suppress(OSError):
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    return (version.value // 1000, version.value % 1000 // 10) if version.value else ()


def _driver() -> str:
    """The driver's own version, such as 580.95.05; empty where it does not say."""
    version = ctypes.create_string_buffer(96)
    with contextlib.suppress(OSError):
        management = ctypes.CDLL("libnvidia-ml.so.1")
        if management.nvmlInit_v2() == 0:
            management.nvmlSystemGetDriverVersion(version, len(version))
            management.nvmlShutdown()
    return version.value.decode()


def tensorrt_line(machine: Machine) -> Finding:
    found = ", ".join(
        f"{one.module} {one.version} {'builds and runs' if one.builds else 'only runs'} engines"
        for one in machine.libraries
        if one.flavour == "tensorrt"
    )
    if machine.gpu is None:
        return Finding("TensorRT", "ok", f"{found or 'not installed'}; it is of use with a GPU only")
    if machine.library("tensorrt", builds=True):
        return Finding("TensorRT", "ok", found)
    if machine.library("tensorrt_rtx") and _runs_rtx(machine):
        return Finding("TensorRT", "ok", f"{found or 'not installed'}; TensorRT-RTX does its work")
    return Finding(
        "TensorRT", "warn", f"{found or 'not installed'}; nothing builds engines for this GPU", "pip install tensorrt"
    )


def rtx_line(machine: Machine) -> Finding:
    library = machine.library("tensorrt_rtx")
    if library is None:
        return Finding("TensorRT-RTX", "ok", "not installed; it is optional")
    from bmfgraph.system.machine import RTX_CAPABILITIES

    found = f"{library.module} {library.version} builds engines"
    if _runs_rtx(machine):
        return Finding("TensorRT-RTX", "ok", f"{found} and runs them on this GPU")
    found += f", which run on GPUs of compute capability {', '.join(RTX_CAPABILITIES)}"
    if machine.gpu is None:
        return Finding("TensorRT-RTX", "ok", found)
    found += f", not on this one of {machine.gpu.compute_capability}"
    if machine.library("tensorrt", builds=True):
        return Finding("TensorRT-RTX", "ok", f"{found}; TensorRT does its work")
    return Finding("TensorRT-RTX", "warn", found, "pip install tensorrt")


def _runs_rtx(machine: Machine) -> bool:
    from bmfgraph.system.machine import RTX_CAPABILITIES

    return machine.gpu is not None and machine.gpu.compute_capability in RTX_CAPABILITIES


def pynvvideocodec_line(machine: Machine) -> Finding:
    if version := version_of("PyNvVideoCodec"):
        return Finding("PyNvVideoCodec", "ok", version)
    if machine.gpu is None:
        return Finding("PyNvVideoCodec", "ok", "not installed; it is of use with a GPU only")
    return Finding("PyNvVideoCodec", "warn", "not installed; decoder=nvdec needs it", "pip install PyNvVideoCodec")


def store_lines(root: Path) -> Iterable[Finding]:
    from bmfgraph.engines.store import EngineStore, StoreError

    folder = folder_line("engine store", root, "name another: engine.store=/other/folder")
    try:
        entries = EngineStore(root).entries()
    except StoreError as error:
        return [Finding("engine store", "fail", str(error), "name another: engine.store=/other/folder")]
    left, damaged = _CHECKED, 0
    for entry in entries:
        left -= entry.size
        damaged += bool(entry.damage() if left >= 0 else entry.manifest_error)
    found = f"{folder.found}; {len(entries)} engine(s), {damaged} damaged"
    found += "; python -m bmfgraph engines verify looks at all their bytes" if left < 0 else ""
    if damaged:
        return [
            Finding("engine store", "warn", found, "python -m bmfgraph engines prune; the next run builds them anew")
        ]
    return [Finding("engine store", folder.state, found, folder.fix)]
