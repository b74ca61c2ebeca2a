"""The runtimes: each loads an engine and runs it on tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

    from bmfgraph.engines.request import EngineRequest

__all__ = ["Engine", "load_engine"]


class Engine(Protocol):
    """A loaded engine."""

    @property
    def description(self) -> str:
        """Runtime, version and device, for the user and the report."""

    def infer(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Run once. The outputs are the caller's."""


def load_engine(node: str, request: EngineRequest) -> Engine:
    """Load what ``request`` names. Raises EngineError, which names ``node``."""
    from bmfgraph.engines.runtimes.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(node, request)
