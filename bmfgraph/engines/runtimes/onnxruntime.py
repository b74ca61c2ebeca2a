"""Run models with ONNX Runtime, on the CPU or through its CUDA provider."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bmfgraph import error_codes as codes
from bmfgraph.engines.onnx.cache import cached_model
from bmfgraph.engines.runtimes.cpu_streams import CpuStreams, Done
from bmfgraph.engines.runtimes.ort_session import open_session
from bmfgraph.engines.runtimes.shared import file_state, shared
from bmfgraph.errors import EngineError, InstallError, first_line

if TYPE_CHECKING:
    from bmfgraph.engines.runtimes import Pending
    from bmfgraph.engines.spec import EngineSpec

__all__ = ["OnnxRuntimeEngine"]

Tensors = dict[str, torch.Tensor]


class OnnxRuntimeEngine:
    """A session of ONNX Runtime."""

    minimum_batch = 1

    def __init__(self, node: str, spec: EngineSpec) -> None:
        """Load a model. Raises EngineError, which names ``node``, or InstallError."""
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise InstallError(
                "ONNX Runtime is not installed", hint="pip install onnxruntime", code=codes.MISSING_ONNXRUNTIME
            ) from None
        name = f"ONNX Runtime {onnxruntime.__version__}"
        threads = spec.threads or len(os.sched_getaffinity(0))
        path = Path(spec.onnx)
        model = cached_model(path)
        self._device = spec.device
        try:
            # A session on the GPU belongs to the run's CUDA stream, on which it computes.
            stream = torch.cuda.current_stream().cuda_stream if spec.device == "cuda" else 0
            parallel = CpuStreams(1 if spec.device == "cuda" else spec.streams, threads)
            key = (spec.sha256, *file_state(path), spec.dim_overrides, spec.precision, stream, parallel.threads)
            self._parallel = shared(("streams", *key, parallel.count), lambda: parallel)
            self._session = shared(
                ("onnxruntime", *key),
                lambda: open_session(
                    path,
                    dict(spec.dim_overrides),
                    [file.name for file in model.external],
                    weights_as_inputs=model.weights_as_inputs,
                    threads=self._parallel.threads,
                    providers=_providers(spec),
                ),
            )
        except Exception as error:
            raise EngineError(
                node,
                f"{name} cannot load {spec.onnx!r}: {first_line(error)}",
                hint="the file is damaged, or newer than this ONNX Runtime; pip install -U onnxruntime",
                code=codes.ENGINE_LOAD_FAILURE,
            ) from None
        if spec.device == "cuda" and "CUDAExecutionProvider" not in self._session.get_providers():
            raise EngineError(
                node,
                f"{name} cannot load its CUDA provider",
                hint="its libraries of CUDA and cuDNN are missing: pip install 'onnxruntime-gpu[cuda,cudnn]'",
                code=codes.MISSING_ONNXRUNTIME,
            )
        self._outputs = [tensor.name for tensor in model.outputs]
        self._shapes = dict(spec.output_shapes)
        self._dtypes = {tensor: getattr(torch, dtype) for tensor, dtype in spec.tensors}
        on_cpu = spec.device == "cpu"
        where = f"the CPU, {self._parallel.description}" if on_cpu else torch.cuda.get_device_name()
        self.description = f"{name} on {where}"

    @property
    def streams(self) -> int:
        """See :class:`bmfgraph.engines.runtimes.Engine`."""
        return self._parallel.depth

    def begin(self, inputs: Tensors) -> Pending:
        """Begin one inference; see :class:`bmfgraph.engines.runtimes.Engine`."""
        return Done(self.run_bound(inputs)) if self._device == "cuda" else self._parallel.begin(self._run, inputs)

    def _run(self, inputs: Tensors) -> Tensors:
        results = self._session.run(self._outputs, {name: tensor.numpy() for name, tensor in inputs.items()})
        return {name: torch.from_numpy(array) for name, array in zip(self._outputs, results, strict=True)}

    def run_bound(self, inputs: Tensors) -> Tensors:
        """Run on the inputs' own memory, into new tensors on the same device; on a GPU, enqueue only.

        Raises:
            ValueError: The size of an output is unknown before it is computed.
        """
        import onnxruntime

        binding = self._session.io_binding()
        outputs = {}
        # The binding holds addresses only, so this variable keeps contiguous copies alive until the run.
        inputs = {name: tensor.contiguous() for name, tensor in inputs.items()}
        # Pictures come first. Inputs that are fed need not have a batch dim.
        leading = next(iter(inputs.values()))
        batch, device = leading.shape[0], leading.device
        for name, tensor in inputs.items():
            self._bind(binding.bind_input, name, tensor)
        for name in self._outputs:
            shape = (batch, *self._shapes[name][1:])
            if None in shape:
                raise ValueError(f"output {name} of {list(shape)}: its size must be known to run on the GPU")
            outputs[name] = torch.empty([size or 0 for size in shape], dtype=self._dtypes[name], device=device)
            self._bind(binding.bind_output, name, outputs[name])
        options = onnxruntime.RunOptions()
        if self._device == "cuda":
            # The stream orders all later work, so the host need not wait.
            options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        self._session.run_with_iobinding(binding, options)
        return outputs

    @staticmethod
    def _bind(bind: Any, name: str, tensor: torch.Tensor) -> None:
        dtype = str(tensor.dtype).rpartition(".")[2]
        device = tensor.device
        bind(name, device.type, device.index or 0, dtype, tuple(tensor.shape), tensor.data_ptr())


def _providers(spec: EngineSpec) -> list[Any]:
    if spec.device == "cpu":
        return ["CPUExecutionProvider"]
    options = {
        "user_compute_stream": str(torch.cuda.current_stream().cuda_stream),
        "use_tf32": str(int(spec.precision == "tf32")),
    }
    return [("CUDAExecutionProvider", options), "CPUExecutionProvider"]
