"""Has engines built: by TensorRT in a process of its own, by another interpreter's TensorRT, or by a program.

In a process of its own, a crash of TensorRT is a message, Ctrl-C ends the build at once, and its memory is given back.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmfgraph.engines.external import command_words, strongly_typed, tensors_of
from bmfgraph.engines.manifest import ENGINE, LOG, BuildResult, StoredEngine
from bmfgraph.engines.onnx.model import OnnxError
from bmfgraph.engines.onnx.sensitive import precision_sensitive_outputs
from bmfgraph.engines.spec import BuildSpec
from bmfgraph.engines.store import EngineStore, StoreError
from bmfgraph.errors import EngineError, InstallError, short_repr
from bmfgraph.system.processes import child, ended, last_lines

if TYPE_CHECKING:
    from bmfgraph.engines.onnx.precision import Samples

__all__ = ["BuilderVersion", "Progress", "builder_version", "ensure_engine", "find_built"]

Progress = Callable[[str, int, int], None]
"""Called with a phase of the build, its steps done and all its steps."""

_SCRIPT = Path(__file__).with_name("trt_process.py")
_NAMES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_STORE_HINT = "set engine.store to a folder where you may write"
_VERSION_TIMEOUT = 120.0


@dataclass(frozen=True)
class BuilderVersion:
    """What an interpreter builds engines with."""

    library: str
    version: str
    strongly_typed: bool
    """Whether precision is a property of the network, not a flag."""
    has_bf16: bool


def builder_version(python: str | None, flavour: str, node: str = "") -> BuilderVersion:
    """Ask an interpreter (None: this one) for its TensorRT. Raises InstallError, which names ``node``."""
    interpreter = python or sys.executable
    hint = "name an interpreter that has TensorRT, or leave engine.python out"
    path = f"pipeline.nodes.{node}" if node else ""
    try:
        done = subprocess.run(
            [interpreter, "-u", str(_SCRIPT), "--version", flavour],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_VERSION_TIMEOUT,
        )
    except OSError as error:
        raise InstallError(
            f"the interpreter {interpreter!r} cannot be run ({error.strerror})", hint=hint, code="E615", path=path
        ) from None
    except subprocess.TimeoutExpired:
        raise InstallError(
            f"the interpreter {interpreter!r} does not answer within two minutes", hint=hint, code="E615", path=path
        ) from None
    try:
        told = dict(json.loads(done.stdout.strip().splitlines()[-1]))
    except (ValueError, TypeError, IndexError):
        last = (done.stderr.strip().splitlines() or [ended(done.returncode)])[-1]
        raise InstallError(
            f"{interpreter!r} does not say which TensorRT it has: {last}", hint=hint, code="E615", path=path
        ) from None
    if "error" in told:
        raise InstallError(told["error"], hint=told["hint"], code="E615", path=path)
    return BuilderVersion(**told)


def ensure_engine(
    node: str,
    build: BuildSpec,
    onnx: Path,
    store: Path,
    *,
    say: Callable[[str], None],
    progress: Progress | None = None,
    calibration: Samples | None = None,
) -> StoredEngine:
    """The engine of ``build.key`` in the store, built from ``onnx`` where it is missing or damaged.

    ``say`` gets a line for the user when a build begins and one when it is done. ``calibration`` is what int8 measures
    its ranges over, read once and only by a build. Raises EngineError, and InstallError where a library is missing.
    """
    engines = EngineStore(store)
    try:
        if build.policy == "never":
            return find_built(node, build, engines)
        maker = _EngineBuild(node, build, onnx, engines, say, progress, calibration)
        return engines.ensure(build.model, build.key, maker, say=say, rebuild=build.policy == "always")
    except StoreError as error:
        hint = "make room on the disk: python -m bmfgraph engines prune" if error.number in _FULL else _STORE_HINT
        raise EngineError(node, str(error), hint=hint, code="E614") from None


def find_built(node: str, build: BuildSpec, engines: EngineStore) -> StoredEngine:
    """The engine that is there, for those who do not want one built."""
    if found := engines.use(build.model, build.key):
        return found
    hint = "build it: engine.build=auto, or take over a store that has it"
    damaged = engines.find(build.model, build.key)
    if damaged:
        message = f"the engine of {build.model!r} in {str(damaged.folder)!r} is damaged: {damaged.damage()}"
    elif nearest := engines.nearest(build.model, build.key):
        there, here = nearest[0].manifest["key"], build.key.as_json()
        differences = "; ".join(
            f"{name} {_short(there.get(name))} there, {_short(here.get(name))} here" for name in nearest[1]
        )
        message = (
            f"{str(engines.root)!r} has no engine of {build.model!r} for this run; "
            f"the nearest, {nearest[0].folder.name}, differs in {differences}"
        )
    else:
        message = f"{str(engines.root)!r} has no engine of {build.model!r}"
    raise EngineError(node, f"{message}; engine.build is 'never'", hint=hint, code="E609")


def _short(value: Any) -> str:
    text = json.dumps(value) if isinstance(value, (dict, list)) else short_repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


@dataclass
class _EngineBuild:
    """Builds one engine: called by the store with the folder to fill and the reason."""

    node: str
    build: BuildSpec
    onnx: Path
    engines: EngineStore
    say: Callable[[str], None]
    progress: Progress | None
    calibration: Samples | None

    def __call__(self, folder: Path, reason: str) -> BuildResult:
        with self._failures_as_engine_errors():
            return self._make(folder, reason)

    def _make(self, folder: Path, reason: str) -> BuildResult:
        # Only now: to know what to build takes no NumPy.
        from bmfgraph.engines.onnx.precision import prepared

        build, key = self.build, self.build.key
        network, words = folder / "network.onnx", list[str]()
        if build.command:
            words = command_words(self.node, build.command, key, network.resolve(), (folder / ENGINE).resolve())
            by, typed = short_repr(build.command[0]), strongly_typed(key)
        else:
            version = builder_version(build.python, key.runtime, self.node)
            by, typed = f"{version.library} {version.version}", version.strongly_typed
            if key.precision == "bf16" and not version.has_bf16:
                raise EngineError(
                    self.node, f"{by} has no bf16", hint="set engine.precision to fp16, tf32 or fp32", code="E617"
                )
        self.say(f"building an engine for {build.model} ({key.precision}, {by}): {reason}")
        began = time.monotonic()
        model = prepared(self.onnx, dict(key.dims), key.precision, strongly_typed=typed, calibration=self.calibration)
        network.write_bytes(model.SerializeToString())
        built = self._run_program(folder, words, model) if words else self._run_script(folder, network, model)
        network.unlink()
        size, seconds = (folder / ENGINE).stat().st_size, time.monotonic() - began
        self.say(f"built the engine for {build.model}: {size / 1e6:.1f} MB in {seconds:.1f} s")
        return built

    def _run_script(self, folder: Path, network: Path, model: Any) -> BuildResult:
        """Build by TensorRT's Python API."""
        key = self.build.key
        job = {
            "flavour": key.runtime,
            "onnx": str(network.resolve()),
            "plan": str((folder / ENGINE).resolve()),
            "precision": key.precision,
            "fine": precision_sensitive_outputs(model),
            "profiles": key.as_json()["profiles"],
            "flags": dict(key.flags),
            "timing_cache": str(self._timing_cache().resolve()) if self.build.timing_cache else None,
        }
        words = folder / "job.json"
        words.write_text(json.dumps(job), encoding="utf-8")
        told: dict[str, Any] = {}
        with child([self.build.python or sys.executable, "-u", str(_SCRIPT), str(words)], folder / LOG) as process:
            assert process.stdout is not None
            for line in process.stdout:
                told.update(self._heard(line))
        words.unlink()
        if "error" in told:
            raise self._failed(told["error"], hint=told["hint"])
        if process.returncode or "tensors" not in told:
            raise self._ended_badly(process.returncode, folder, "the builder")
        return BuildResult(told["tensors"], {"library": told["library"], "version": told["version"]})

    def _heard(self, line: str) -> dict[str, Any]:
        """What one line of the script adds to what is known."""
        try:
            message: dict[str, Any] = dict(json.loads(line))
        except (ValueError, TypeError):  # Cut off, because the script was killed; or a wrapper's own words.
            return {}
        if "phase" in message:
            if self.progress is not None:
                self.progress(message["phase"], message["step"], message["steps"])
            return {}
        return message

    def _run_program(self, folder: Path, words: list[str], model: Any) -> BuildResult:
        """Build by the program that the user names."""
        plan, name = folder / ENGINE, repr(self.build.command[0])
        guarded = [sys.executable, str(_SCRIPT), "--exec", str(os.getpid()), *words]
        with child(guarded, folder / LOG, everything=True) as process:
            process.wait()
        if process.returncode:
            raise self._ended_badly(process.returncode, folder, name)
        if not plan.is_file() or not plan.stat().st_size:
            raise self._failed(
                f"{name} ended well, and wrote no engine to {{plan}}{last_lines(folder / LOG)}",
                hint="use {plan} in engine.command for the file that it writes",
            )
        return BuildResult(tensors_of(model, self.build.key), {"command": list(self.build.command)})

    def _timing_cache(self) -> Path:
        key = self.build.key
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{key.runtime}-{key.version}-{key.gpu}")
        return self.engines.root / ".timing" / f"{name}.cache"

    def _failed(self, message: str, hint: str) -> EngineError:
        log = self.engines.failed_log(self.build.model, self.build.key)
        return EngineError(self.node, message, hint=f"{hint or 'see the log'} (log: {log})", code="E616")

    def _ended_badly(self, code: int, folder: Path, who: str) -> EngineError:
        return self._failed(f"{who} {ended(code)}{last_lines(folder / LOG)}", hint="see what it says last")

    @contextlib.contextmanager
    def _failures_as_engine_errors(self) -> Iterator[None]:
        """Turn what goes wrong on the way into EngineError."""
        try:
            yield
        except OnnxError as error:
            raise EngineError(self.node, f"{self.onnx.name}: {error}", hint=error.hint, code=error.code) from None
        except OSError as error:
            full = error.errno in _FULL
            raise EngineError(
                self.node,
                f"the engine store {str(self.engines.root)!r} cannot be written ({error.strerror or error})",
                hint="make room on the disk: python -m bmfgraph engines prune" if full else _STORE_HINT,
                code="E614",
            ) from None
