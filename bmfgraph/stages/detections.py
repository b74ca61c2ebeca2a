"""Run the node kind ``detections``: decode a detector's output tensors to objects in pixels of the source frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bmfgraph.nodes.detections import DetectionsParams
from bmfgraph.plan.types import Placement
from bmfgraph.stages.boxes import BoxReader, above, best
from bmfgraph.stages.cuda import AsyncDownload, constant
from bmfgraph.stages.detections_check import DetectionsCheck
from bmfgraph.stages.items import Frame, Sample
from bmfgraph.stages.keypoints import points_in_source
from bmfgraph.stages.masks import masks_of_boxes, masks_of_prototypes
from bmfgraph.stages.nms import non_maximum_suppression, suppress_at_once
from bmfgraph.stages.recording import TensorStage, for_each
from bmfgraph.stages.results import Detections, Masks
from bmfgraph.stages.rotated import rotated_in_source
from bmfgraph.stages.tiled_detections import TiledReader

__all__ = ["Detect"]

_CANDIDATES = 512
"""Candidates that are decoded on the GPU at least, where their number must be fixed."""
_MOST_CANDIDATES = 2048
"""Candidates that are decoded there at most, because each is compared with each; the CPU does the others."""
_COLUMNS = 9
"""Columns of the table before those of the extras."""
_TABLE = "\0table"
"""Name of the table beside the model's outputs."""
_LACKING = slice(0)
"""Rows of a frame whose table does not have all objects."""

Tensors = dict[str, torch.Tensor]


