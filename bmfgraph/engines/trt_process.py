"""Builds one engine with TensorRT's Python API, in a process of its own. Run as a script, never imported by bmfgraph.

    python trt_process.py JOB.json                 build; one JSON object a line on stdout, everything else on stderr
    python trt_process.py --version FLAVOUR        what this interpreter builds with, as one JSON object
    python trt_process.py --exec PARENT WORDS...   become that program, which ends when the process PARENT does

Needs the standard library and a TensorRT, so that another interpreter (Python 3.8 or later) can run it as well.

JOB.json: flavour (tensorrt, tensorrt_rtx), onnx, plan (paths), precision, fine (outputs whose tails stay in float32),
profiles {input: {min, opt, max}}, timing_cache (path or null), flags {workspace (MiB), optimization_level (0-5),
version_compatible (bool), tactic_sources (names)}, each null where TensorRT decides. A build ends when stdin does.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

__all__ = ["BuildError", "Channel", "main"]

MODULES = {"tensorrt": ["tensorrt"], "tensorrt_rtx": ["tensorrt_rtx", "tensorrt_rtx_bindings"]}
NAMES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
INSTALL = {
    "tensorrt": "pip install tensorrt --extra-index-url https://pypi.nvidia.com",
    "tensorrt_rtx": "pip install tensorrt_rtx_cu13_libs tensorrt_rtx_cu13_bindings",
}
DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PR_SET_PDEATHSIG = 1
HEAVY = ("CONVOLUTION", "DECONVOLUTION", "EINSUM", "FULLY_CONNECTED", "LOOP_OUTPUT", "MATRIX_MULTIPLY", "RNN_V2")
"""A tail begins behind layers of these types."""


class BuildError(Exception):
    """The engine cannot be built; ``hint`` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Channel:
    """JSON lines to the parent, on a copy of stdout: what libraries print goes to stderr from here on."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._file = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        os.dup2(2, 1)

    def send(self, **message: Any) -> None:
        self._file.write(json.dumps(message) + "\n")


def die_with_parent() -> None:
    """Have this process killed when its parent ends, so that no build goes on for nobody."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))


def watch_stdin() -> None:
    """End this process when its stdin does: with the one that asked, even if a script stands between the two."""

    def wait() -> None:
        while os.read(0, 1):  # Not sys.stdin, whose lock a thread must not hold when the interpreter ends.
            pass
        os.write(2, b"the process that asked for the build has ended\n")
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def load(flavour: str) -> Any:
    """Import the flavour's library."""
    # TensorRT names functions of cuBLAS and cuDNN that most builds never call: those libraries may be incomplete.
    sys.setdlopenflags(os.RTLD_LAZY)
    reasons = []
    for name in MODULES[flavour]:
        try:
            return importlib.import_module(name)
        except Exception as error:
            reasons.append(f"{name}: {error}")
    raise BuildError(
        "{} cannot be imported by {} ({})".format(NAMES[flavour], sys.executable, "; ".join(reasons)), INSTALL[flavour]
    )


def facts(flavour: str, trt: Any) -> dict[str, Any]:
    """What the parent must know of the library."""
    flags = trt.BuilderFlag.__members__
    return {
        "library": NAMES[flavour],
        "version": str(trt.__version__),
        # There precision is a property of the network's tensors, and no flag of the builder.
        "strongly_typed": "FP16" not in flags,
        "has_bf16": "BF16" in flags or "FP16" not in flags,
    }


def make_logger(trt: Any) -> Any:
    """TensorRT's messages, all to stderr, which is the build's log."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []
            self.last = ""

        def log(self, severity: Any, text: str) -> None:
            if severity == trt.ILogger.VERBOSE:
                return
            name = str(severity).rsplit(".", 1)[-1]
            print(f"[{name}] {text}", file=sys.stderr, flush=True)
            if severity in (trt.ILogger.WARNING, trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.last = " ".join(text.split())
                if severity != trt.ILogger.WARNING:
                    self.errors.append(self.last)

    return Log()


def make_monitor(trt: Any, channel: Channel) -> Any:
    """Tells the parent of TensorRT's own phases, at most ten times a second."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}
            self.told = 0.0

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self.steps[phase] = steps
            channel.send(phase=phase, step=0, steps=steps)

        def step_complete(self, phase: str, step: int) -> bool:
            now = time.monotonic()
            if now - self.told > 0.1:
                self.told = now
                channel.send(phase=phase, step=step + 1, steps=self.steps.get(phase, step + 1))
            return True

        def phase_finish(self, phase: str) -> None:
            steps = self.steps.pop(phase, 1)
            channel.send(phase=phase, step=steps, steps=steps)

    return Monitor()


