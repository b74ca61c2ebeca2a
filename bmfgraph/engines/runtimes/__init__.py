"""The runtimes: each loads an engine and runs it on tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

    from bmfgraph.engines.spec import EngineSpec

__all__ = ["Engine", "Pending", "load_engine"]


class Pending(Protocol):
    """An inference that has begun."""

    def outputs(self) -> dict[str, torch.Tensor]:
        """Its results, the caller's own. On a GPU the current stream waits for them, and nobody else."""


class Engine(Protocol):
    """A loaded engine."""

    @property
    def description(self) -> str:
        """Runtime, version and device, for the user and the report."""

    @property
    def streams(self) -> int:
        """Inferences that run side by side."""

    @property
    def least_batch(self) -> int:
        """The smallest batch that it takes."""

    def begin(self, inputs: dict[str, torch.Tensor]) -> Pending:
        """Begin one inference on tensors that are ready on the current stream."""


def load_engine(node: str, request: EngineSpec) -> Engine:
    """Load what ``request`` names. Raises EngineError, which names ``node``, or InstallError."""
    if request.runtime == "onnxruntime":
        from bmfgraph.engines.runtimes.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(node, request)
    from bmfgraph.engines.runtimes.tensorrt import TensorRTEngine

    return TensorRTEngine(node, request)
