"""Run engines with TensorRT or TensorRT-RTX: with the full, lean or dispatch library, whichever is installed."""

from __future__ import annotations

import importlib
import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bmfgraph import error_codes as codes
from bmfgraph.engines.key import Profile
from bmfgraph.engines.runtimes.bindings import DTYPES, Binding, check_bindings
from bmfgraph.engines.runtimes.shared import file_state, shared
from bmfgraph.errors import EngineError, InstallError
from bmfgraph.plan.types import RUNTIME_NAMES
from bmfgraph.system.machine import Library, find_libraries
from bmfgraph.system.untrusted import open_regular

if TYPE_CHECKING:
    from bmfgraph.engines.spec import EngineSpec

__all__ = ["TensorRTEngine"]

Tensors = dict[str, torch.Tensor]

_DTYPES: dict[str, torch.dtype] = {name: getattr(torch, plain) for name, plain in DTYPES.items()}
_ALIGNMENT = 256
"""Bytes; the tensors of a batch's later rows may begin anywhere."""
# Patterns of TensorRT's messages when it refuses a plan, and what the user can do.
_REFUSALS = (
    (
        r"host code|hostcode|lean runtime",
        "it brings its own CPU code, as version-compatible plans do; if you trust where it comes from, "
        "set engine.allow_host_code=true",
    ),
    (
        r"compute capability|incompatible device|different (gpu|device)|platform",
        "it was built for another GPU: build it here",
    ),
    (r"version|magic|tag|plan file", "it was built by another TensorRT, or it is damaged: build it with this one"),
)


@dataclass
class _Loaded:
    """A deserialized engine, with the objects that must live as long as it does."""

    log: Any
    runtime: Any
    engine: Any


@dataclass
class _Pending:
    """An inference that was enqueued. Its inputs stay alive until a stream waits for the results."""

    results: Tensors
    done: torch.cuda.Event | None = None
    inputs: Tensors = field(default_factory=dict)

    def outputs(self) -> Tensors:
        if self.done is not None:
            torch.cuda.current_stream().wait_event(self.done)
            self.inputs.clear()
        return self.results


class TensorRTEngine:
    """An engine with one execution context per stream. With a single stream it runs on the current one."""

    def __init__(self, node: str, spec: EngineSpec) -> None:
        """Load an engine file. Raises EngineError, which names ``node``, or InstallError."""
        library = _library(node, spec)
        if not torch.cuda.is_available():
            raise InstallError(
                f"{RUNTIME_NAMES[spec.runtime]} needs an NVIDIA GPU, and torch {torch.__version__} finds none",
                hint="set engine.runtime=onnxruntime to use the CPU; for a GPU, install its driver and torch with CUDA",
                code=codes.MISSING_GPU,
                path=f"pipeline.nodes.{node}",
            )
        try:
            key = ("tensorrt", *file_state(Path(spec.path)), spec.allow_host_code)
        except OSError as error:
            raise _unreadable(node, spec, error) from None
        self._loaded = shared(key, lambda: _load(node, spec, importlib.import_module(library.module)))
        bindings = _bindings(self._loaded.engine)
        profile = check_bindings(node, spec, bindings)
        self.minimum_batch = max(
            (
                binding.profiles[profile].min[0]
                for binding in bindings
                if binding.profiles and binding.name not in spec.unbatched
            ),
            default=1,
        )
        self.streams = spec.streams or 1
        self._workers = deque(self._worker(node, spec, bindings, profile) for _ in range(self.streams))
        streams = f", {self.streams} streams" if self.streams > 1 else ""
        self.description = (
            f"{RUNTIME_NAMES[spec.runtime]} {library.version} on {torch.cuda.get_device_name()}, "
            f"{Path(spec.path).parent.name if spec.build else spec.path}{streams}"
        )

    def _worker(self, node: str, spec: EngineSpec, bindings: list[Binding], profile: int) -> _Worker:
        stream = torch.cuda.Stream() if self.streams > 1 else None
        try:
            return _Worker(self._loaded, bindings, profile, stream)
        except RuntimeError:
            # A profile of an engine of TensorRT 8 may serve one context only: load the engine again for this one.
            module = importlib.import_module(_library(node, spec).module)
            return _Worker(_load(node, spec, module), bindings, profile, stream)

    def begin(self, inputs: Tensors) -> _Pending:
        """Enqueue one inference; see :class:`bmfgraph.engines.runtimes.Engine`."""
        worker = self._workers[0]
        self._workers.rotate(-1)
        return worker.begin(inputs)


