"""Build engines in child processes, and keep them in the store.

TensorRT runs in a process of its own, so that its crash becomes a message, Ctrl-C ends a build at once and the memory
is returned. The child is trt_process.py under this or another interpreter, or a program that the user names. It never
outlives this process.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmfgraph import error_codes as codes
from bmfgraph.engines.builder import SCRIPT, builder_version
from bmfgraph.engines.external import command_line, describe_tensors, strongly_typed
from bmfgraph.engines.manifest import ENGINE, LOG, TENSORS, BuildResult, StoredEngine
from bmfgraph.engines.onnx.model import OnnxError
from bmfgraph.engines.onnx.sensitive import precision_sensitive_outputs
from bmfgraph.engines.runtimes.bindings import DTYPES
from bmfgraph.engines.spec import BuildSpec
from bmfgraph.engines.store import EngineStore, StoreError
from bmfgraph.errors import EngineError, short_repr
from bmfgraph.system.files import DISK_FULL
from bmfgraph.system.processes import child, ended, last_lines
from bmfgraph.system.text import size_text
from bmfgraph.system.untrusted import has_form

if TYPE_CHECKING:
    from bmfgraph.engines.onnx.int8 import Samples

__all__ = ["Progress", "builder_version", "ensure_engine", "find_engine"]

Progress = Callable[[str, int, int], None]
"""Called with a phase of the build, its finished steps and its number of steps."""

_DISK_HINT = "make room on the disk: python -m bmfgraph engines prune"
_STORE_HINT = "set engine.store to a folder where you may write"
_PROGRESS = {"phase": str, "step": int, "steps": int}
_RESULT = {"library": str, "version": str, "tensors": TENSORS}
"""Form of the messages that a complete build sends, together."""


def ensure_engine(
    node: str,
    spec: BuildSpec,
    onnx: Path,
    store: Path,
    *,
    say: Callable[[str], None],
    progress: Progress | None = None,
    calibration: Samples | None = None,
) -> StoredEngine:
    """Return the engine of ``spec.key`` in the store; build it first where it is missing or damaged.

    Args:
        node: The node that errors name.
        onnx: The model file.
        store: Folder of the engine store.
        say: Called with a line for the user when a build begins and when it ends.
        calibration: Inputs over which int8 measures its ranges; read once, and only by a build.

    Raises:
        EngineError: The engine cannot be built or stored.
        InstallError: A library is missing.
    """
    engines = EngineStore(store)
    try:
        if spec.policy == "never":
            return find_engine(node, spec, engines)
        build = _EngineBuild(node, spec, onnx, engines, say, progress, calibration)
        return engines.ensure(spec.model, spec.key, build, say=say, rebuild=spec.policy == "always")
    except StoreError as error:
        hint = _DISK_HINT if error.errno in DISK_FULL else _STORE_HINT
        raise EngineError(node, str(error), hint=hint, code=codes.UNUSABLE_ENGINE_STORE) from None


def find_engine(node: str, spec: BuildSpec, engines: EngineStore) -> StoredEngine:
    """Return the stored engine of ``spec.key`` for a run that builds none.

    Raises:
        EngineError: The engine is missing or damaged; the message names the nearest engine and its differences.
        StoreError: The store cannot be read.
    """
    if engine := engines.use(spec.model, spec.key):
        return engine
    damaged = engines.find(spec.model, spec.key)
    if damaged:
        message = f"the engine of {spec.model!r} in {str(damaged.folder)!r} is damaged: {damaged.damage()}"
    elif nearest := engines.nearest(spec.model, spec.key):
        there, here = nearest[0].manifest["key"], spec.key.as_json()
        differences = "; ".join(
            f"{name} {_short_json(there.get(name))} there, {_short_json(here.get(name))} here" for name in nearest[1]
        )
        message = (
            f"{str(engines.root)!r} has no engine of {spec.model!r} for this run; "
            f"the nearest, {nearest[0].folder.name}, differs in {differences}"
        )
    else:
        message = f"{str(engines.root)!r} has no engine of {spec.model!r}"
    hint = "build it: engine.build=auto, or take over a store that has it"
    raise EngineError(node, f"{message}; engine.build is 'never'", hint=hint, code=codes.MISSING_STORED_ENGINE)


def _short_json(value: Any) -> str:
    text = json.dumps(value) if isinstance(value, (dict, list)) else short_repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


@dataclass
class _EngineBuild:
    """The build of one engine: the store calls it with the folder to fill and the reason for the build."""

    node: str
    spec: BuildSpec
    onnx: Path
    engines: EngineStore
    say: Callable[[str], None]
    progress: Progress | None
    calibration: Samples | None

    def __call__(self, folder: Path, reason: str) -> BuildResult:
        with self._failures_as_engine_errors():
            return self._build(folder, reason)

    def _build(self, folder: Path, reason: str) -> BuildResult:
        # Imported here, because it needs NumPy and onnx, which a run with stored engines does not.
        from bmfgraph.engines.onnx.precision import prepare_network

        spec, key = self.spec, self.spec.key
        if key.runtime == "openvino":
            return self._quantize(folder, reason)
        network, command = folder / "network.onnx", list[str]()
        if spec.command:
            command = command_line(self.node, spec.command, key, network.resolve(), (folder / ENGINE).resolve())
            builder, typed = short_repr(spec.command[0]), strongly_typed(key)
        else:
            version = builder_version(spec.python, key.runtime, self.node)
            builder, typed = f"{version.library} {version.version}", version.strongly_typed
            if key.precision == "bf16" and not version.has_bf16:
                hint = "set engine.precision to fp16, tf32 or fp32"
                raise EngineError(
                    self.node, f"{builder} has no bf16", hint=hint, code=codes.NETWORK_PREPARATION_FAILURE
                )
        self.say(f"building an engine for {spec.model} ({key.precision}, {builder}): {reason}")
        start = time.monotonic()
        model = prepare_network(
            self.onnx, dict(key.dims), key.precision, strongly_typed=typed, calibration=self.calibration
        )
        network.write_bytes(model.SerializeToString())
        result = self._run_program(folder, command, model) if command else self._run_script(folder, network, model)
        network.unlink()
        size, seconds = (folder / ENGINE).stat().st_size, time.monotonic() - start
        self.say(f"built the engine for {spec.model}: {size_text(size)} in {seconds:.1f} s")
        return result

    def _quantize(self, folder: Path, reason: str) -> BuildResult:
        """Quantize the network; OpenVINO compiles it when it is loaded."""
        from bmfgraph.engines.onnx.precision import prepare_network

        start = time.monotonic()
        self.say(f"quantizing {self.spec.model} ({self.spec.key.precision}): {reason}")
        model = prepare_network(
            self.onnx, dict(self.spec.key.dims), "int8", strongly_typed=False, calibration=self.calibration
        )
        (folder / ENGINE).write_bytes(model.SerializeToString())
        self.say(f"quantized {self.spec.model} in {time.monotonic() - start:.1f} s")
        return BuildResult(
            describe_tensors(model, self.spec.key), {"library": "onnxruntime", "version": self.spec.key.version}
        )

    def _run_script(self, folder: Path, network: Path, model: Any) -> BuildResult:
        """Build with TensorRT's Python API in trt_process.py."""
        key = self.spec.key
        job = {
            "runtime": key.runtime,
            "onnx": str(network.resolve()),
            "plan": str((folder / ENGINE).resolve()),
            "precision": key.precision,
            "sensitive_outputs": precision_sensitive_outputs(model),
            "profiles": key.as_json()["profiles"],
            "flags": dict(key.flags),
            "timing_cache": str(self._timing_cache().resolve()) if self.spec.timing_cache else None,
        }
        job_file = folder / "job.json"
        job_file.write_text(json.dumps(job), encoding="utf-8")
        answer: dict[str, Any] = {}
        command = [self.spec.python or sys.executable, "-u", str(SCRIPT), str(job_file)]
        with child(command, folder / LOG) as process:
            assert process.stdout is not None
            for line in process.stdout:
                answer.update(self._read_message(line))
        job_file.unlink()
        if "error" in answer:
            raise self._build_error(str(answer["error"]), hint=str(answer.get("hint", "")))
        if process.returncode:
            raise self._exit_error("the builder", process.returncode, folder)
        if not has_form(answer, _RESULT) or not (folder / ENGINE).is_file():
            raise EngineError(
                self.node,
                f"{command[0]!r} ended without an error, but built no engine{last_lines(folder / LOG)}",
                hint="name an interpreter that has TensorRT, or leave engine.python out",
                code=codes.UNUSABLE_ENGINE_BUILDER,
            )
        tensors = [
            {**tensor, "dtype": DTYPES.get(tensor["dtype"], tensor["dtype"].lower())} for tensor in answer["tensors"]
        ]
        return BuildResult(tensors, {"library": answer["library"], "version": answer["version"]})

    def _read_message(self, line: str) -> dict[str, Any]:
        """Pass progress on, and return the fields of any other message."""
        try:
            message: dict[str, Any] = dict(json.loads(line))
        except (ValueError, TypeError):  # A line cut off by the script's death, or the output of a wrapper script.
            return {}
        if "phase" not in message:
            return message
        if self.progress is not None and has_form(message, _PROGRESS):
            self.progress(message["phase"], message["step"], message["steps"])
        return {}

    def _run_program(self, folder: Path, command: list[str], model: Any) -> BuildResult:
        """Build with the program that the user names."""
        plan, name = folder / ENGINE, repr(self.spec.command[0])
        with child(command, folder / LOG, everything=True) as process:
            process.wait()
        if process.returncode:
            raise self._exit_error(name, process.returncode, folder)
        if not plan.is_file() or not plan.stat().st_size:
            raise self._build_error(
                f"{name} ended without an error, but wrote no engine to {{plan}}{last_lines(folder / LOG)}",
                hint="use {plan} in engine.command for the file that it writes",
            )
        return BuildResult(describe_tensors(model, self.spec.key), {"command": list(self.spec.command)})

    def _timing_cache(self) -> Path:
        key = self.spec.key
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{key.runtime}-{key.version}-{key.gpu}")
        return self.engines.root / ".timing" / f"{name}.cache"

    def _build_error(self, message: str, hint: str) -> EngineError:
        log = self.engines.failed_log(self.spec.model, self.spec.key)
        return EngineError(
            self.node, message, hint=f"{hint or 'see the log'} (log: {log})", code=codes.ENGINE_BUILD_FAILURE
        )

    def _exit_error(self, program: str, code: int, folder: Path) -> EngineError:
        return self._build_error(f"{program} {ended(code)}{last_lines(folder / LOG)}", hint="see what it says last")

    @contextlib.contextmanager
    def _failures_as_engine_errors(self) -> Iterator[None]:
        """Translate errors of the model file and of the store's disk into EngineError."""
        try:
            yield
        except OnnxError as error:
            raise EngineError(self.node, f"{self.onnx.name}: {error}", hint=error.hint, code=error.code) from None
        except OSError as error:
            raise EngineError(
                self.node,
                f"the engine store {str(self.engines.root)!r} cannot be written ({error.strerror or error})",
                hint=_DISK_HINT if error.errno in DISK_FULL else _STORE_HINT,
                code=codes.UNUSABLE_ENGINE_STORE,
            ) from None