class Detect(TensorStage):
    """Convert each Sample of a detector's outputs to the Detections of its frame."""

    params: DetectionsParams

    def open(self) -> None:
        self._download: AsyncDownload[list[Detections]] = AsyncDownload(self.batch)
        reader = BoxReader(self.params)
        self._reader = TiledReader(self.params, reader) if self.params.tiling else reader
        self._check = DetectionsCheck(self.params, reader, self.warn)
        self._names = tuple(table.tensor for table in self.params.tensors)
        masks = self.params.masks
        if masks is not None and masks.form == "boxes":
            self._names = (*self._names, masks.tensor.tensor)
        self._prototypes = (masks.tensor.tensor,) if masks is not None and masks.form == "prototypes" else ()
        # Labels that are not kept have a threshold above 1, which numbers that are no probabilities may pass.
        limits = tuple(least if least <= 1 else math.inf for least in self.params.thresholds)
        self._thresholds, self._limits = np.array(limits, np.float32), limits
        self._least = min(self.params.thresholds)
        self._most = min(max(_CANDIDATES, self.params.most), _MOST_CANDIDATES)

    def process(self, *items: Any) -> Iterable[Detections]:
        if self.device == "cuda":
            return super().process(*items)
        sample: Sample = items[0]
        self._check.frames += 1
        outputs = self._outputs_of(sample.tensors)
        self._check.look(self._named(self._whole(outputs)))
        return (self._exact(sample.frames[0], outputs, self._prototypes_of(sample.tensors)),)

    def compute(self, tensors: Tensors, count: int) -> Tensors:
        """Return the outputs, and the table of each frame's best candidates, so that the GPU is not waited for."""
        outputs = [tensors[name].unflatten(0, (count, -1)) for name in self._names]
        if self.params.tiling:
            table = torch.stack([self._table(*(output[frame] for output in outputs)) for frame in range(count)])
        else:
            table = for_each(self._table, *(output[:, 0] for output in outputs))
        needed = (*self._names, *self._prototypes)
        return {name: tensors[name] for name in needed} | {_TABLE: table}

    def items_of(self, groups: Sequence[tuple[Frame, ...]], tensors: Tensors) -> Iterable[Detections]:
        self._check.frames += len(groups)
        # Prototypes take less room than masks of as many objects as there may be, so the CPU combines them.
        names = [_TABLE, *self._prototypes, *(self._names if self._check.looks else ())]
        copied = [tensors[name] for name in names]
        return chain.from_iterable(
            self._download.put(
                copied, lambda copies: self._downloaded(groups, tensors, dict(zip(names, copies, strict=True)))
            )
        )

    def finish(self) -> Iterable[Detections]:
        yield from chain.from_iterable(self._download.drain())
        self._check.finish()

    def _outputs_of(self, tensors: Tensors) -> list[torch.Tensor]:
        """Return the outputs that hold objects, for one frame: with a row for each tile, or without that dim."""
        outputs = [tensors[name] for name in self._names]
        return outputs if self.params.tiling else [output[0] for output in outputs]

    def _prototypes_of(self, tensors: Tensors) -> list[torch.Tensor]:
        return [tensors[name][0] for name in self._prototypes]

    def _named(self, outputs: Sequence[torch.Tensor]) -> Tensors:
        return dict(zip(self._names, outputs, strict=True))

    def _whole(self, outputs: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the outputs of one picture that the model has read: the frame, or the tile in its middle."""
        return [output[len(output) // 2] for output in outputs] if self.params.tiling else outputs

    def _downloaded(self, groups: Sequence[tuple[Frame, ...]], tensors: Tensors, copies: Tensors) -> list[Detections]:
        """Return the detections of a batch.

        Args:
            groups: The frame of each entry.
            tensors: The model's outputs on the GPU.
            copies: On the CPU: the table, the prototypes, and the outputs where the check looks at them.
        """
        count, frames = len(groups), [frame for frame, *_ in groups]
        if self._check.looks and self._names[0] in copies:
            for own in _by_frame(copies, self._names, count):
                self._check.look(self._named(self._whole(self._outputs_of(own))))
        prototypes = [self._prototypes_of(own) for own in _by_frame(copies, self._prototypes, count)]
        # For a few numbers, NumPy takes a fraction of torch's time, and for all frames at once a fraction of its own.
        spans, rows = self._read(copies[_TABLE].numpy())
        labels = rows[:, 5].astype(np.int64)
        results = self._detections(frames, spans, rows[:, :4], rows[:, 4], labels, rows[:, _COLUMNS:], prototypes)
        for number, span in enumerate(spans):
            if span is _LACKING:
                whole = _by_frame(tensors, self._names, count)[number]
                results[number] = self._exact(frames[number], self._outputs_of(whole), prototypes[number])
        return results

    def _exact(self, frame: Frame, outputs: Sequence[torch.Tensor], prototypes: Sequence[torch.Tensor]) -> Detections:
        """Decode all candidates above the threshold, on any device; on the GPU this waits."""
        select = self._check.noting(above(self._least))
        candidates = self._reader.candidates(self._named(outputs), select)
        boxes, scores, labels, extras = (tensor.cpu().numpy() for tensor in candidates)
        # A box that is no number would pass for an object that overlaps nothing.
        valid = np.flatnonzero((scores > self._thresholds[labels]) & np.isfinite(boxes).all(axis=1))
        boxes, scores, labels, extras = boxes[valid], scores[valid], labels[valid], extras[valid]
        if self.params.nms == "none":
            kept = np.argsort(-scores, kind="stable")
        else:
            groups = labels if self.params.nms == "per_class" else np.zeros_like(labels)
            angles = extras[:, 0] if self.params.rotated else None
            kept = non_maximum_suppression(boxes, scores, groups, self.params.iou, angles)
        kept = kept[: self.params.most]
        rows = boxes[kept], scores[kept], labels[kept], extras[kept]
        (result,) = self._detections([frame], [slice(None)], *rows, [prototypes])
        return result

    def _table(self, *outputs: torch.Tensor) -> torch.Tensor:
        """Decode the best candidates without a wait.

        Returns float32 [candidates, 9 + extras], by falling score: 4 corners in the model's input, score, label, and as
        0 or 1: kept by the suppression, above the least threshold, suppression final; then the extras.
        """
        boxes, scores, labels, extras = self._reader.candidates(self._named(outputs), best(self._most))
        kept = valid = scores > constant(self._limits, scores.device)[labels]
        final = torch.ones((), dtype=torch.bool, device=scores.device)
        if self.params.nms != "none":
            groups = labels if self.params.nms == "per_class" else torch.zeros_like(labels)
            angles = extras[:, 0] if self.params.rotated else None
            kept, final = suppress_at_once(boxes, groups, valid, self.params.iou, angles)
        columns = (
            scores,
            labels.float(),
            kept.float(),
            # The scores of boxes that a tile has cut are negative.
            (scores.abs() > self._least).float(),
            final.float().expand_as(scores),
        )
        return torch.cat([boxes, torch.stack(columns, dim=1), extras], dim=1)

    def _read(self, tables: NDArray[np.float32]) -> tuple[list[slice], NDArray[np.float32]]:
        """Return which rows belong to each frame, and the rows of the objects of all frames.

        Args:
            tables: Copies of the frames' tables, [frames, candidates, columns].

        Returns:
            For each frame its rows, or the object ``_LACKING``: then the outputs must be decoded again.
        """
        if not tables.shape[1]:
            return [slice(0)] * len(tables), tables.reshape(0, tables.shape[2])
        # fmax ignores NaN, so a wrong score of one frame does not hide those of the others.
        self._check.note(float(np.fmax.reduce(tables[:, 0, 4])), above_threshold=bool(tables[:, 0, 7].any()))
        # A chain of overlaps is longer than the rounds of the suppression, or the table is too short.
        lacks = (tables[:, 0, 8] == 0) | ((tables.shape[1] == self._most) & (tables[:, -1, 7] > 0))
        frames, places = np.nonzero(tables[:, :, 6] > 0)
        rows = tables[frames, places]
        finite = np.isfinite(rows[:, :4]).all(axis=1)
        frames, rows = frames[finite], rows[finite]
        ends = np.searchsorted(frames, range(len(tables) + 1)).tolist()
        spans = [
            _LACKING if lack else slice(start, min(end, start + self.params.most))
            for lack, start, end in zip(lacks.tolist(), ends, ends[1:], strict=False)
        ]
        return spans, rows

    def _detections(
        self,
        frames: Sequence[Frame],
        spans: Sequence[slice],
        boxes: NDArray[np.float32],
        scores: NDArray[np.float32],
        labels: NDArray[np.int64],
        extras: NDArray[np.float32],
        prototypes: Sequence[Sequence[torch.Tensor]],
    ) -> list[Detections]:
        """Convert the objects that are kept from the model's input to the source frames.

        Args:
            frames: The frames.
            spans: The rows of each frame's objects.
            boxes: Corners in the model's input; like the next ones, for the objects of all frames.
            scores: Scores.
            labels: Numbers of the labels.
            extras: Columns of the reader's extras.
            prototypes: The prototypes of each frame, if the model has such an output.
        """
        place, columns = self.params.placement, self._reader.columns
        angles = points = None
        if "angle" in columns:
            corners, angles = rotated_in_source(boxes, extras[:, columns["angle"]][:, 0], place)
        else:
            corners = _in_source(boxes, place)
        if "keypoints" in columns:
            values = extras[:, columns["keypoints"]]
            points = points_in_source(values.reshape(-1, values.shape[1] // 3, 3), place)
        embeddings = extras[:, columns["embedding"]] if "embedding" in columns else None
        return [
            Detections(
                frame,
                corners[span],
                scores[span],
                labels[span],
                self.params.labels,
                angles=None if angles is None else angles[span],
                keypoints=None if points is None else points[span],
                masks=self._masks(extras[span, columns["mask"]], *planes) if "mask" in columns else None,
                embeddings=None if embeddings is None else embeddings[span],
            )
            for frame, span, planes in zip(frames, spans, prototypes, strict=True)
        ]

    def _masks(self, values: NDArray[np.float32], prototypes: torch.Tensor | None = None) -> Masks:
        """Return the masks of the objects from their weights, or from their own values."""
        masks = self.params.masks
        assert masks is not None
        if prototypes is None:
            return masks_of_boxes(values, masks, self.params.placement)
        return masks_of_prototypes(values, prototypes, masks, self.params.input_placement)


def _by_frame(tensors: Tensors, names: Sequence[str], count: int) -> list[Tensors]:
    """Return the tensors of each frame of a batch."""
    parts = {name: tensors[name].chunk(count) for name in names}
    return [{name: part[number] for name, part in parts.items()} for number in range(count)]


def _in_source(boxes: NDArray[np.float32], place: Placement) -> NDArray[np.float32]:
    """Convert corners in the model's input to corners in the source frame, clamped to the frame."""
    offset = np.array((place.left, place.top) * 2, np.float32)
    scale = np.array((place.scale_x, place.scale_y) * 2, np.float32)
    limit = np.array((place.source_width, place.source_height) * 2, np.float32)
    corners: NDArray[np.float32] = ((boxes - offset) / scale).clip(0, limit)
    return corners
