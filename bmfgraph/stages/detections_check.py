"""Check what the node kind ``detections`` reads: the first frames for a wrong config, the whole run for emptiness."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from bmfgraph import error_codes as codes
from bmfgraph.errors import Problem
from bmfgraph.nodes.detections import DetectionsParams
from bmfgraph.stages.boxes import BoxReader, Select, best
from bmfgraph.stages.sanity import check_boxes, check_labels, check_scores

__all__ = ["DetectionsCheck"]

_FRAMES = 30
"""First frames that are looked at, until one has a candidate."""
_BEST = 100
"""Candidates whose boxes and labels are looked at."""
_NEAR = 0.4
"""Share of the threshold from which the best score of a run without detections is worth a warning."""


class DetectionsCheck:
    """Look for signs of a wrong config, and warn.

    Args:
        params: The node's settings.
        reader: Decodes the outputs.
        warn: Takes the warnings.

    Attributes:
        frames: Number of frames that were read.
    """

    def __init__(self, params: DetectionsParams, reader: BoxReader, warn: Callable[[Problem], None]) -> None:
        self._params, self._reader, self._warn = params, reader, warn
        self._remaining = _FRAMES
        self.frames = 0
        self._best_score = 0.0
        self._is_empty = True

    @property
    def looks(self) -> bool:
        """Whether it still looks at outputs."""
        return self._remaining > 0

    def look(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Look at the outputs of one of the first frames.

        Args:
            tensors: The outputs by name, on the CPU, without the batch dim.
        """
        if not self.looks:
            return
        self._remaining -= 1
        params = self._params
        problems = []
        for role in ("scores", "score"):
            if place := self._reader.field(role):
                output, field = place
                problems += check_scores(
                    self._reader.before_activation(tensors, role).numpy(),
                    activation=field.activation,
                    output=output,
                    inputs=params.inputs,
                    background=params.background if role == "scores" else "none",
                )
        if all(problem.code != codes.MEANINGLESS_SCORES for problem in problems):
            problems += self._candidate_problems(tensors)
        if problems:
            self._remaining = 0
        for problem in problems:
            self._warn(problem)

    def _candidate_problems(self, tensors: Mapping[str, torch.Tensor]) -> list[Problem]:
        """Look at the boxes and labels of the best candidates, if there are any."""
        params, numbers = self._params, torch.empty(0, dtype=torch.int64)

        def best_ones(scores: torch.Tensor) -> torch.Tensor:
            nonlocal numbers
            numbers = best(_BEST)(scores)
            # A model that pads its outputs gives a score of 0 to the rows that hold no candidate.
            numbers = numbers[scores[numbers] > 0]
            return numbers

        corners, scores, *_ = self._reader.candidates(tensors, best_ones)
        if not len(scores):
            return []
        self._remaining = 0
        size = (params.placement.width, params.placement.height)
        problems = check_boxes(corners.numpy(), size, unit=params.unit, form=params.box)
        if self._reader.field("label") is not None:
            labels = self._reader.before_activation(tensors, "label")[numbers, 0].numpy()
            problems += check_labels(labels, len(params.labels), first_label=params.first_label)
        return problems

    def noting(self, select: Select) -> Select:
        """Return the selection that also notes the best score, as long as nothing was selected in any frame."""

        def noted(scores: torch.Tensor) -> torch.Tensor:
            chosen = select(scores)
            if self._is_empty:
                found = len(chosen) > 0
                self.note(float(scores.amax()) if len(scores) and not found else 0.0, above_threshold=found)
            return chosen

        return noted

    def note(self, score: float, *, above_threshold: bool) -> None:
        """Note the best score of a frame, and whether it is above the least threshold."""
        self._is_empty = self._is_empty and not above_threshold
        self._best_score = max(self._best_score, score)

    def finish(self) -> None:
        """Warn if the run has detected nothing, although the best score was not far below the threshold."""
        least = min(self._params.thresholds)
        if self._is_empty and self.frames and self._best_score > _NEAR * least:
            self._warn(
                Problem(
                    "",
                    f"nothing was detected in {self.frames} frame(s): the best score was {self._best_score:.2g}",
                    codes.NOTHING_DETECTED,
                    f"lower model.decode.threshold, which is {least:g}, if the frames show objects",
                )
            )
