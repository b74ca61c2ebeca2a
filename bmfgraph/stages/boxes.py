"""Read candidates from the output tensors of a detector: boxes, scores, labels, and what else belongs to each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

from bmfgraph.nodes.detections import DetectionsParams
from bmfgraph.nodes.fields import OutputField, TensorFields
from bmfgraph.stages.activations import ACTIVATIONS
from bmfgraph.stages.cuda import constant
from bmfgraph.stages.keypoints import read_points

__all__ = ["BoxReader", "Candidates", "Select", "above", "best"]


class Candidates(NamedTuple):
    """Candidates of one set of outputs, in pixels of the model's input."""

    boxes: torch.Tensor
    """Corners, float32 [n, 4]; where boxes are rotated, before the turn about their centres."""
    scores: torch.Tensor
    """float32 [n]."""
    labels: torch.Tensor
    """int64 [n]."""
    extras: torch.Tensor
    """Everything else, float32 [n, m]; :attr:`BoxReader.columns` says where what is."""


Select = Callable[[torch.Tensor], torch.Tensor]
"""From the scores of all candidates, float32 [n], to the indices of those that are decoded, int64 [m]."""


def above(threshold: float) -> Select:
    """Select the candidates with a score above the threshold, in their own order."""
    return lambda scores: (scores > threshold).nonzero()[:, 0]


def best(count: int) -> Select:
    """Select the ``count`` candidates with the best scores, by falling score; their number does not depend on data."""
    return lambda scores: scores.topk(min(count, len(scores))).indices


