"""Test the energy meter without a GPU, and through pynvml with a fake driver."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bmfgraph.system.energy import EnergyMeter
from bmfgraph.system.machine import find_gpu

CUDA = """
#include <stdio.h>
#include <stdlib.h>
int cuInit(unsigned flags) { return getenv("NO_GPU") ? 100 : 0; }
int cuDeviceGet(int *device, int number) { *device = 7 + number; return 0; }
int cuDeviceGetPCIBusId(char *text, int size, int device) { snprintf(text, size, "0000:%02x:00.0", device); return 0; }
"""
NVML = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int users, reads;
int nvmlInitWithFlags(unsigned flags) { if (getenv("NO_NVML")) return 9; users++; return 0; }
int nvmlShutdown(void) { users--; printf("users %d\\n", users); fflush(stdout); return 0; }
int nvmlDeviceGetHandleByPciBusId_v2(const char *place, void **device) {
    if (strcmp(place, "0000:07:00.0")) return 2;
    *device = &users;
    return getenv("NO_DEVICE") ? 6 : 0;
}
#ifndef OLD
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *count) {
    if (device != &users || !users) return 2;
    /* The count needs more than 32 bits, and grows by 12.345 J at each reading. */
    *count = 9000000000000ULL + 12345ULL * reads++;
    return getenv("NO_COUNTER") ? 3 : 0;
}
#endif
"""
PROGRAM = """
from bmfgraph.system.energy import EnergyMeter
with EnergyMeter() as meter:
    assert meter.joules is None
print(meter.joules)
with meter:
    assert meter.joules is None
print(meter.joules)
"""


def compiled(folder: Path, name: str, source: str, *options: str) -> None:
    code = folder / f"{name}.c"
    code.write_text(source)
    subprocess.run(["gcc", "-shared", "-fPIC", *options, "-o", str(folder / name), str(code)], check=True)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile fakes of the driver's two libraries, with the functions that the meter uses, into a folder."""
    if shutil.which("gcc") is None:
        pytest.skip("the fake driver needs gcc")
    folder = tmp_path_factory.mktemp("driver")
    compiled(folder, "libcuda.so.1", CUDA)
    compiled(folder, "libnvidia-ml.so.1", NVML)
    return folder


def measured(folder: Path, **environment: str) -> list[str]:
    """Run the program with the driver of that folder, and return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "LD_LIBRARY_PATH": str(folder), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_joules_between_two_readings(driver: Path) -> None:
    assert measured(driver) == ["users 0", "12.345", "users 0", "12.345"]


@pytest.mark.parametrize(
    ("lacks", "opened"), [("NO_GPU", False), ("NO_NVML", False), ("NO_DEVICE", True), ("NO_COUNTER", True)]
)
def test_nothing_is_counted_where_something_is_missing(driver: Path, lacks: str, opened: bool) -> None:
    assert measured(driver, **{lacks: "1"}) == (["users 0", "None"] if opened else ["None"]) * 2


def test_an_nvml_that_is_too_old_to_count(driver: Path, tmp_path: Path) -> None:
    shutil.copy(driver / "libcuda.so.1", tmp_path)
    compiled(tmp_path, "libnvidia-ml.so.1", NVML, "-DOLD")
    assert measured(tmp_path) == ["users 0", "None"] * 2


def test_a_driver_without_nvml(driver: Path, tmp_path: Path) -> None:
    shutil.copy(driver / "libcuda.so.1", tmp_path)
    # The file is found first, but it is not a library.
    (tmp_path / "libnvidia-ml.so.1").write_bytes(b"no library")
    assert measured(tmp_path) == ["None", "None"]


def test_a_machine_without_a_gpu() -> None:
    if find_gpu()[0] is not None:
        pytest.skip("there is a GPU")
    with EnergyMeter() as meter:
        pass
    assert meter.joules is None


def test_errors_pass_through() -> None:
    with pytest.raises(KeyError), EnergyMeter():
        raise KeyError("raised in the block")


@pytest.mark.gpu
def test_a_gpu_draws_energy() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    with EnergyMeter() as meter:
        work = torch.rand(4096, 4096, device="cuda")
        for _ in range(300):
            work = (work @ work).clamp(0, 1)
        torch.cuda.synchronize()
    assert meter.joules is not None
    assert meter.joules > 1
