"""Start bmfgraph as a fork of a process that has imported what a run needs: imports take most of the time of a run.

As a script, this file is that process. It forks twice, so that the new process is a child of the one that asks for it:
the kernel gives the orphan to the nearest ancestor that wants such processes.
"""

import contextlib
import ctypes
import importlib
import json
import os
import pkgutil
import runpy
import socket
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36
_COMMAND = [sys.executable, "-m", "bmfgraph"]
_AT_START = ("LANG", "LC_", "LD_", "MALLOC", "MKL", "OMP", "OPENBLAS", "PYTHON", "TORCH")
"""Beginnings of the names of variables that count when an interpreter or a library starts."""

_LATER = (
    "bmfgraph.__main__",
    "bmfgraph.batches",
    "bmfgraph.models",
    "bmfgraph.runner.graph",
    "bmfgraph.runner.modules",
)
"""Beginnings of the names of modules that a fork imports itself: they import BMF, or few runs need them."""


def can_be_forked(command: list[str], environment: dict[str, str], options: dict[str, Any]) -> bool:
    """Return whether a fork does what a new process would do."""
    usual = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    early = {name for name in environment if name.startswith(_AT_START) and name != "PYTHONPATH"}
    return (
        command[:3] == _COMMAND
        and options == usual
        and all(environment[name] == _server()[1].get(name) for name in early)
    )


@lru_cache(maxsize=1)
def _server() -> tuple[socket.socket, dict[str, str], subprocess.Popen[bytes]]:
    """Start the process that forks; it ends with this one.

    Returns:
        The connection to it, its environment, and the process, which is kept.
    """
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with there:
        process = subprocess.Popen(
            [sys.executable, __file__, str(there.fileno())],
            pass_fds=[there.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # The signals of a terminal, and those of tests for all of their group, are not for it.
            start_new_session=True,
        )
    return here, environment, process


def _forked(request: bytes, descriptors: list[int]) -> bytes:
    """Return the number of a new process."""
    server, _, _ = _server()
    socket.send_fds(server, [request], descriptors)
    if not (answer := server.recv(16)):
        raise BrokenPipeError
    return answer


class Fork(subprocess.Popen[str]):
    """A process that is forked in a session of its own."""

    def _execute_child(self, args: Any, *rest: Any) -> None:
        cwd, environment, (stdin, _, _, stdout, _, stderr) = rest[4], rest[5], rest[9:15]
        prctl = ctypes.CDLL(None).prctl
        request = json.dumps({"words": args[3:], "cwd": os.fspath(cwd), "environment": environment}).encode()
        prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        try:
            try:
                answer = _forked(request, [stdin, stdout, stderr])
            except OSError:
                # A test that ends all processes of this one ends that one, too.
                server, _, process = _server()
                server.close()
                process.wait()
                _server.cache_clear()
                answer = _forked(request, [stdin, stdout, stderr])
        finally:
            prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        self.pid, self._child_created = int(answer), True
        for descriptor in (stdin, stdout, stderr):
            os.close(descriptor)


def serve(connection: socket.socket, set_by_imports: dict[str, str]) -> None:
    """Fork for each request; return in the new process, whose environment is that of the request and of imports."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        if not message:
            os._exit(0)
        reader, writer = os.pipe()
        between = os.fork()
        if not between:
            child = os.fork()
            if not child:
                break
            os.write(writer, str(child).encode())
            os._exit(0)
        os.waitpid(between, 0)
        connection.send(os.read(reader, 16))
        for descriptor in (*descriptors, reader, writer):
            os.close(descriptor)
    os.setsid()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    for descriptor in (*descriptors, reader, writer):
        os.close(descriptor)
    connection.close()
    request = json.loads(message)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(set_by_imports | request["environment"])
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:1] = [str(Path.cwd()), *(str(Path(path).absolute()) for path in paths)]
    sys.argv[1:] = request["words"]


def import_all() -> None:
    """Import what runs import, except for BMF and ONNX Runtime: they start threads, which a fork would lack."""
    for name in ("torch", "av", "onnx", "openvino"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    import bmfgraph

    for module in pkgutil.walk_packages(bmfgraph.__path__, "bmfgraph."):
        if not module.name.startswith(_LATER):
            importlib.import_module(module.name)
    assert "bmf" not in sys.modules


if __name__ == "__main__":
    before = dict(os.environ)
    import_all()
    set_by_imports = {name: value for name, value in os.environ.items() if before.get(name) != value}
    serve(socket.socket(fileno=int(sys.argv[1])), set_by_imports)
    runpy.run_module("bmfgraph", run_name="__main__", alter_sys=True)
