"""ONNX Runtime, on the CPU and through its CUDA provider."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bmfgraph.engines.onnx.cache import cached_model
from bmfgraph.engines.onnx.model import with_free_dims
from bmfgraph.errors import EngineError, InstallError

if TYPE_CHECKING:
    from bmfgraph.engines.spec import EngineSpec

__all__ = ["OnnxRuntimeEngine"]


@dataclass
class _Done:
    """An inference that is over, or enqueued on the current stream."""

    made: dict[str, torch.Tensor]

    def outputs(self) -> dict[str, torch.Tensor]:
        return self.made


class OnnxRuntimeEngine:
    """A session. Weights listed as inputs are taken off the list, so that they can be folded."""

    streams = 1
    least_batch = 1

    def __init__(self, node: str, request: EngineSpec) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise InstallError("ONNX Runtime is not installed", hint="pip install onnxruntime", code="E705") from None
        options = onnxruntime.SessionOptions()
        threads = request.threads or len(os.sched_getaffinity(0))
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # Threads that spin between two frames take the cores from decoder and encoder.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model: str | bytes = request.onnx
        path = Path(request.onnx)
        if request.dim_overrides or cached_model(path).weights_as_inputs:
            model = with_free_dims(path, dict(request.dim_overrides)).SerializeToString()
            # Weights kept in files of their own are looked for beside the model.
            options.add_session_config_entry(
                "session.model_external_initializers_file_folder_path", str(path.resolve().parent)
            )
        self._device = request.device
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=_providers(request))
        except Exception as error:
            first = str(error).splitlines()[0]
            raise EngineError(
                node,
                f"ONNX Runtime {onnxruntime.__version__} cannot load {request.onnx!r}: {first}",
                hint="the file is damaged, or newer than this ONNX Runtime; pip install -U onnxruntime",
                code="E619",
            ) from None
        if request.device == "cuda" and "CUDAExecutionProvider" not in self._session.get_providers():
            raise EngineError(
                node,
                f"ONNX Runtime {onnxruntime.__version__} cannot load its CUDA provider",
                hint="its libraries of CUDA and cuDNN are missing: pip install 'onnxruntime-gpu[cuda,cudnn]'",
                code="E705",
            )
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._shapes = dict(request.output_shapes)
        self._dtypes = {name: getattr(torch, dtype) for name, dtype in request.tensors}
        where = "the CPU" if request.device == "cpu" else torch.cuda.get_device_name()
        told = f", {threads} thread(s)" if request.device == "cpu" else ""
        self.description = f"ONNX Runtime {onnxruntime.__version__} on {where}{told}"

    def begin(self, inputs: dict[str, torch.Tensor]) -> _Done:
        if self._device == "cuda":
            return _Done(self.bound(inputs))
        results = self._session.run(self._outputs, {name: tensor.numpy() for name, tensor in inputs.items()})
        return _Done({name: torch.from_numpy(array) for name, array in zip(self._outputs, results, strict=True)})

    def bound(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Run on tensors where they lie, into tensors beside them."""
        import onnxruntime

        binding = self._session.io_binding()
        batch, outputs = 0, {}
        # The binding knows addresses only: what lies there must live until the run.
        inputs = {name: tensor.contiguous() for name, tensor in inputs.items()}
        for name, tensor in inputs.items():
            batch = tensor.shape[0]
            self._bind(binding.bind_input, name, tensor)
        for name in self._outputs:
            shape = (batch, *self._shapes[name][1:])
            if None in shape:
                raise ValueError(f"output {name} of {list(shape)}: its size must be known to run on the GPU")
            like = next(iter(inputs.values()))
            outputs[name] = torch.empty([size or 0 for size in shape], dtype=self._dtypes[name], device=like.device)
            self._bind(binding.bind_output, name, outputs[name])
        options = onnxruntime.RunOptions()
        if self._device == "cuda":
            # What follows on the stream is ordered by the stream.
            options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        self._session.run_with_iobinding(binding, options)
        return outputs

    @staticmethod
    def _bind(bind: Any, name: str, tensor: torch.Tensor) -> None:
        dtype = str(tensor.dtype).rpartition(".")[2]
        device = tensor.device
        bind(name, device.type, device.index or 0, dtype, tuple(tensor.shape), tensor.data_ptr())


def _providers(request: EngineSpec) -> list[Any]:
    if request.device == "cpu":
        return ["CPUExecutionProvider"]
    options = {
        "user_compute_stream": str(torch.cuda.current_stream().cuda_stream),
        "use_tf32": str(int(request.precision == "tf32")),
    }
    return [("CUDAExecutionProvider", options), "CPUExecutionProvider"]