class BoxReader:
    """Decode the outputs of a detector, with a number of tensor operations that does not depend on their values.

    The scores of all candidates are read first. Only the candidates that are selected are decoded further.

    Args:
        params: The fields of each output, the form of the boxes, and the grid.
    """

    def __init__(self, params: DetectionsParams) -> None:
        self._params = params
        self._places: dict[str, list[tuple[TensorFields, OutputField]]] = {}
        for table in params.tensors:
            for field in table.fields:
                self._places.setdefault(field.role, []).append((table, field))
        self._cells: dict[torch.device, torch.Tensor] = {}
        self.columns = self._columns()

    def _columns(self) -> dict[str, slice]:
        """Return the columns of the extras of a candidate: angle, keypoints, mask, embedding."""
        params, masks = self._params, self._params.masks
        widths = {role: places[0][1].width for role, places in self._places.items()}
        widths["keypoints"] = params.keypoints.count * 3 if params.keypoints else 0
        if masks is None:
            widths["mask"] = 0
        elif masks.form == "boxes":
            widths["mask"] = math.prod(size or 0 for size in masks.tensor.sizes[1:])
        start, columns_of = 0, {}
        for role in ("angle", "keypoints", "mask", "embedding"):
            if width := widths.get(role, 0):
                columns_of[role] = slice(start, start + width)
                start += width
        return columns_of

    def candidates(self, tensors: Mapping[str, torch.Tensor], select: Select) -> Candidates:
        """Decode the selected candidates.

        Args:
            tensors: Outputs of the model by name, without the batch dim.
            select: Selection by the scores.
        """
        present = self._places.keys()
        if "scores" in present:
            scores, chosen, labels = self._from_scores(tensors, select)
        else:
            scores = self._with_objectness(tensors, self._values(tensors, "score")[:, 0])
            chosen = select(scores)
            labels = torch.zeros_like(chosen)
            if "label" in present:
                labels = self._values(tensors, "label")[chosen, 0].round().long() - self._params.first_label
                labels = labels.clamp(0, len(self._params.labels) - 1)
        boxes = self._boxes(tensors, chosen)
        return Candidates(boxes, scores[chosen], labels, self._extras(tensors, chosen, boxes))

    def _extras(self, tensors: Mapping[str, torch.Tensor], chosen: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        """Return what the selected candidates have besides boxes, float32 [n, m]."""
        parts, params = [boxes[:, :0]], self._params
        for role in self.columns:
            if role == "keypoints" and params.keypoints is not None:
                cells = self._grid(chosen.device)[chosen] if params.keypoints.unit == "cells" else None
                score = ACTIVATIONS[self._places[role][0][1].activation]
                parts.append(read_points(self.before_activation(tensors, role)[chosen], score, params, boxes, cells))
            elif role == "mask" and params.masks is not None and params.masks.form == "boxes":
                masks = params.masks.tensor
                grids = tensors[masks.tensor].permute(masks.axes).flatten(-2).flatten(0, -2)
                parts.append(grids[chosen].float())
            else:
                parts.append(self._values(tensors, role, chosen))
        return torch.cat(parts, dim=1)

    def field(self, role: str) -> tuple[str, OutputField] | None:
        """Return the output that holds the field with that role, and the field; None if there is none."""
        places = self._places.get(role)
        return (places[0][0].tensor, places[0][1]) if places else None

    def _from_scores(
        self, tensors: Mapping[str, torch.Tensor], select: Select
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the best score of each candidate, the selection, and the labels of the selected candidates."""
        activation = self._places["scores"][0][1].activation
        table = self.before_activation(tensors, "scores")
        if activation == "softmax":
            table = table.softmax(dim=1)
        if self._params.background == "first":
            table = table[:, 1:]
        elif self._params.background == "last":
            table = table[:, :-1]
        scores = table.amax(dim=1)
        if activation != "softmax":
            # The other functions rise, so the best number stays the best.
            scores = ACTIVATIONS[activation](scores)
        scores = self._with_objectness(tensors, scores)
        chosen = select(scores)
        return scores, chosen, table[chosen].argmax(dim=1)

    def _with_objectness(self, tensors: Mapping[str, torch.Tensor], scores: torch.Tensor) -> torch.Tensor:
        if "objectness" in self._places:
            scores = scores * self._values(tensors, "objectness")[:, 0]
        if "count" in self._places:
            # Rows beyond the count hold no object.
            count = self._values(tensors, "count").flatten()[0]
            scores = torch.where(torch.arange(len(scores), device=scores.device) < count, scores, 0.0)
        return scores

    def _boxes(self, tensors: Mapping[str, torch.Tensor], chosen: torch.Tensor) -> torch.Tensor:
        """Return the corners of the selected candidates in pixels of the model's input."""
        params, device = self._params, chosen.device
        numbers = self._numbers(tensors, chosen)
        if params.grid is not None and params.unit == "cells":
            cells = self._grid(device)[chosen]
            origin, stride = cells[:, :2], cells[:, 2:]
            if params.box == "ltrb":
                return torch.cat([origin - numbers[:, :2], origin + numbers[:, 2:]], dim=1) * stride
            if params.box == "cxcywh":
                size = numbers[:, 2:].exp() if params.grid.exp else numbers[:, 2:]
                numbers = torch.cat([origin + numbers[:, :2], size], dim=1)
            return _corners(numbers, params.box) * stride
        if params.grid is not None and params.box == "ltrb":
            cells = self._grid(device)[chosen]
            origin = cells[:, :2] * cells[:, 2:]
            return torch.cat([origin - numbers[:, :2], origin + numbers[:, 2:]], dim=1)
        corners = _corners(numbers, params.box)
        if params.unit == "picture":
            corners = corners * constant((float(params.placement.width), float(params.placement.height)) * 2, device)
        return corners

    def _numbers(self, tensors: Mapping[str, torch.Tensor], chosen: torch.Tensor) -> torch.Tensor:
        """Return the four numbers of the selected boxes, float32 [n, 4]."""
        if "distances" in self._places:
            # The expectation over the bins of each side: Li et al., Generalized Focal Loss (2020).
            table = self.before_activation(tensors, "distances")[chosen]
            bins: torch.Tensor = table.unflatten(1, (4, -1)).softmax(dim=2)
            return bins @ constant(tuple(map(float, range(bins.shape[2]))), chosen.device)
        if "box" in self._places:
            return self._values(tensors, "box", chosen)
        return torch.cat([self._values(tensors, role, chosen) for role in ("cx", "cy", "w", "h")], dim=1)

    def _grid(self, device: torch.device) -> torch.Tensor:
        """Return the origin of each candidate in cells, x then y, and its stride, float32 [candidates, 3]."""
        if device not in self._cells:
            assert self._params.grid is not None
            levels = []
            for stride, rows, columns in self._params.grid.levels:
                y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
                levels.append(torch.stack([x.flatten(), y.flatten(), torch.full((rows * columns,), stride)], dim=1))
            grid = self._params.grid
            cells = torch.cat(levels).repeat_interleave(grid.anchors, dim=0).float()
            cells[:, :2] += grid.centre
            self._cells[device] = cells.to(device)
        return self._cells[device]

    def before_activation(self, tensors: Mapping[str, torch.Tensor], role: str) -> torch.Tensor:
        """Return the numbers of a field of all candidates before its activation, float32 [n, width]."""
        parts = []
        for table, field in self._places[role]:
            rows = tensors[table.tensor].permute(table.axes)
            rows = rows.reshape(-1, rows.shape[-1] if table.has_fields else 1)
            parts.append(rows[:, field.start : field.start + field.width])
        return (parts[0] if len(parts) == 1 else torch.cat(parts)).float()

    def _values(
        self, tensors: Mapping[str, torch.Tensor], role: str, chosen: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the numbers of a field, of all or of the selected candidates."""
        table = self.before_activation(tensors, role)
        activation = self._places[role][0][1].activation
        return ACTIVATIONS[activation](table if chosen is None else table[chosen])


def _corners(numbers: torch.Tensor, form: str) -> torch.Tensor:
    """Convert boxes to left, top, right and bottom edges."""
    first, second = numbers[:, :2], numbers[:, 2:]
    if form == "cxcywh":
        return torch.cat([first - second / 2, first + second / 2], dim=1)
    if form == "xywh":
        return torch.cat([first, first + second], dim=1)
    if form == "yxyx":
        # A list of indices would be copied to the GPU, which the capture of a graph does not allow.
        return torch.cat([first.flip(1), second.flip(1)], dim=1)
    return numbers
