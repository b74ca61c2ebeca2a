"""Build one TensorRT engine in a process of its own.

A script for any Python from 3.8 on. It needs trt_network.py beside it, the standard library and a TensorRT, but not
bmfgraph, so that another interpreter can run it.

    python trt_process.py JOB.json               build; JSON objects on stdout, one per line; all else on stderr
    python trt_process.py --version RUNTIME      print the interpreter's TensorRT as one JSON object

JOB.json holds:

    runtime             tensorrt or tensorrt_rtx
    onnx, plan          paths of the network to read and of the engine file to write
    precision           fp32, tf32, fp16, bf16 or int8
    sensitive_outputs   names of the outputs whose tails stay in float32
    profiles            {input: {min, opt, max}}, shapes with the batch
    flags               {workspace (MiB), optimization_level (0 to 5), version_compatible (bool),
                        tactic_sources (names)}; TensorRT decides where a flag is null
    timing_cache        path, or null

Messages of a build: {phase, step, steps}, {library, version}, {tensors} and, where it fails, {error, hint}.
A build ends when its stdin does.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import importlib
import json
import os
import stat
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from bmfgraph.engines.trt_network import (
        BuildError,
        add_profile,
        configure,
        describe_tensors,
        keep_sensitive,
        parse,
    )
else:
    # The folder is on sys.path for this import only: it holds a package onnx, which would hide the real one.
    _FOLDER = os.path.realpath(os.path.dirname(__file__))  # noqa: PTH120
    sys.path.insert(0, _FOLDER)
    from trt_network import BuildError, add_profile, configure, describe_tensors, keep_sensitive, parse

    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != _FOLDER]

__all__ = ["NAMES", "Channel", "main", "read_cache", "write_cache"]

MODULES = {"tensorrt": ["tensorrt"], "tensorrt_rtx": ["tensorrt_rtx", "tensorrt_rtx_bindings"]}
NAMES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
INSTALL = {
    "tensorrt": "pip install tensorrt --extra-index-url https://pypi.nvidia.com",
    "tensorrt_rtx": "pip install tensorrt_rtx_cu13_libs tensorrt_rtx_cu13_bindings",
}
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CACHE_BYTES = 1 << 30
"""The largest timing cache that is read."""
LOCK_SECONDS = 10.0
PROGRESS_SECONDS = 0.1


class Channel:
    """JSON lines to the parent on a copy of stdout. From then on the libraries' own prints go to stderr."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._file = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        os.dup2(2, 1)

    def send(self, **message: Any) -> None:
        """Write one JSON object as a line."""
        self._file.write(json.dumps(message) + "\n")


def exit_with_stdin() -> None:
    """End this process when its stdin closes: also where the guard of the build was killed."""

    def wait() -> None:
        # os.read, because a daemon thread that holds sys.stdin's lock can block the interpreter's shutdown.
        while os.read(0, 1):
            pass
        os.write(2, b"the process that asked for the build has ended\n")
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def load(runtime: str) -> Any:
    """Import TensorRT or TensorRT-RTX. Raises BuildError where it is not installed."""
    # Lazy binding, because TensorRT refers to functions of cuBLAS and cuDNN that may be missing and are rarely called.
    sys.setdlopenflags(os.RTLD_LAZY)
    reasons = []
    for name in MODULES[runtime]:
        try:
            return importlib.import_module(name)
        except Exception as error:
            reasons.append(f"{name}: {error}")
    raise BuildError(
        "{} cannot be imported by {} ({})".format(NAMES[runtime], sys.executable, "; ".join(reasons)), INSTALL[runtime]
    )


def version_of(runtime: str, trt: Any) -> dict[str, Any]:
    """Describe the library: the fields of ``BuilderVersion`` in build.py."""
    flags = trt.BuilderFlag.__members__
    return {
        "library": NAMES[runtime],
        "version": str(trt.__version__),
        # Builders without an FP16 flag take the precision from the network's tensors.
        "strongly_typed": "FP16" not in flags,
        "has_bf16": "BF16" in flags or "FP16" not in flags,
    }


def make_logger(trt: Any) -> Any:
    """Create a logger that writes TensorRT's messages to stderr, which is the build's log."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []
            self.last_warning = ""

        def log(self, severity: Any, text: str) -> None:
            if severity == trt.ILogger.VERBOSE:
                return
            name = str(severity).rsplit(".", 1)[-1]
            print(f"[{name}] {text}", file=sys.stderr, flush=True)
            if severity in (trt.ILogger.WARNING, trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.last_warning = " ".join(text.split())
                if severity != trt.ILogger.WARNING:
                    self.errors.append(self.last_warning)

    return Logger()


def make_monitor(trt: Any, channel: Channel) -> Any:
    """Create a monitor that sends the phases of a build to the parent, at most ten steps per second."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}
            self.last_sent = 0.0

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self.steps[phase] = steps
            channel.send(phase=phase, step=0, steps=steps)

        def step_complete(self, phase: str, step: int) -> bool:
            now = time.monotonic()
            if now - self.last_sent > PROGRESS_SECONDS:
                self.last_sent = now
                channel.send(phase=phase, step=step + 1, steps=self.steps.get(phase, step + 1))
            return True

        def phase_finish(self, phase: str) -> None:
            steps = self.steps.pop(phase, 1)
            channel.send(phase=phase, step=steps, steps=steps)

    return Monitor()