class _Worker:
    """One execution context. Each inference gets new output tensors, so the next need not wait for their readers."""

    def __init__(
        self, loaded: _Loaded, bindings: list[Binding], profile: int, stream: torch.cuda.Stream | None
    ) -> None:
        self._loaded, self._log = loaded, loaded.log
        self._context = loaded.engine.create_execution_context()
        if self._context is None:
            raise RuntimeError(f"TensorRT makes no execution context: {self._log.last()}")
        self._stream = stream
        dynamic = any(size < 0 for binding in bindings for size in binding.dims)
        if dynamic and not self._context.set_optimization_profile_async(
            profile, torch.cuda.current_stream().cuda_stream
        ):
            raise RuntimeError(f"TensorRT does not select profile {profile}: {self._log.last()}")
        self._inputs = [binding for binding in bindings if binding.is_input]
        self._outputs = [binding for binding in bindings if not binding.is_input]
        self._input_shapes: dict[str, tuple[int, ...]] = {}
        self._output_shapes: dict[str, tuple[int, ...]] = {}

    def begin(self, inputs: Tensors) -> _Pending:
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream())
        outputs = self._allocate(inputs)
        if self._stream is None:
            self._enqueue(inputs, outputs)
            return _Pending(outputs)
        with torch.cuda.stream(self._stream):
            self._enqueue(inputs, outputs)
            done = torch.cuda.Event()
            done.record()
        return _Pending(outputs, done, inputs)

    def _allocate(self, inputs: Tensors) -> Tensors:
        """Return empty output tensors for inputs of these shapes."""
        shapes = {name: tuple(tensor.shape) for name, tensor in inputs.items()}
        if shapes != self._input_shapes:
            for name, shape in shapes.items():
                if not self._context.set_input_shape(name, shape):
                    raise RuntimeError(f"input {name} does not take the shape {list(shape)}: {self._log.last()}")
            self._input_shapes = shapes
            for binding in self._outputs:
                shape = tuple(self._context.get_tensor_shape(binding.name))
                if any(size < 0 for size in shape):
                    raise RuntimeError(
                        f"output {binding.name} has the shape {list(shape)}: its size depends on the data, which is "
                        "not supported; give the model an output of fixed size"
                    )
                self._output_shapes[binding.name] = shape
        return {
            binding.name: torch.empty(self._output_shapes[binding.name], dtype=_DTYPES[binding.dtype], device="cuda")
            for binding in self._outputs
        }

    def _enqueue(self, inputs: Tensors, outputs: Tensors) -> None:
        context = self._context
        for binding in self._inputs:
            name, dtype, tensor = binding.name, binding.dtype, inputs[binding.name]
            if tensor.dtype != _DTYPES[dtype] or not tensor.is_cuda:
                raise TypeError(f"input {name} takes {dtype} on the GPU, and gets {tensor.dtype} on {tensor.device}")
            # The copy replaces the view in `inputs`, so that it lives long enough.
            inputs[name] = tensor = _aligned(tensor)
            context.set_tensor_address(name, tensor.data_ptr())
        for name, tensor in outputs.items():
            context.set_tensor_address(name, tensor.data_ptr())
        if not context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise RuntimeError(f"TensorRT does not run the engine: {self._log.last()}")


def _aligned(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor, or a copy, in contiguous memory that begins at an address as TensorRT expects it."""
    tensor = tensor.contiguous()
    return tensor if tensor.data_ptr() % _ALIGNMENT == 0 else tensor.clone()


def _library(node: str, spec: EngineSpec) -> Library:
    """Return the best installed library of the runtime; lean and dispatch run version-compatible engines."""
    for library in find_libraries():
        if library.flavour == spec.runtime:
            return library
    hint = "pip install tensorrt, or tensorrt_lean, which runs version-compatible engines"
    if spec.runtime == "tensorrt_rtx":
        hint = "pip install tensorrt_rtx_cu13_libs tensorrt_rtx_cu13_bindings"
    raise InstallError(
        f"{RUNTIME_NAMES[spec.runtime]} is not installed",
        hint=hint,
        code=codes.MISSING_TENSORRT,
        path=f"pipeline.nodes.{node}",
    )


def _load(node: str, spec: EngineSpec, trt: Any) -> _Loaded:
    """Deserialize an engine file."""
    path = Path(spec.path)
    try:
        with open_regular(path, follow=spec.build is None) as file:
            data = file.read()
    except OSError as error:
        raise _unreadable(node, spec, error) from None
    log = _make_log(trt)
    runtime = trt.Runtime(log)
    if spec.allow_host_code:
        runtime.engine_host_code_allowed = True
    # Initialized first, so that TensorRT uses torch's CUDA context.
    torch.empty(1, device="cuda")
    try:
        engine = runtime.deserialize_cuda_engine(data)
    except Exception as error:
        log.errors.append(str(error))
        engine = None
    if engine is None:
        reason = log.last()
        hint = next(
            (hint for pattern, hint in _REFUSALS if re.search(pattern, " ".join(log.errors), re.IGNORECASE)),
            "build it again on this machine",
        )
        raise EngineError(
            node,
            f"engine {spec.path!r} is not taken by {trt.__name__} {trt.__version__}: {reason}",
            hint=hint,
            code=codes.ENGINE_LOAD_FAILURE,
        )
    return _Loaded(log, runtime, engine)


def _unreadable(node: str, spec: EngineSpec, error: OSError) -> EngineError:
    return EngineError(
        node,
        f"engine {spec.path!r} cannot be read ({error.strerror})",
        hint="check the path, or build it again",
        code=codes.ENGINE_LOAD_FAILURE,
    )


def _make_log(trt: Any) -> Any:
    class Log(trt.ILogger):  # type: ignore[misc]
        """Keeps the newest errors of TensorRT."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=20)

        def log(self, severity: Any, text: str) -> None:
            if severity <= trt.ILogger.ERROR:
                self.errors.append(text)

        def last(self) -> str:
            """Return the newest error, without TensorRT's source line."""
            text = self.errors[-1] if self.errors else "it does not say why"
            return re.sub(r"^\[?[\w.:]+\]?::?\d*\] ?|Error Code \d+: ?", "", text).strip()

    return Log()


def _bindings(engine: Any) -> list[Binding]:
    """Read the inputs and outputs of an engine."""
    bindings = []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        is_input = "INPUT" in str(engine.get_tensor_mode(name))
        profiles = tuple(
            Profile(*(tuple(shape) for shape in engine.get_tensor_profile_shape(name, number)))
            for number in range(engine.num_optimization_profiles)
            if is_input
        )
        dtype = str(engine.get_tensor_dtype(name)).rpartition(".")[2]
        bindings.append(Binding(name, is_input, dtype, tuple(engine.get_tensor_shape(name)), profiles))
    return bindings
