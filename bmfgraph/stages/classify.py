"""Run the node kind ``classify``: select the best classes of each frame."""

from __future__ import annotations

import math

import numpy as np
import torch

from bmfgraph.nodes.classify import ClassifyParams
from bmfgraph.stages.items import Frame
from bmfgraph.stages.per_frame import PerFrame
from bmfgraph.stages.results import Classes

__all__ = ["Classify"]


class Classify(PerFrame[Classes]):
    """Convert each Sample of scores to the Classes of its frames. Equal scores keep the order of their classes."""

    params: ClassifyParams
    scores = True

    def open(self) -> None:
        super().open()
        # Labels that are not kept have a threshold above 1, which scores before an activation may pass.
        limits = [least if least <= 1 else math.inf for least in self.params.thresholds]
        self._thresholds = torch.tensor(limits, device=self.device)

    def reduce(self, values: torch.Tensor) -> torch.Tensor:
        """Return the best scores and their classes, float32 [2, top]; -inf for a score that does not count."""
        if self.params.background == "first":
            values = values[1:]
        elif self.params.background == "last":
            values = values[:-1]
        valid = values >= self._thresholds
        # A value that is not a number is not valid either.
        scores, classes = values.masked_fill(~valid, float("-inf")).sort(descending=True, stable=True)
        return torch.stack([scores[: self.params.top], classes[: self.params.top].float()])

    def build(self, frame: Frame, numbers: torch.Tensor) -> Classes:
        scores, classes = numbers.numpy()
        kept = np.isfinite(scores)
        return Classes(frame, scores[kept], classes[kept].astype(np.int64), self.params.labels)
