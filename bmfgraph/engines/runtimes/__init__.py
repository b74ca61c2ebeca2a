"""Load an engine and run it: one protocol for ONNX Runtime, OpenVINO, TensorRT and TensorRT-RTX.

The shapes and dtypes of all tensors are those of the plan: ``EngineSpec.input_shapes``, ``output_shapes`` and
``tensors``. The first dim is the batch, which may be smaller than planned, but not smaller than ``minimum_batch``.
A TensorRT engine may return another floating-point dtype than the model file declares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

    from bmfgraph.engines.spec import EngineSpec

__all__ = ["Engine", "Pending", "load_engine"]


class Pending(Protocol):
    """An inference that has begun."""

    def outputs(self) -> dict[str, torch.Tensor]:
        """Return the results by output name, as new tensors on the engine's device that the caller may change.

        On a GPU the host does not wait: the caller's current CUDA stream waits for the results. Only work on that
        stream may read them. Call it once.
        """


class Engine(Protocol):
    """A loaded engine. It is used by one thread."""

    @property
    def description(self) -> str:
        """Runtime, version and device, for the user and the report."""

    @property
    def streams(self) -> int:
        """Number of inferences that may have begun; then the oldest is waited for."""

    @property
    def minimum_batch(self) -> int:
        """The smallest batch that the engine accepts."""

    def begin(self, inputs: dict[str, torch.Tensor]) -> Pending:
        """Begin one inference.

        On a CPU the inference may run on another thread. On a GPU it is only enqueued: behind the work that the current
        CUDA stream holds already, which may include the computation of the inputs.

        Args:
            inputs: A tensor for every input name, on the engine's device and in the input's dtype. It need not be
                contiguous. It must not be changed before the results are there: on a GPU, by work that is ordered
                behind ``Pending.outputs``.

        Raises:
            RuntimeError: The runtime refuses the inference, with its own words; for example a wrong shape.
        """


def load_engine(node: str, spec: EngineSpec) -> Engine:
    """Load an engine into memory.

    Args:
        node: The node that errors name.
        spec: The engine; its file must exist.

    Raises:
        EngineError: The file cannot be read, or is not an engine for this model and these shapes.
        InstallError: The runtime or a GPU is missing.
    """
    if spec.runtime == "onnxruntime":
        from bmfgraph.engines.runtimes.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(node, spec)
    if spec.runtime == "openvino":
        from bmfgraph.engines.runtimes.openvino import OpenVinoEngine

        return OpenVinoEngine(node, spec)
    from bmfgraph.engines.runtimes.tensorrt import TensorRTEngine

    return TensorRTEngine(node, spec)
