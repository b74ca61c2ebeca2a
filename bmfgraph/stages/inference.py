"""Run the node kind ``inference``: join samples to batches, run the engine, and split its outputs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from bmfgraph.engines.runtimes import Pending, load_engine
from bmfgraph.nodes.engine import reason_text
from bmfgraph.nodes.inference import InferenceParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.items import Frame, Sample

__all__ = ["Infer"]

Frames = tuple[Frame, ...]


class Infer(Stage):
    """Run one engine on samples of its inputs.

    An engine with several streams runs as many inferences at once. The result of one is returned when that many have
    begun.
    """

    params: InferenceParams

    def open(self) -> None:
        assert self.params.engine is not None
        self._engine = load_engine(self.name, self.params.engine)
        fed = {feed.name for feed in self.params.feeds}
        self._names = [name for name, _ in self.params.inputs if name not in fed]
        self._fed: dict[int, dict[str, torch.Tensor]] = {}
        self._batch: list[tuple[Sample, ...]] = []
        self._running: deque[tuple[Pending, list[Frames], int]] = deque()

    @property
    def engine_description(self) -> str:
        """Runtime that runs the model, for the user and the report."""
        engine = self.params.engine
        reason = reason_text(engine.reason, engine.precision) if engine else ""
        return self._engine.description + (f" ({reason})" if reason else "")

    def process(self, *items: Any) -> Iterable[Sample]:
        self._batch.append(items)
        if len(self._batch) < self.params.batch:
            return
        self._begin()
        if len(self._running) >= self._engine.streams:
            yield from self._end()

    def finish(self) -> Iterable[Sample]:
        if self._batch:
            self._begin()
        while self._running:
            yield from self._end()

    def _begin(self) -> None:
        """Begin the inference of the collected batch."""
        batch, self._batch = self._batch, []
        # Pad the batch to the model's fixed, or the engine's minimum, batch size.
        size = max(len(batch), self.params.batch if self.params.fixed_batch else self._engine.minimum_batch)
        inputs = {}
        for position, name in enumerate(self._names):
            tensors = [_input_tensor(samples[position], name) for samples in batch]
            tensors += tensors[-1:] * (size - len(tensors))
            inputs[name] = tensors[0] if len(tensors) == 1 else torch.cat(tensors)
        inputs |= self._feeds(size)
        self._running.append((self._engine.begin(inputs), [samples[0].frames for samples in batch], size))

    def _feeds(self, size: int) -> dict[str, torch.Tensor]:
        """Return the inputs that are the same for each frame, for a batch of that size."""
        if size not in self._fed:
            self._fed[size] = {
                feed.name: torch.from_numpy(feed.array(size)).to(self.device) for feed in self.params.feeds
            }
        return self._fed[size]

    def _end(self) -> Iterator[Sample]:
        """End the oldest inference, and yield a sample for each one of its batch."""
        pending, batch_frames, size = self._running.popleft()
        outputs = pending.outputs()
        for name, tensor in outputs.items():
            if tensor.shape[0] != size:
                raise ValueError(
                    f"output {name} has the shape {list(tensor.shape)}, "
                    f"but its first dimension must be the batch size {size}"
                )
        for position, frames in enumerate(batch_frames):
            yield Sample({name: tensor[position : position + 1] for name, tensor in outputs.items()}, frames)

    def close(self) -> None:
        self.__dict__.pop("_engine", None)
        self.__dict__.pop("_running", None)


def _input_tensor(sample: Sample, name: str) -> torch.Tensor:
    """Return the sample's tensor of that name, or its only one."""
    if name in sample.tensors:
        return sample.tensors[name]
    (tensor,) = sample.tensors.values()
    return tensor