def open_own(path: str, flags: int) -> int:
    """Open a file of this user without following a link or waiting for a pipe. Raises OSError for any other file."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid not in (os.geteuid(), 0) or status.st_mode & stat.S_IWOTH:
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "it is not a file of this user alone", path)
    return descriptor


def read_own(path: str) -> bytes:
    """Read a file that ``open_own`` accepts, if it is not too large."""
    with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        # A read allocates what it is asked for.
        return file.read(min(CACHE_BYTES, os.fstat(file.fileno()).st_size))


def read_cache(path: str) -> bytes:
    """Read a timing cache; empty where its checksum is wrong, because TensorRT can abort on damaged data."""
    try:
        data, checksum = read_own(path), read_own(path + ".sha256")
    except OSError:
        return b""
    return data if checksum.strip() == hashlib.sha256(data).hexdigest().encode() else b""


def write_cache(path: str, data: bytes) -> None:
    """Write a timing cache and its checksum; a lock makes concurrent builds write one after the other."""
    folder = Path(path).parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "it is a link", str(folder))
    with os.fdopen(open_own(path + ".lock", os.O_RDWR | os.O_CREAT), "wb") as lock:
        acquire(lock)
        for name, content in ((path, data), (path + ".sha256", hashlib.sha256(data).hexdigest().encode())):
            # A new file is renamed over whatever has the name, so a link is replaced, and not followed.
            descriptor, part = tempfile.mkstemp(dir=str(folder))
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                Path(part).replace(name)
            except OSError:
                Path(part).unlink()
                raise


def acquire(lock: IO[bytes]) -> None:
    """Lock a file. Raises OSError if another process holds the lock for a long time."""
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
        time.sleep(0.05)


def use_cache(config: Any, path: str) -> Any:
    """Let the builder use and extend the timings of earlier builds.

    Returns the cache, which must live as long as ``config``, or None where this TensorRT supports none.
    """
    for data in (read_cache(path), b""):  # TensorRT refuses the timings of another version or GPU.
        cache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    return None


def create_network(trt: Any, logger: Any, library: str, *, strongly_typed: bool) -> tuple[Any, Any]:
    """Create a builder and an empty network. Raises BuildError where the machine has no usable GPU."""
    try:
        builder = trt.Builder(logger)
    except Exception:
        reason = logger.last_warning or "no builder can be made"
        raise BuildError(
            f"{library} cannot build on this machine: {reason}", "it needs an NVIDIA GPU and its driver"
        ) from None
    flags = trt.NetworkDefinitionCreationFlag.__members__
    flag = "STRONGLY_TYPED" if strongly_typed else "EXPLICIT_BATCH"
    return builder, builder.create_network(1 << int(flags[flag]) if flag in flags else 0)


def build(job: dict[str, Any], channel: Channel) -> None:
    """Build the engine of a job, write its plan file and send its tensors. Raises BuildError and OSError."""
    runtime, precision = job["runtime"], job["precision"]
    trt = load(runtime)
    version = version_of(runtime, trt)
    library, strongly_typed = "{} {}".format(version["library"], version["version"]), version["strongly_typed"]
    channel.send(library=version["library"], version=version["version"])
    channel.send(phase="reading the network", step=0, steps=1)
    logger = make_logger(trt)
    if hasattr(trt, "init_libnvinfer_plugins"):
        trt.init_libnvinfer_plugins(logger, "")
    builder, network = create_network(trt, logger, library, strongly_typed=strongly_typed)
    parser = parse(trt, network, logger, job["onnx"], library)
    config = builder.create_builder_config()
    configure(trt, config, precision, job["flags"], library, strongly_typed=strongly_typed)
    if not strongly_typed and precision in ("fp16", "bf16", "int8"):
        count = keep_sensitive(trt, network, config, job["sensitive_outputs"])
        print(f"{count} layers behind the last heavy ones stay in float32", file=sys.stderr)
    add_profile(builder, network, config, job["profiles"])
    # TensorRT-RTX tunes an engine where it is loaded, so it measures nothing here.
    cache = use_cache(config, job["timing_cache"]) if job["timing_cache"] and runtime == "tensorrt" else None
    channel.send(phase="reading the network", step=1, steps=1)
    if hasattr(config, "progress_monitor"):
        monitor = make_monitor(trt, channel)  # The variable keeps it alive: TensorRT holds no reference.
        config.progress_monitor = monitor
    else:
        channel.send(phase="building the engine", step=0, steps=1)
    plan = builder.build_serialized_network(network, config)
    del parser  # It owned the weights until the engine was built.
    if plan is None:
        raise BuildError(
            f"{library} cannot build this network: {'; '.join(logger.errors[-3:]) or 'it does not say why'}",
            "see the log; more workspace, another precision or a higher optimization_level may do",
        )
    with Path(job["plan"]).open("wb") as file:
        file.write(plan)
        file.flush()
        os.fsync(file.fileno())
    if not hasattr(config, "progress_monitor"):
        channel.send(phase="building the engine", step=1, steps=1)
    channel.send(tensors=describe_tensors(network, job["profiles"]))
    if cache is not None:
        try:
            write_cache(job["timing_cache"], bytes(config.get_timing_cache().serialize()))
        except OSError as error:  # The engine is complete; only the next build takes longer.
            print(f"the timing cache cannot be written: {error}", file=sys.stderr)


def main(arguments: list[str]) -> int:
    """Run the script with its command-line arguments; return the exit code."""
    channel = Channel()
    job: dict[str, Any] = {}
    try:
        if arguments[:1] == ["--version"]:
            channel.send(**version_of(arguments[1], load(arguments[1])))
            return 0
        job = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        exit_with_stdin()
        build(job, channel)
        return 0
    except BuildError as error:
        channel.send(error=str(error), hint=error.hint)
    except OSError as error:
        hint = "make room on the disk" if error.errno in DISK_FULL else "check who may read and write there"
        channel.send(error="{}: {}".format(error.filename or job.get("plan"), error.strerror), hint=hint)
    except Exception as error:
        traceback.print_exc()
        channel.send(error=f"{type(error).__name__}: {error}", hint="see the log")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
