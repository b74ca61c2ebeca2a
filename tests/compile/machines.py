"""Machines to compile for, whatever this one is."""

from __future__ import annotations

from bmfgraph.system.machine import Gpu, Library, Machine

__all__ = [
    "ADA_RTX",
    "BARE",
    "CPU_OPENVINO",
    "CPU_OPENVINO_OLD",
    "H200",
    "HOPPER",
    "HOPPER_LEAN",
    "HOPPER_ORT",
    "HOPPER_RTX",
    "HOPPER_TRT",
    "NO_DRIVER",
]

H200 = Gpu("NVIDIA H200", "9.0", 140 << 30)
_RTX = Library("tensorrt_rtx", "tensorrt_rtx_bindings", "1.7.1", True)

NO_DRIVER = "no NVIDIA driver (libcuda.so.1) is installed"
BARE = Machine(no_gpu=NO_DRIVER)
CPU_OPENVINO = Machine(no_gpu=NO_DRIVER, openvino="2026.4.1", cpu_bf16=True)
CPU_OPENVINO_OLD = Machine(no_gpu=NO_DRIVER, openvino="2026.4.1")
HOPPER = Machine(H200, "")
HOPPER_TRT = Machine(H200, "", (Library("tensorrt", "tensorrt", "10.13.0", True),))
HOPPER_LEAN = Machine(H200, "", (Library("tensorrt", "tensorrt_lean", "10.16.0", False),))
HOPPER_RTX = Machine(H200, "", (_RTX,))
HOPPER_ORT = Machine(H200, "", onnxruntime_cuda=True)
ADA_RTX = Machine(Gpu("NVIDIA L4", "8.9", 24 << 30), "", (_RTX,))
