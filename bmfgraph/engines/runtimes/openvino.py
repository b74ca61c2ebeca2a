"""Run models with OpenVINO on the CPU."""

from __future__ import annotations

import os
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import torch

from bmfgraph import error_codes as codes
from bmfgraph.engines.onnx.cache import cached_model
from bmfgraph.engines.runtimes.cpu_streams import CpuStreams
from bmfgraph.engines.runtimes.openvino_model import compile_model, failure_text, import_openvino
from bmfgraph.engines.runtimes.shared import file_state, shared
from bmfgraph.errors import EngineError, InstallError

if TYPE_CHECKING:
    from bmfgraph.engines.runtimes import Pending
    from bmfgraph.engines.spec import EngineSpec

__all__ = ["OpenVinoEngine"]

Tensors = dict[str, torch.Tensor]


class OpenVinoEngine:
    """A model that OpenVINO has compiled for fixed shapes."""

    def __init__(self, node: str, spec: EngineSpec) -> None:
        """Load a model. Raises EngineError, which names ``node``, or InstallError."""
        try:
            self._openvino = import_openvino()
        except ImportError:
            raise InstallError(
                "OpenVINO is not installed", hint="pip install openvino", code=codes.MISSING_OPENVINO
            ) from None
        name = f"OpenVINO {self._openvino.__version__.partition('-')[0]}"
        threads = spec.threads or len(os.sched_getaffinity(0))
        parallel = CpuStreams(spec.streams, threads)
        streams = parallel.count
        path = Path(spec.path)
        # A network from the store has its weights inside.
        weights = [] if spec.build else [file.name for file in cached_model(Path(spec.onnx)).external]
        try:
            key = ("openvino", spec.sha256, *file_state(path), spec.input_shapes, spec.precision, threads, streams)
            self._parallel = shared(("streams", *key), lambda: parallel)
            model = shared(
                key,
                lambda: compile_model(
                    path,
                    dict(spec.input_shapes),
                    weights,
                    precision=spec.precision,
                    threads=threads,
                    streams=streams,
                ),
            )
        except Exception as error:
            raise EngineError(
                node,
                f"{name} cannot load {spec.path!r}: {failure_text(error)}",
                hint="set engine.runtime=onnxruntime, or pip install -U openvino",
                code=codes.ENGINE_LOAD_FAILURE,
            ) from None
        self.minimum_batch = spec.batch
        # It lives as long as a run uses it.
        self._model = model
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(streams):
            self._requests.put(model.create_infer_request())
        self._outputs = {name: model.output(name) for name, _ in spec.output_shapes}
        self._static = {name: port.partial_shape.is_static for name, port in self._outputs.items()}
        self._dtypes = {tensor: getattr(torch, dtype) for tensor, dtype in spec.tensors}
        precision = f" in {spec.precision}" if spec.precision != "fp32" else ""
        self.description = f"{name} on the CPU{precision}, {self._parallel.description}"

    @property
    def streams(self) -> int:
        """See :class:`bmfgraph.engines.runtimes.Engine`."""
        return self._parallel.depth

    def begin(self, inputs: Tensors) -> Pending:
        """Begin one inference; see :class:`bmfgraph.engines.runtimes.Engine`."""
        return self._parallel.begin(self._run, inputs)

    def _run(self, inputs: Tensors) -> Tensors:
        request = self._requests.get()
        try:
            return self._run_by(request, inputs)
        finally:
            self._requests.put(request)

    def _run_by(self, request: Any, inputs: Tensors) -> Tensors:
        results: Tensors = {}
        for name, port in self._outputs.items():
            if self._static[name]:
                # OpenVINO writes into the result itself.
                results[name] = torch.empty(list(port.shape), dtype=self._dtypes[name])
                request.set_tensor(port, self._shared(results[name]))
        request.infer({name: self._shared(tensor.contiguous()) for name, tensor in inputs.items()})
        for name, port in self._outputs.items():
            if name not in results:
                results[name] = torch.from_numpy(request.get_tensor(port).data.copy())
        return results

    def _shared(self, tensor: torch.Tensor) -> Any:
        return self._openvino.Tensor(tensor.numpy(), shared_memory=True)
