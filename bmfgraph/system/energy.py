"""Measure the energy that a GPU draws."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from types import TracebackType

__all__ = ["EnergyMeter", "has_energy_counter"]


class EnergyMeter:
    """Measure the energy of the first GPU that this process may use, over a ``with`` block.

    The meter counts all energy of the GPU, also that of other processes. It never raises. GPUs update their counter
    several times a second, so a block of less than a second is not measured well.

    Attributes:
        joules: Energy of the last block that ended. None before the end, and if there is no GPU or no counter.
    """

    def __init__(self) -> None:
        self.joules: float | None = None
        self._stack = contextlib.ExitStack()
        self._read: Callable[[], int | None] = lambda: None
        self._start: int | None = None

    def __enter__(self) -> EnergyMeter:
        self.joules = None
        self._read = self._stack.enter_context(_energy_counter())
        self._start = self._read()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        end = self._read()
        self._stack.close()
        if self._start is not None and end is not None:
            self.joules = (end - self._start) / 1000


def has_energy_counter() -> bool:
    """Return whether this machine can measure the energy of a run."""
    with _energy_counter() as read:
        return read() is not None


@contextlib.contextmanager
def _energy_counter() -> Iterator[Callable[[], int | None]]:
    """Open NVML's energy counter. Yields a function that reads it in millijoules, or returns None."""
    address = _pci_address()
    if address is None:
        yield lambda: None
        return
    import pynvml

    def read() -> int | None:
        try:
            return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByPciBusId(address)))
        except pynvml.NVMLError:
            return None

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield lambda: None
        return
    try:
        yield read
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _pci_address() -> bytes | None:
    """Return the PCI address of CUDA's first device.

    NVML orders devices differently from CUDA and includes those that CUDA_VISIBLE_DEVICES hides, so an index does not
    identify the device.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, address = ctypes.c_int(), ctypes.create_string_buffer(32)
    failed = driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0)
    failed = failed or driver.cuDeviceGetPCIBusId(address, len(address), device)
    return None if failed else address.value
