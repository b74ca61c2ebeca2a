"""ONNX Runtime on the CPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bmfgraph.engines.onnxfile import read_onnx, with_free_dims
from bmfgraph.errors import EngineError, InstallError

if TYPE_CHECKING:
    from bmfgraph.engines.request import EngineRequest

__all__ = ["OnnxRuntimeEngine"]


class OnnxRuntimeEngine:
    """A session on the CPU. Weights listed as inputs are taken off the list, so that they can be folded."""

    def __init__(self, node: str, request: EngineRequest) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise InstallError("ONNX Runtime is not installed", hint="pip install onnxruntime") from None
        options = onnxruntime.SessionOptions()
        threads = request.threads or len(os.sched_getaffinity(0))
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # Threads that spin between two frames take the cores from decoder and encoder.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model: str | bytes = request.path
        path = Path(request.path)
        if request.free_dims or read_onnx(path).weights_as_inputs:
            model = with_free_dims(path, dict(request.free_dims)).SerializeToString()
            # Weights kept in files of their own are looked for beside the model.
            options.add_session_config_entry(
                "session.model_external_initializers_file_folder_path", str(path.resolve().parent)
            )
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            first = str(error).splitlines()[0]
            raise EngineError(
                node,
                f"ONNX Runtime {onnxruntime.__version__} cannot load {request.path!r}: {first}",
                hint="the file is damaged, or newer than this ONNX Runtime; pip install -U onnxruntime",
            ) from None
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.description = f"ONNX Runtime {onnxruntime.__version__} on the CPU, {threads} thread(s)"

    def infer(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        results = self._session.run(self._outputs, {name: tensor.numpy() for name, tensor in inputs.items()})
        return {name: torch.from_numpy(array) for name, array in zip(self._outputs, results, strict=True)}
