"""Energy that the GPU draws, as NVIDIA's management library (NVML) counts it."""

from __future__ import annotations

import ctypes
from types import TracebackType
from typing import Any

__all__ = ["EnergyMeter"]


class EnergyMeter:
    """Counts what the first GPU that this process may use draws inside a ``with``: all of it, whoever makes it work.

    ``joules`` is None until the end, and where there is no such GPU or it does not count. GPUs count several times
    a second: less than a second is not measured well. Never raises.
    """

    def __init__(self) -> None:
        self.joules: float | None = None
        self._counter: _Counter | None = None
        self._before: int | None = None

    def __enter__(self) -> EnergyMeter:
        self.joules = None
        self._counter = _Counter()
        self._before = self._counter.read()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._counter is not None, "a Meter is used in a `with`"
        after = self._counter.read()
        self._counter.close()
        if self._before is not None and after is not None:
            self.joules = (after - self._before) / 1000


class _Counter:
    """NVML's counter of one GPU, in millijoules since the driver was loaded."""

    def __init__(self) -> None:
        self._library: Any = None
        self._device = ctypes.c_void_p()
        place = _pci_place()
        if place is None:
            return
        try:
            library = ctypes.CDLL("libnvidia-ml.so.1")
            if library.nvmlInit_v2() == 0:
                self._library = library
                if library.nvmlDeviceGetHandleByPciBusId_v2(place, ctypes.byref(self._device)):
                    self.close()
        except (OSError, AttributeError):
            # There is no NVML, or it is too old.
            self.close()

    def read(self) -> int | None:
        """The count, or None."""
        count = ctypes.c_ulonglong()
        try:
            if self._library and not self._library.nvmlDeviceGetTotalEnergyConsumption(
                self._device, ctypes.byref(count)
            ):
                return count.value
        except AttributeError:
            pass
        return None

    def close(self) -> None:
        """Let NVML go, which counts its users."""
        if self._library:
            self._library.nvmlShutdown()
        self._library = None


def _pci_place() -> bytes | None:
    """PCI address of CUDA's first device: NVML has another order, and shows devices that are hidden from CUDA."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, place = ctypes.c_int(), ctypes.create_string_buffer(32)
    failed = driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0)
    failed = failed or driver.cuDeviceGetPCIBusId(place, len(place), device)
    return None if failed else place.value
