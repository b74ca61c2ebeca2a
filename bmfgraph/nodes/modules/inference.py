"""``inference`` at work: samples are joined into batches, run, and taken apart again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from bmfgraph.engines.runtimes import load_engine
from bmfgraph.nodes.inference import InferenceWork
from bmfgraph.nodes.modules.items import Sample
from bmfgraph.nodes.modules.stage import Stage

__all__ = ["Infer"]


class Infer(Stage):
    """Runs one engine."""

    work: InferenceWork

    def open(self) -> None:
        assert self.work.engine is not None
        self._engine = load_engine(self.name, self.work.engine)
        self._waiting: list[Sample] = []

    @property
    def engine_description(self) -> str:
        """What runs the model, for the user and the report."""
        return self._engine.description

    def process(self, *items: Any) -> Iterable[Sample]:
        self._waiting.append(items[0])
        return self._run() if len(self._waiting) == self.work.batch else ()

    def finish(self) -> Iterable[Sample]:
        return self._run() if self._waiting else ()

    def _run(self) -> list[Sample]:
        samples, self._waiting = self._waiting, []
        inputs = [sample.tensors[self.work.input] for sample in samples]
        if self.work.fixed_batch:
            inputs += inputs[-1:] * (self.work.batch - len(inputs))
        outputs = self._engine.infer({self.work.input: inputs[0] if len(inputs) == 1 else torch.cat(inputs)})
        for name, tensor in outputs.items():
            if tensor.shape[0] != len(inputs):
                raise ValueError(
                    f"output {name} of shape {list(tensor.shape)} does not count the batch of {len(inputs)}"
                )
        if len(inputs) == 1:
            return [Sample(outputs, samples[0].frames)]
        return [
            Sample({name: tensor[place : place + 1] for name, tensor in outputs.items()}, sample.frames)
            for place, sample in enumerate(samples)
        ]

    def close(self) -> None:
        self.__dict__.pop("_engine", None)
