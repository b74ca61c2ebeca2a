"""Find the limits on this process's memory and threads."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CONTROL_GROUPS", "Limit", "memory_is_tight", "memory_limits", "thread_limits", "threads_are_tight"]

CONTROL_GROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60
"""Version 1 of control groups writes a huge number where there is no limit."""
_TIGHT = 256 << 20
"""Bytes: with less room below a limit, a failure without a cause is probably one of memory."""


_FEW = 8
"""Threads: with less room below a limit, a failure without a cause is probably one of threads."""


@dataclass(frozen=True)
class Limit:
    """A limit that the system sets."""

    name: str
    """Such as ``ulimit -v``."""
    kind: str
    """``address space``, ``data``, ``resident`` or ``threads``."""
    value: int
    """Bytes, or number of threads."""
    used: int
    """The part of it that is in use."""

    @property
    def left(self) -> int:
        """The part that is not in use."""
        return max(0, self.value - self.used)


def memory_limits() -> list[Limit]:
    """Return the limits on memory, in bytes."""
    limits = []
    for number, name, kind, field in (
        (resource.RLIMIT_AS, "ulimit -v", "address space", "VmSize"),
        (resource.RLIMIT_DATA, "ulimit -d or isolated.memory", "data", "VmData"),
    ):
        value, _ = resource.getrlimit(number)
        if value != resource.RLIM_INFINITY:
            limits.append(Limit(name, kind, value, _status(field) << 10))
    for name, value, used in (
        *_of_control_groups("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
        *_of_control_groups("", "memory.max", "memory.current"),
    ):
        limits.append(Limit(name, "resident", value, used))
    return limits


def thread_limits() -> list[Limit]:
    """Return the limits on the number of threads; those of a user's processes do not count for root."""
    limits = []
    value, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    # Counting takes long where many processes run, and a high limit is seldom reached.
    if os.geteuid() and value != resource.RLIM_INFINITY and value < 4096:
        limits.append(Limit("ulimit -u", "threads", value, _threads_of_user()))
    for name, value, used in (
        *_of_control_groups("pids", "pids.max", "pids.current"),
        *_of_control_groups("", "pids.max", "pids.current"),
    ):
        limits.append(Limit(name, "threads", value, used))
    return limits


def memory_is_tight() -> bool:
    """Return whether this process has nearly reached a limit on its memory."""
    return any(limit.left < _TIGHT for limit in memory_limits() if limit.kind != "resident")


def threads_are_tight() -> bool:
    """Return whether a limit on the number of threads is nearly reached."""
    return any(limit.left < _FEW for limit in thread_limits())


def _status(field: str, process: str = "self") -> int:
    """Return a number of ``/proc/PROCESS/status``; 0 if it is not there."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return int(value.split()[0])
    return 0


def _threads_of_user() -> int:
    user = os.getuid()
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        # A process may end meanwhile.
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == user:
                count += _status("Threads", folder.name)
    return count


def _of_control_groups(controller: str, limit: str, usage: str) -> Iterator[tuple[str, int, int]]:
    """Yield name, value and use of a limit of this process's control group and of the groups around it.

    Args:
        controller: Of version 1 of control groups; "" for version 2, which has one hierarchy.
        limit: Name of the file with the limit.
        usage: Name of the file with the use.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if controller not in controllers.split(","):
                continue
            root = CONTROL_GROUPS / controller
            path = root / group.strip("/")
            # In a container, the path may be that of the host, which is not visible.
            for folder in (path, *path.parents):
                with contextlib.suppress(OSError, ValueError):
                    value = int((folder / limit).read_text())
                    if value < _UNLIMITED:
                        yield f"{folder / limit}", value, int((folder / usage).read_text())
                if folder == root:
                    break
