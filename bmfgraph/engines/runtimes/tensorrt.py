"""TensorRT and TensorRT-RTX: the full, lean or dispatch library, whichever is installed."""

from __future__ import annotations

import importlib
import re
import weakref
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bmfgraph.engines.runtimes.bindings import DTYPES, Binding, check_bindings
from bmfgraph.errors import EngineError, InstallError
from bmfgraph.system.machine import Library, find_libraries

if TYPE_CHECKING:
    from bmfgraph.engines.spec import EngineSpec

__all__ = ["TensorRTEngine"]

_DTYPES: dict[str, torch.dtype] = {name: getattr(torch, plain) for name, plain in DTYPES.items()}
_NAMES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
# What TensorRT says of a plan that it does not take, and what that means for the user.
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
    """A deserialized engine with what must live as long as it does."""

    log: Any
    runtime: Any
    engine: Any


_LOADED: weakref.WeakValueDictionary[tuple[str, int, bool], _Loaded] = weakref.WeakValueDictionary()
"""One engine in memory for all nodes of the process that use the same file."""


@dataclass
class _Pending:
    """An inference that was enqueued. Its inputs are kept until whoever takes the outputs waits for them."""

    made: dict[str, torch.Tensor]
    done: torch.cuda.Event | None = None
    inputs: dict[str, torch.Tensor] = field(default_factory=dict)

    def outputs(self) -> dict[str, torch.Tensor]:
        if self.done is not None:
            torch.cuda.current_stream().wait_event(self.done)
            self.inputs.clear()
        return self.made


class TensorRTEngine:
    """One engine with an execution context for each stream. Runs on the current stream if it has only one."""

    def __init__(self, node: str, request: EngineSpec) -> None:
        library = _library(node, request)
        if not torch.cuda.is_available():
            raise InstallError(
                f"{_NAMES[request.runtime]} needs an NVIDIA GPU, and torch {torch.__version__} finds none",
                path=f"pipeline.nodes.{node}",
                hint="set engine.runtime=onnxruntime to use the CPU; for a GPU, install its driver and torch with CUDA",
                code="E605",
            )
        self._loaded = _load(node, request, importlib.import_module(library.module))
        bindings = _bindings(self._loaded.engine)
        profile = check_bindings(node, request, bindings)
        self.least_batch = max((one.profiles[profile].min[0] for one in bindings if one.profiles), default=1)
        self.streams = request.streams
        self._workers = deque(self._worker(node, request, bindings, profile) for _ in range(request.streams))
        if request.cuda_graph:
            for worker in self._workers:
                worker.record(dict(request.input_shapes))
        gpu = torch.cuda.get_device_name()
        extra = (f", {request.streams} streams" if request.streams > 1 else "") + (
            ", CUDA graph" if request.cuda_graph else ""
        )
        name = f"{_NAMES[request.runtime]} {library.version}"
        self.description = (
            f"{name} on {gpu}, {Path(request.path).parent.name if request.build else request.path}{extra}"
        )

    def _worker(self, node: str, request: EngineSpec, bindings: list[Binding], profile: int) -> _Worker:
        stream = torch.cuda.Stream() if request.streams > 1 else None
        try:
            return _Worker(self._loaded, bindings, profile, stream)
        except RuntimeError:
            # TensorRT 8 built engines whose profiles serve one context each: this one gets an engine of its own.
            module = importlib.import_module(_library(node, request).module)
            return _Worker(_load(node, request, module, shared=False), bindings, profile, stream)

    def begin(self, inputs: dict[str, torch.Tensor]) -> _Pending:
        """Enqueue one inference. Raises RuntimeError in TensorRT's words."""
        worker = self._workers[0]
        self._workers.rotate(-1)
        return worker.begin(inputs)


