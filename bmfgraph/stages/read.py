"""Run the node kind ``read``: decode a line of text from scores of characters over time.

The decoding is the best path of connectionist temporal classification (Graves et al., 2006): the best class at each
step, repeats merged, blanks dropped.
"""

from __future__ import annotations

import numpy as np
import torch

from bmfgraph.nodes.read import ReadParams
from bmfgraph.stages.items import Frame
from bmfgraph.stages.per_frame import PerFrame
from bmfgraph.stages.results import Texts

__all__ = ["Read"]


class Read(PerFrame[Texts]):
    """Convert each Sample of scores to the Texts of its frames: one text, or none where none was read."""

    params: ReadParams
    scores = True

    def reduce(self, values: torch.Tensor) -> torch.Tensor:
        """Return the best score and its class at each step, float32 [2, time]."""
        scores, classes = values.max(dim=1)
        return torch.stack([scores, classes.float()])

    def build(self, frame: Frame, numbers: torch.Tensor) -> Texts:
        scores, classes = numbers.numpy()
        kept = classes != self.params.blank
        kept[1:] &= classes[1:] != classes[:-1]
        score = scores[kept].mean() if kept.any() else -1.0
        if not score >= self.params.threshold:
            return Texts(frame, (), np.zeros(0, np.float32), np.zeros((0, 4), np.float32))
        text = "".join(self.params.charset[int(number)] for number in classes[kept])
        return Texts(frame, (text,), np.array([score], np.float32), np.array([self.params.box], np.float32))
