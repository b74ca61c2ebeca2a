"""Run the node kind ``inference``: join the rows of samples to batches, run the engine, and split its outputs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from bmfgraph.engines.runtimes import Pending, load_engine
from bmfgraph.nodes.engine import reason_text
from bmfgraph.nodes.inference import InferenceParams
from bmfgraph.stages.items import Frame, Sample
from bmfgraph.stages.recording import TensorStage

__all__ = ["Infer"]

Tensors = dict[str, torch.Tensor]


class _Job:
    """A sample whose rows are on their way through the engine.

    Args:
        inputs: The model's inputs by name; the first dim of each counts the rows.
        frames: Frames that the sample stands for.
    """

    __slots__ = ("begun", "ended", "frames", "inputs", "outputs", "rows")

    def __init__(self, inputs: Tensors, frames: tuple[Frame, ...]) -> None:
        self.inputs = inputs
        self.frames = frames
        self.rows = next(iter(inputs.values())).shape[0]
        self.begun = 0
        self.ended = 0
        self.outputs: Tensors = {}

    def take(self, count: int) -> Tensors:
        """Return the inputs of the next rows."""
        first, self.begun = self.begun, self.begun + count
        inputs = self.inputs
        if self.begun == self.rows:
            # The outputs of other rows may take their time.
            self.inputs = {}
        if count == self.rows:
            return inputs
        return {name: tensor[first : self.begun] for name, tensor in inputs.items()}

    def put(self, outputs: Tensors, count: int) -> None:
        """Add the outputs of the next ``count`` rows."""
        first, self.ended = self.ended, self.ended + count
        if count == self.rows:
            self.outputs = outputs
            return
        for name, tensor in outputs.items():
            if first == 0:
                # One tensor for all rows, so that the outputs of a batch are free once they are copied.
                self.outputs[name] = tensor.new_empty((self.rows, *tensor.shape[1:]))
            self.outputs[name][first : self.ended] = tensor


class Infer(TensorStage):
    """Run one engine on the rows of samples.

    A batch is filled across the rows of a sample and across samples. A sample leaves when all its rows are done.

    An engine with several streams runs as many inferences at once. The result of one is returned when that many have
    begun. A recording runs all inferences of its batch as one piece of work.
    """

    params: InferenceParams

    def open(self) -> None:
        assert self.params.engine is not None
        self._engine = load_engine(self.name, self.params.engine)
        fed = {feed.name for feed in self.params.feeds}
        self._names = [name for name, _ in self.params.inputs if name not in fed]
        self._fed: dict[int, Tensors] = {}
        self._waiting: deque[_Job] = deque()
        """Samples with rows that are not begun."""
        self._rows = 0
        """Number of those rows."""
        self._jobs: deque[_Job] = deque()
        """Samples that have not left."""
        self._running: deque[tuple[Pending, int, list[tuple[_Job, int]]]] = deque()

    @property
    def engine_description(self) -> str:
        """Runtime that runs the model, for the user and the report."""
        engine = self.params.engine
        reason = reason_text(engine.reason, engine.precision) if engine else ""
        return self._engine.description + (f" ({reason})" if reason else "")

    @property
    def recordable(self) -> bool:
        """Whether the inferences of a batch can be recorded: they use one stream, and fill the engine's batches."""
        engine = self.params.engine
        assert engine is not None
        return engine.cuda_graph and engine.streams == 1 and self.batch % engine.batch == 0

    def tensors_of(self, *items: Any) -> Tensors:
        return {name: _input_tensor(sample.tensors, name) for name, sample in zip(self._names, items, strict=True)}

    def compute(self, tensors: Tensors, count: int) -> Tensors:
        named = {name: _input_tensor(tensors, name) for name in self._names}
        rows, batch = len(named[self._names[0]]), self.params.batch
        results: list[Tensors] = []
        for start in range(0, rows, batch):
            inputs = {name: tensor[start : start + batch] for name, tensor in named.items()}
            results.append(self._ended(*self._begun([inputs], min(batch, rows - start))))
        if len(results) == 1:
            return results[0]
        return {name: torch.cat([result[name] for result in results]) for name in results[0]}

    def process(self, *items: Any) -> Iterable[Sample]:
        tensors, batch = self.tensors_of(*items), self.params.batch
        if not self._jobs and self._engine.streams == 1 and len(tensors[self._names[0]]) == batch:
            # A sample that is a whole batch waits for no other one.
            yield Sample(self._ended(*self._begun([tensors], batch)), items[0].frames)
            return
        job = _Job(tensors, items[0].frames)
        self._waiting.append(job)
        self._jobs.append(job)
        self._rows += job.rows
        while self._rows >= batch:
            self._begin()
            while len(self._running) >= self._engine.streams:
                yield from self._end()

    def finish(self) -> Iterable[Sample]:
        if self._rows:
            self._begin()
        while self._running:
            yield from self._end()

    def _begin(self) -> None:
        """Begin the inference of the next rows, as many as a batch holds."""
        shares: list[tuple[_Job, int]] = []
        parts: list[Tensors] = []
        count = 0
        while self._waiting and count < self.params.batch:
            job = self._waiting[0]
            share = min(job.rows - job.begun, self.params.batch - count)
            shares.append((job, share))
            parts.append(job.take(share))
            count += share
            if job.begun == job.rows:
                self._waiting.popleft()
        self._rows -= count
        self._running.append((*self._begun(parts, count)[:2], shares))

    def _begun(self, parts: list[Tensors], count: int) -> tuple[Pending, int, int]:
        """Begin one inference of ``count`` rows; return it with the size of its batch, and the rows."""
        # Pad the batch to the model's fixed, or the engine's minimum, batch size.
        size = max(count, self.params.batch if self.params.fixed_batch else self._engine.minimum_batch)
        inputs = parts[0]
        if size > count or len(parts) > 1:
            padding = [{name: tensor[-1:] for name, tensor in parts[-1].items()}] * (size - count)
            inputs = {name: torch.cat([part[name] for part in (*parts, *padding)]) for name in self._names}
        return self._engine.begin(inputs | self._feeds(size)), size, count

    def _feeds(self, size: int) -> Tensors:
        """Return the inputs that are the same for each frame, for a batch of that size."""
        if size not in self._fed:
            self._fed[size] = {
                feed.name: torch.from_numpy(feed.array(size)).to(self.device) for feed in self.params.feeds
            }
        return self._fed[size]

    def _end(self) -> Iterator[Sample]:
        """End the oldest inference, and yield the samples that are complete."""
        pending, size, shares = self._running.popleft()
        try:
            outputs = self._ended(pending, size, sum(count for _, count in shares))
        except Exception as error:
            # Later frames have begun meanwhile.
            error.item = shares[0][0].frames[0]  # type: ignore[attr-defined]
            raise
        first = 0
        for job, count in shares:
            job.put({name: tensor[first : first + count] for name, tensor in outputs.items()}, count)
            first += count
        while self._jobs and self._jobs[0].ended == self._jobs[0].rows:
            job = self._jobs.popleft()
            yield Sample(job.outputs, job.frames)

    def _ended(self, pending: Pending, size: int, count: int) -> Tensors:
        """Return the first ``count`` rows of an inference's outputs."""
        outputs = pending.outputs()
        outputs |= {name: outputs[name][None] for name in self.params.rows}
        for name, tensor in outputs.items():
            if tensor.shape[0] != size:
                raise ValueError(
                    f"output {name} has the shape {list(tensor.shape)}, "
                    f"but its first dimension must be the batch size {size}"
                )
        return outputs if count == size else {name: tensor[:count] for name, tensor in outputs.items()}

    def close(self) -> None:
        self.__dict__.pop("_engine", None)
        self.__dict__.pop("_running", None)


def _input_tensor(tensors: Tensors, name: str) -> torch.Tensor:
    """Return the tensor of that name, or the only one."""
    if name in tensors:
        return tensors[name]
    (tensor,) = tensors.values()
    return tensor
