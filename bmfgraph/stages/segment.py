"""Run the node kind ``segment``: give each pixel of a frame its class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from bmfgraph.nodes.segment import NO_CLASS, SegmentParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.cuda import graphed_on_cuda
from bmfgraph.stages.items import Sample
from bmfgraph.stages.resample import Resampler, planes_of
from bmfgraph.stages.results import Segments
from bmfgraph.stages.sanity import check_activation

__all__ = ["Segment"]

_BAND = 1 << 22
"""Scores that are interpolated at once, because those of a whole frame of many classes would fill the memory."""


class Segment(Stage):
    """Convert each Sample of a model's outputs to the Segments of its frame."""

    params: SegmentParams

    def open(self) -> None:
        params = self.params
        self._resampler = Resampler(params.output.placement, params.width, params.height, self.device)
        self._outside = self._resampler.outside()
        kept = [number if least <= 1 else params.background for number, least in enumerate(params.thresholds)]
        kept += [NO_CLASS] * (NO_CLASS + 1 - len(kept))
        # A recorded graph reads these tensors at every frame, so they live as long as the stage.
        self._kept = torch.tensor(kept, dtype=torch.uint8, device=self.device)
        self._thresholds = torch.tensor(params.thresholds, device=self.device)
        # Without a threshold only the order of the scores counts.
        self._is_new = not params.numbers and any(0 < least <= 1 for least in params.thresholds)
        self._classes = graphed_on_cuda(self._numbers if params.numbers else self._best, self.device)

    def process(self, *items: Any) -> Iterable[Segments]:
        sample: Sample = items[0]
        tensor = sample.tensors[self.params.output.axes.tensor][0]
        if self._is_new:
            self._is_new = False
            self._look(tensor)
        return (Segments(sample.frames[0], self._classes(tensor), self.params.labels),)

    def _look(self, tensor: torch.Tensor) -> None:
        """Look at the scores of the first frame for signs of a wrong config; a GPU is waited for this once."""
        planes, axes = planes_of(tensor, self.params.output).cpu(), self.params.output.axes
        values = planes.float().reshape(len(planes), -1).T.contiguous().numpy()
        for problem in check_activation(
            values, activation=axes.activation, output=axes.tensor, exclusive=len(planes) > 1
        ):
            self.warn(problem)

    def _numbers(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the class numbers of an output that holds them."""
        numbers = self._resampler.nearest(planes_of(tensor, self.params.output))[0]
        numbers = numbers.round() if numbers.is_floating_point() else numbers
        known = (numbers >= 0) & (numbers < NO_CLASS)
        return self._finished(torch.where(known, numbers, NO_CLASS).long())

    def _best(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the class with the best score, band by band."""
        planes = planes_of(tensor, self.params.output)
        height, width = self.params.height, self.params.width
        step = max(1, _BAND // (len(planes) * width))
        bands = [
            self._band(self._resampler.linear(planes, start, min(start + step, height)))
            for start in range(0, height, step)
        ]
        return self._finished(torch.cat(bands))

    def _band(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the best class of each pixel, or NO_CLASS.

        Args:
            scores: float32 [classes, height, width].

        Returns:
            int64 [height, width]; ``background`` where the score is too low.
        """
        params, activation = self.params, self.params.output.axes.activation
        best, numbers = scores.max(dim=0)
        if not any(0 < least <= 1 for least in params.thresholds):
            return numbers
        if activation == "softmax":
            # The best probability is exp(best) / sum(exp(scores)); the subtraction keeps the numbers small.
            best = 1 / (scores - best).exp_().sum(dim=0)
        elif activation == "sigmoid":
            best = best.sigmoid_()
        elif activation == "exp":
            best = best.exp_()
        least = self._thresholds.index_select(0, numbers.flatten()).view(numbers.shape)
        return torch.where(best >= least, numbers, params.background)

    def _finished(self, numbers: torch.Tensor) -> torch.Tensor:
        """Drop the classes that are not kept, and what the model has not seen; uint8 [height, width]."""
        # Faster than indexing with brackets.
        classes = self._kept.index_select(0, numbers.flatten()).view(numbers.shape)
        return classes if self._outside is None else classes.masked_fill(self._outside, NO_CLASS)