class _Worker:
    """One execution context. Outputs are new tensors at every call, so that the next one need not wait for them."""

    def __init__(
        self, loaded: _Loaded, bindings: list[Binding], profile: int, stream: torch.cuda.Stream | None
    ) -> None:
        self._loaded, self._log = loaded, loaded.log
        self._context = loaded.engine.create_execution_context()
        if self._context is None:
            raise RuntimeError(f"TensorRT makes no execution context: {self._log.last()}")
        self._stream = stream
        dynamic = any(size < 0 for one in bindings for size in one.dims)
        if dynamic and not self._context.set_optimization_profile_async(
            profile, torch.cuda.current_stream().cuda_stream
        ):
            raise RuntimeError(f"TensorRT does not select profile {profile}: {self._log.last()}")
        self._inputs = [one for one in bindings if one.is_input]
        self._outputs = [one for one in bindings if not one.is_input]
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._made: dict[str, tuple[int, ...]] = {}
        self._graph: torch.cuda.CUDAGraph | None = None
        self._fixed_inputs: dict[str, torch.Tensor] = {}
        self._fixed_outputs: dict[str, torch.Tensor] = {}

    def record(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Capture one inference of these shapes; from then on it is replayed on copies of its inputs."""
        for one in self._inputs:
            self._fixed_inputs[one.name] = torch.zeros(shapes[one.name], dtype=_DTYPES[one.dtype], device="cuda")
        # The first call allocates, which a capture does not allow.
        self._fixed_outputs = self._allocated(self._fixed_inputs)
        self._enqueue(self._fixed_inputs, self._fixed_outputs)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._enqueue(self._fixed_inputs, self._fixed_outputs)
        self._graph = graph

    def begin(self, inputs: dict[str, torch.Tensor]) -> _Pending:
        if self._stream is None:
            return _Pending(self._run(inputs))
        self._stream.wait_stream(torch.cuda.current_stream())
        outputs = self._allocated(inputs)
        with torch.cuda.stream(self._stream):
            made = self._run(inputs, outputs)
            done = torch.cuda.Event()
            done.record()
        return _Pending(made, done, inputs)

    def _run(
        self, inputs: dict[str, torch.Tensor], outputs: dict[str, torch.Tensor] | None = None
    ) -> dict[str, torch.Tensor]:
        """Enqueue on the current stream."""
        outputs = outputs or self._allocated(inputs)
        if self._graph is None:
            self._enqueue(inputs, outputs)
            return outputs
        for name, tensor in inputs.items():
            self._fixed_inputs[name].copy_(tensor)
        self._graph.replay()
        for name, tensor in outputs.items():
            tensor.copy_(self._fixed_outputs[name])
        return outputs

    def _allocated(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Tensors for the outputs that these inputs lead to."""
        shapes = {name: tuple(tensor.shape) for name, tensor in inputs.items()}
        if shapes != self._shapes:
            for name, shape in shapes.items():
                if not self._context.set_input_shape(name, shape):
                    raise RuntimeError(f"input {name} does not take the shape {list(shape)}: {self._log.last()}")
            self._shapes = shapes
            self._made = {one.name: tuple(self._context.get_tensor_shape(one.name)) for one in self._outputs}
            for name, shape in self._made.items():
                if any(size < 0 for size in shape):
                    raise RuntimeError(
                        f"output {name} has the shape {list(shape)}: its size depends on the data, which is not "
                        "supported; give the model an output of fixed size"
                    )
        return {
            one.name: torch.empty(self._made[one.name], dtype=_DTYPES[one.dtype], device="cuda")
            for one in self._outputs
        }

    def _enqueue(self, inputs: dict[str, torch.Tensor], outputs: dict[str, torch.Tensor]) -> None:
        context = self._context
        for one in self._inputs:
            tensor = inputs[one.name]
            if tensor.dtype != _DTYPES[one.dtype] or not tensor.is_cuda:
                raise TypeError(
                    f"input {one.name} takes {one.dtype} on the GPU, and gets {tensor.dtype} on {tensor.device}"
                )
            # TensorRT reads plain memory; a view of something else is copied into some.
            inputs[one.name] = tensor = tensor.contiguous()
            context.set_tensor_address(one.name, tensor.data_ptr())
        for name, tensor in outputs.items():
            context.set_tensor_address(name, tensor.data_ptr())
        if not context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise RuntimeError(f"TensorRT does not run the engine: {self._log.last()}")


def _library(node: str, request: EngineSpec) -> Library:
    assert request.runtime != "onnxruntime"
    found = [one for one in find_libraries() if one.flavour == request.runtime]
    # A version-compatible plan runs in the lean and in the dispatch library too.
    if not found:
        hint = "pip install tensorrt, or tensorrt_lean, which runs version-compatible engines"
        if request.runtime == "tensorrt_rtx":
            hint = "pip install tensorrt_rtx_cu13_libs tensorrt_rtx_cu13_bindings"
        raise InstallError(
            f"{_NAMES[request.runtime]} is not installed", path=f"pipeline.nodes.{node}", hint=hint, code="E606"
        )
    return found[0]


def _load(node: str, request: EngineSpec, trt: Any, *, shared: bool = True) -> _Loaded:
    path = Path(request.path)
    try:
        key = (str(path.resolve()), path.stat().st_mtime_ns, request.allow_host_code)
        if shared and (loaded := _LOADED.get(key)):
            return loaded
        data = path.read_bytes()
    except OSError as error:
        raise EngineError(
            node,
            f"engine {request.path!r} cannot be read ({error.strerror})",
            hint="check the path, or build it again",
            code="E619",
        ) from None
    log = _log(trt)
    runtime = trt.Runtime(log)
    if request.allow_host_code:
        runtime.engine_host_code_allowed = True
    # The context of torch is the one that TensorRT shall use.
    torch.cuda.init()
    torch.cuda.synchronize()
    try:
        engine = runtime.deserialize_cuda_engine(data)
    except Exception as error:
        log.said.append(str(error))
        engine = None
    if engine is None:
        told = log.last()
        hint = next(
            (hint for pattern, hint in _REFUSALS if re.search(pattern, " ".join(log.said), re.IGNORECASE)),
            "build it again on this machine",
        )
        raise EngineError(
            node,
            f"engine {request.path!r} is not taken by {trt.__name__} {trt.__version__}: {told}",
            hint=hint,
            code="E619",
        )
    made = _Loaded(log, runtime, engine)
    return _LOADED.setdefault(key, made) if shared else made


def _log(trt: Any) -> Any:
    class Log(trt.ILogger):  # type: ignore[misc]
        """Keeps what TensorRT complains of."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.said: deque[str] = deque(maxlen=20)

        def log(self, severity: Any, text: str) -> None:
            if severity <= trt.ILogger.ERROR:
                self.said.append(text)

        def last(self) -> str:
            """The newest complaint, without TensorRT's source line."""
            text = self.said[-1] if self.said else "it does not say why"
            return re.sub(r"^\[?[\w.:]+\]?::?\d*\] ?|Error Code \d+: ?", "", text).strip()

    return Log()


def _bindings(engine: Any) -> list[Binding]:
    """Inputs and outputs of an engine, as it tells them."""
    found = []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        is_input = "INPUT" in str(engine.get_tensor_mode(name))
        profiles = tuple(
            _profile(engine, name, number) for number in range(engine.num_optimization_profiles) if is_input
        )
        dtype = str(engine.get_tensor_dtype(name)).rpartition(".")[2]
        found.append(Binding(name, is_input, dtype, tuple(engine.get_tensor_shape(name)), profiles))
    return found


def _profile(engine: Any, name: str, number: int) -> Any:
    from bmfgraph.engines.key import Profile

    return Profile(*(tuple(shape) for shape in engine.get_tensor_profile_shape(name, number)))