def parse(trt: Any, network: Any, logger: Any, path: str, library: str) -> Any:
    """Read the ONNX file into the network; returns the parser, which owns the weights."""
    parser = trt.OnnxParser(network, logger)
    data = Path(path).read_bytes()
    if parser.parse(data):
        return parser
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    lines = []
    for error in errors:
        line = "{}: {}".format(described(error, data), " ".join(error.desc().split()))
        if line not in lines:
            lines.append(line)
    text = " ".join(lines).upper()
    if "UINT8" in text:
        hint = "TensorRT has uint8 at inputs and outputs only: export with a Cast to float right behind the input"
    elif "OPSET" in text or "IR VERSION" in text:
        hint = "export with another opset, or build with a newer TensorRT"
    else:
        hint = (
            "export the model without these operators or with another opset, or run it with engine.runtime=onnxruntime"
        )
    raise BuildError("{} cannot read the network: {}".format(library, "\n    ".join(lines)), hint)


def described(error: Any, data: bytes) -> str:
    """The ONNX node that an error is about: its operator and name as far as they can be had."""
    index = error.node()
    name = getattr(error, "node_name", lambda: "")()
    operator = getattr(error, "node_operator", lambda: "")()
    if index < 0:
        return "the network"
    place = f"node {index}"
    try:
        import onnx

        node = onnx.load_model_from_string(data).graph.node[index]
        if operator in ("", node.op_type):  # Else the index counts in a graph inside this one.
            name, operator, place = node.name, node.op_type, f"{place}, it makes {node.output[0]!r}"
    except Exception:  # Only to tell more: any reason is as good as the package not being there.
        pass
    return " ".join(word for word in (operator, repr(name) if name else "", f"({place})") if word)


def add_profile(builder: Any, network: Any, config: Any, profiles: dict[str, dict[str, list[int]]]) -> None:
    """The shapes that the engine takes, checked against the network first."""
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        name, dims = tensor.name, list(tensor.shape)
        told = profiles.get(name)
        if told is None:
            if -1 in dims:
                raise BuildError(f"input {name!r} has free dims {shown(dims)}, and no profile", "give its shapes")
            continue
        if getattr(tensor, "is_shape_tensor", False):
            raise BuildError(f"input {name!r} says shapes, not data", "export the model with that input made constant")
        for size in (told["min"], told["opt"], told["max"]):
            if len(size) != len(dims) or any(dims[axis] not in (-1, one) for axis, one in enumerate(size)):
                raise BuildError(
                    f"input {name!r} is {shown(dims)} in the network, and the profile has {shown(size)}",
                    "correct the shapes, or free the model's dims",
                )
        if any(not told["min"][axis] <= told["opt"][axis] <= told["max"][axis] for axis in range(len(dims))):
            raise BuildError(f"the profile of input {name!r} is not min <= opt <= max: {told}", "correct the shapes")
        profile.set_shape(name, *(tuple(told[part]) for part in ("min", "opt", "max")))
    if config.add_optimization_profile(profile) < 0:
        raise BuildError(f"the profile is not accepted: {profiles}", "correct the shapes")


