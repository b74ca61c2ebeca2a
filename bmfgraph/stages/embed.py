"""Run the node kind ``embed``: read the vector that describes each frame."""

from __future__ import annotations

import torch

from bmfgraph.nodes.embed import EmbedParams
from bmfgraph.stages.items import Frame
from bmfgraph.stages.per_frame import PerFrame
from bmfgraph.stages.results import Embedding

__all__ = ["Embed"]


class Embed(PerFrame[Embedding]):
    """Convert each Sample of a vector to the Embedding of its frames."""

    params: EmbedParams

    def reduce(self, values: torch.Tensor) -> torch.Tensor:
        """Return the vector, float32 [size], of length 1 if so configured; a vector of zeros stays one."""
        if self.params.normalise == "none":
            return values
        return torch.nn.functional.normalize(values, dim=0)

    def build(self, frame: Frame, numbers: torch.Tensor) -> Embedding:
        return Embedding(frame, numbers.numpy())
