"""Record the work of a batch on a GPU as one CUDA graph: that of a stage, or of several stages in a row.

Python then launches two kernels for a batch instead of hundreds: a copy of the inputs, and the graph.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

import torch

from bmfgraph import error_codes as codes
from bmfgraph.engines.runtimes.capture import captured
from bmfgraph.errors import Problem, first_line
from bmfgraph.stages.base import Stage
from bmfgraph.stages.items import Frame, Sample

__all__ = ["Recording", "TensorStage", "for_each"]

Tensors = dict[str, torch.Tensor]
Group = tuple[Frame, ...]


def for_each(function: Callable[..., torch.Tensor], *tensors: torch.Tensor) -> torch.Tensor:
    """Return the results of a function for each entry of the first dim, joined along a new first dim.

    Args:
        function: A function of tensors whose operations do not depend on their values.
        tensors: Arguments with the same first dim.
    """
    if len(tensors[0]) == 1:
        return function(*(tensor[0] for tensor in tensors))[None]
    return torch.vmap(function)(*tensors)


class TensorStage(Stage):
    """A stage whose work is a function of tensors, so that a :class:`Recording` can run it for a whole batch.

    A subclass defines :meth:`compute`, and :meth:`tensors_of` and :meth:`items_of` where its items are not Samples.

    Attributes:
        counts_rows: Whether the first dim of what ``tensors_of`` returns counts rows. If not, each tensor is one row
            and lacks that dim, which saves a view of each frame.
    """

    counts_rows: ClassVar[bool] = True

    @property
    def recordable(self) -> bool:
        """Whether all tensors have the same shapes for each frame; read after ``open``."""
        return True

    def process(self, *items: Any) -> Iterable[Any]:
        return self.items_of([_group(items[0])], self.compute(self.joined([self.tensors_of(*items)]), 1))

    def joined(self, parts: Sequence[Tensors]) -> Tensors:
        """Join what :meth:`tensors_of` returned for each frame along the first dim."""
        if len(parts) == 1:
            return parts[0] if self.counts_rows else {name: tensor[None] for name, tensor in parts[0].items()}
        join = torch.cat if self.counts_rows else torch.stack
        return {name: join([part[name] for part in parts]) for name in parts[0]}

    def tensors_of(self, *items: Any) -> Tensors:
        """Return the tensors of one frame or window.

        Args:
            items: An item from each input.
        """
        tensors: Tensors = items[0].tensors
        return tensors

    def compute(self, tensors: Tensors, count: int) -> Tensors:
        """Enqueue the work for a batch, without reading values on the CPU.

        Args:
            tensors: What :meth:`joined` returned, or the result of the stage before.
            count: Number of frames or windows.

        Returns:
            New tensors, whose first dim is a multiple of ``count``. A recording reuses them for the next batch.
        """
        raise NotImplementedError(f"{type(self).__name__}.compute")

    def items_of(self, groups: Sequence[Group], tensors: Tensors) -> Iterable[Any]:
        """Return the items of a batch.

        Args:
            groups: The frames that each entry of the batch stands for.
            tensors: The result of :meth:`compute`.
        """
        if len(groups) == 1:
            return [Sample(tensors, groups[0])]
        parts = {name: tensor.chunk(len(groups)) for name, tensor in tensors.items()}
        return [
            Sample({name: rows[number] for name, rows in parts.items()}, group) for number, group in enumerate(groups)
        ]


def _group(item: Frame | Sample) -> Group:
    return item.frames if isinstance(item, Sample) else (item,)


class Recording(Stage):
    """Run several stages in a row for a whole batch: their kernels are captured once, and replayed for each batch.

    A batch that is not full is computed without the graph.

    Args:
        stages: The stages, opened, on the GPU.

    Attributes:
        marks: Clock at the start of the last batch, after the copy of its inputs, after the launch of the graph, and
            after the items were made.
    """

    device = "cuda"

    def __init__(self, stages: Sequence[TensorStage]) -> None:
        super().__init__(stages[0].name, None)
        self.stages = tuple(stages)
        self.batch = stages[0].batch
        self.marks = (0.0,) * 4
        self._is_recorded = True
        self._graph: torch.cuda.CUDAGraph | None = None
        self._slots: dict[str, list[torch.Tensor]] = {}
        """For each input, its part of every frame."""
        self._outputs: Tensors = {}

    def process_batch(self, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        begun = time.perf_counter()
        groups = [_group(row[0]) for row in rows]
        parts = [self.stages[0].tensors_of(*row) for row in rows]
        is_full = len(rows) == self.batch
        if is_full and self._is_recorded and self._graph is None:
            self._record(parts)
        if not is_full or self._graph is None:
            tensors = self.stages[0].joined(parts)
            copied = time.perf_counter()
            tensors = self._computed(tensors, len(rows))
        else:
            for name, slots in self._slots.items():
                torch._foreach_copy_(slots, [part[name] for part in parts])
            copied = time.perf_counter()
            self._graph.replay()
            tensors = {name: tensor.clone() for name, tensor in self._outputs.items()}
        launched = time.perf_counter()
        items = list(self.stages[-1].items_of(groups, tensors))
        self.marks = (begun, copied, launched, time.perf_counter())
        return items

    def finish(self) -> Iterator[Any]:
        for stage in self.stages:
            yield from stage.finish()

    def _computed(self, tensors: Tensors, count: int) -> Tensors:
        for stage in self.stages:
            tensors = stage.compute(tensors, count)
        return tensors

    def _record(self, parts: Sequence[Tensors]) -> None:
        """Capture the graph, whose inputs have the layout in memory of the first batch's."""
        counts_rows = self.stages[0].counts_rows
        inputs = {
            name: _room_for(tensor if counts_rows else tensor[None], self.batch) for name, tensor in parts[0].items()
        }
        for name, tensor in parts[0].items():
            self._slots[name] = list(inputs[name].split(len(tensor)) if counts_rows else inputs[name].unbind())
            torch._foreach_copy_(self._slots[name], [part[name] for part in parts])
        try:
            self._graph, self._outputs = captured(lambda: self._computed(dict(inputs), self.batch))
        except Exception as error:
            self._is_recorded = False
            self._slots = {}
            names = ", ".join(stage.name for stage in self.stages)
            self.stages[-1].warn(
                Problem(
                    "",
                    f"the work of {names} cannot be recorded as a CUDA graph ({first_line(error)})",
                    codes.UNRECORDED_GRAPH,
                    "set engine.cuda_graph=false; each kernel is launched by itself, which is slower",
                )
            )


def _room_for(tensor: torch.Tensor, count: int) -> torch.Tensor:
    """Return an empty tensor of ``count`` times as many rows, each in the layout of the given ones."""
    shape = (count * len(tensor), *tensor.shape[1:])
    row = tensor[0]
    if sum((size - 1) * step for size, step in zip(row.shape, row.stride(), strict=True)) + 1 != row.numel():
        return tensor.new_empty(shape)
    return torch.empty_strided(shape, (row.numel(), *row.stride()), dtype=tensor.dtype, device=tensor.device)