def configure(trt: Any, config: Any, precision: str, flags: dict[str, Any], known: dict[str, Any]) -> None:
    """Set the builder's flags. A setting that this version does not have is an error, never left out."""
    library = "{} {}".format(known["library"], known["version"])
    kinds = trt.BuilderFlag
    config.clear_flag(kinds.TF32)
    if precision == "tf32":
        config.set_flag(kinds.TF32)
    wanted = {"fp16": ["FP16"], "bf16": ["BF16"], "int8": ["INT8", "FP16"]}.get(precision, [])
    for name in wanted if not known["strongly_typed"] else []:
        if name not in kinds.__members__:
            raise BuildError(f"{library} has no {precision}", "choose another precision: fp16, tf32 or fp32")
        config.set_flag(getattr(kinds, name))
    if flags.get("version_compatible"):
        if "VERSION_COMPATIBLE" not in kinds.__members__:
            raise BuildError(f"{library} has no version_compatible", "set it to false")
        config.set_flag(kinds.VERSION_COMPATIBLE)
    sharing = getattr(getattr(trt, "PreviewFeature", None), "PROFILE_SHARING_0806", None)
    if sharing is not None:
        # Else TensorRT 8.6 lets only one execution context use a profile.
        config.set_preview_feature(sharing, True)
    if flags.get("workspace"):
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(flags["workspace"]) << 20)
    if flags.get("optimization_level") is not None:
        if not hasattr(config, "builder_optimization_level"):
            raise BuildError(f"{library} has no optimization_level", "set it to null")
        config.builder_optimization_level = int(flags["optimization_level"])
    if flags.get("tactic_sources") is not None:
        members = trt.TacticSource.__members__
        for name in flags["tactic_sources"]:
            if name not in members:
                raise BuildError(
                    f"{library} has no tactic source {name!r}", "it has: {}".format(", ".join(sorted(members)))
                )
        config.set_tactic_sources(sum(1 << int(members[name]) for name in set(flags["tactic_sources"])))


def keep_sensitive(trt: Any, network: Any, config: Any, outputs: list[str]) -> int:
    """Ask for float32 in the tails of these outputs: all behind the last heavy layers. How many layers that are."""
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    maker = {layer.get_output(place).name: layer for layer in layers for place in range(layer.num_outputs)}
    waiting, seen, kept = list(outputs), set(), 0
    while waiting:
        name = waiting.pop()
        layer = maker.get(name)
        if layer is None or layer.name in seen or str(layer.type).rsplit(".", 1)[-1] in HEAVY:
            continue
        seen.add(layer.name)
        waiting += [given.name for given in map(layer.get_input, range(layer.num_inputs)) if given is not None]
        made = [layer.get_output(place) for place in range(layer.num_outputs)]
        if not any(tensor.dtype == trt.float32 and not tensor.is_shape_tensor for tensor in made):
            continue
        layer.precision = trt.float32
        for place, tensor in enumerate(made):
            if tensor.dtype == trt.float32 and not tensor.is_shape_tensor:
                layer.set_output_type(place, trt.float32)
        kept += 1
    if kept:
        # Prefer, not obey: a layer that has no such kernel is better in 16 bits than not at all.
        config.set_flag(trt.BuilderFlag.PREFER_PRECISION_CONSTRAINTS)
    return kept


def read_cache(path: str) -> bytes:
    """A timing cache whose checksum is right, else nothing: a damaged one can abort the process."""
    try:
        data, told = Path(path).read_bytes(), Path(path + ".sha256").read_text(encoding="ascii")
    except (OSError, ValueError):
        return b""
    return data if told.strip() == hashlib.sha256(data).hexdigest() else b""


