"""``inference`` at work: samples are joined into batches, run, and taken apart again."""

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
    """Runs one engine; where it has several streams, an inference is handed on when as many others have begun."""

    params: InferenceParams

    def open(self) -> None:
        assert self.params.engine is not None
        self._engine = load_engine(self.name, self.params.engine)
        self._names = [name for name, _ in self.params.inputs]
        self._waiting: list[tuple[Sample, ...]] = []
        self._begun: deque[tuple[Pending, list[Frames], int]] = deque()

    @property
    def engine_description(self) -> str:
        """What runs the model, for the user and the report."""
        engine = self.params.engine
        reason = reason_text(engine.reason, engine.precision) if engine else ""
        return self._engine.description + (f" ({reason})" if reason else "")

    def process(self, *items: Any) -> Iterable[Sample]:
        self._waiting.append(items)
        if len(self._waiting) < self.params.batch:
            return
        self._begin()
        if len(self._begun) >= self._engine.streams:
            yield from self._end()

    def finish(self) -> Iterable[Sample]:
        if self._waiting:
            self._begin()
        while self._begun:
            yield from self._end()

    def _begin(self) -> None:
        batch, self._waiting = self._waiting, []
        # What a model with a fixed batch, or an engine with a least one, misses is filled up.
        count = max(len(batch), self.params.batch if self.params.fixed_batch else self._engine.least_batch)
        inputs = {}
        for place, name in enumerate(self._names):
            parts = [_only(samples[place], name) for samples in batch]
            parts += parts[-1:] * (count - len(parts))
            inputs[name] = parts[0] if len(parts) == 1 else torch.cat(parts)
        self._begun.append((self._engine.begin(inputs), [samples[0].frames for samples in batch], count))

    def _end(self) -> Iterator[Sample]:
        pending, frames, count = self._begun.popleft()
        outputs = pending.outputs()
        for name, tensor in outputs.items():
            if tensor.shape[0] != count:
                raise ValueError(f"output {name} of shape {list(tensor.shape)} does not count the batch of {count}")
        for place, one in enumerate(frames):
            yield Sample({name: tensor[place : place + 1] for name, tensor in outputs.items()}, one)

    def close(self) -> None:
        self.__dict__.pop("_engine", None)
        self.__dict__.pop("_begun", None)


def _only(sample: Sample, name: str) -> torch.Tensor:
    """The tensor for that input: by its name, or the sample's only one."""
    if name in sample.tensors:
        return sample.tensors[name]
    (tensor,) = sample.tensors.values()
    return tensor