def write_cache(path: str, data: bytes) -> None:
    """Put the timing cache and its checksum in place; two builds that end at once do it one after the other."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, content in ((path, data), (path + ".sha256", hashlib.sha256(data).hexdigest().encode())):
            part = Path(name + ".part")
            part.write_bytes(content)
            part.replace(name)


def build(job: dict[str, Any], channel: Channel) -> None:
    """Do the job: parse, build, write the plan, tell of its tensors."""
    trt = load(job["flavour"])
    known = facts(job["flavour"], trt)
    library = "{} {}".format(known["library"], known["version"])
    channel.send(library=known["library"], version=known["version"])
    channel.send(phase="reading the network", step=0, steps=1)
    logger = make_logger(trt)
    if hasattr(trt, "init_libnvinfer_plugins"):
        trt.init_libnvinfer_plugins(logger, "")
    try:
        builder = trt.Builder(logger)
    except Exception:
        why = logger.last or "no builder can be made"
        raise BuildError(
            f"{library} cannot build on this machine: {why}", "it needs an NVIDIA GPU and its driver"
        ) from None
    creation = trt.NetworkDefinitionCreationFlag.__members__
    wanted = ["STRONGLY_TYPED"] if known["strongly_typed"] else ["EXPLICIT_BATCH"]
    network = builder.create_network(sum(1 << int(creation[name]) for name in wanted if name in creation))
    parser = parse(trt, network, logger, job["onnx"], library)
    config = builder.create_builder_config()
    configure(trt, config, job["precision"], job["flags"], known)
    if not known["strongly_typed"] and job["precision"] in ("fp16", "bf16", "int8"):
        kept = keep_sensitive(trt, network, config, job["fine"])
        print(f"{kept} layers behind the last heavy ones stay in float32", file=sys.stderr)
    add_profile(builder, network, config, job["profiles"])
    # TensorRT-RTX measures where an engine is loaded, not here.
    cache = use_cache(config, job["timing_cache"]) if job["timing_cache"] and job["flavour"] == "tensorrt" else None
    channel.send(phase="reading the network", step=1, steps=1)
    if hasattr(config, "progress_monitor"):
        monitor = make_monitor(trt, channel)  # TensorRT keeps no reference of its own.
        config.progress_monitor = monitor
    else:
        channel.send(phase="building the engine", step=0, steps=1)
    plan = builder.build_serialized_network(network, config)
    del parser  # Until here it held the weights.
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
    channel.send(tensors=told(network, job["profiles"]))
    if cache is not None:
        try:
            write_cache(job["timing_cache"], bytes(config.get_timing_cache().serialize()))
        except OSError as error:  # The engine is there; only the next build will take longer.
            print(f"the timing cache cannot be written: {error}", file=sys.stderr)


def use_cache(config: Any, path: str) -> Any:
    """Give the builder the timings measured before; None where it takes none."""
    cache = config.create_timing_cache(read_cache(path))
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        if cache is None or not config.set_timing_cache(cache, False):
            return None
    return cache


def told(network: Any, profiles: dict[str, Any]) -> list[dict[str, Any]]:
    """Inputs and outputs as the manifest keeps them. Free dims are -1."""
    found = []
    for mode, count, get in (
        ("input", network.num_inputs, network.get_input),
        ("output", network.num_outputs, network.get_output),
    ):
        for tensor in map(get, range(count)):
            dtype = str(tensor.dtype).rsplit(".", 1)[-1]
            one = {"name": tensor.name, "mode": mode, "dtype": DTYPES.get(dtype, dtype.lower())}
            one["dims"] = [int(size) for size in tensor.shape]
            if mode == "input" and tensor.name in profiles:
                one["profile"] = profiles[tensor.name]
            found.append(one)
    return found


def shown(dims: list[int]) -> str:
    """Such as 1x3x?x?."""
    return "x".join("?" if size == -1 else str(size) for size in dims)


def main(words: list[str]) -> int:
    """Do what the words say; the exit code."""
    if words[:1] == ["--exec"]:
        die_with_parent()
        if os.getppid() != int(words[1]):
            sys.exit("the process that asked for the build has ended")
        os.execvp(words[2], words[2:])
    channel = Channel()
    try:
        if words[:1] == ["--version"]:
            channel.send(**facts(words[1], load(words[1])))
            return 0
        job = json.loads(Path(words[0]).read_text(encoding="utf-8"))
        die_with_parent()
        watch_stdin()
        build(job, channel)
        return 0
    except BuildError as error:
        channel.send(error=str(error), hint=error.hint)
    except OSError as error:
        hint = "make room on the disk" if error.errno in FULL else "check who may read and write there"
        channel.send(error="{}: {}".format(error.filename or "a file", error.strerror), hint=hint)
    except Exception as error:
        traceback.print_exc()
        channel.send(error=f"{type(error).__name__}: {error}", hint="see the log")
    return 1


if __name__ == "__main__":
    # This file's folder holds bmfgraph's modules, whose names are not meant for everybody.
    sys.path.pop(0)
    sys.exit(main(sys.argv[1:]))
