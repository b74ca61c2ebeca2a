"""``window`` at work: every frame comes out once, at its own place, however short the clip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch

from bmfgraph.nodes.window import WindowParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.items import Sample

__all__ = ["Gather"]


class Gather(Stage):
    """Samples of one picture to samples of a window of pictures.

    Window number k stands for the frames k * step and following; it begins ``outputs[0]`` frames before
    the first of them. Beyond the clip's ends its first or last frame is repeated.
    """

    params: WindowParams

    def open(self) -> None:
        self._held: dict[int, Sample] = {}
        self._received = 0
        self._next = 0

    def process(self, *items: Any) -> Iterable[Sample]:
        self._held[self._received] = items[0]
        self._received += 1
        window = self.params.window
        first = self._next * window.step - window.outputs[0]
        if first + window.frames <= self._received:
            yield self._window()

    def finish(self) -> Iterator[Sample]:
        while self._next * self.params.window.step < self._received:
            yield self._window()

    def _window(self) -> Sample:
        window, last = self.params.window, self._received - 1
        start = self._next * window.step
        first = start - window.outputs[0]
        members = [self._held[min(max(first + place, 0), last)] for place in range(window.frames)]
        (name,) = members[0].tensors
        joined = torch.cat([member.tensors[name] for member in members], dim=self.params.axis)
        frames = tuple(self._held[index].frames[0] for index in range(start, min(start + window.step, self._received)))
        self._next += 1
        oldest = self._next * window.step - window.outputs[0]
        for index in [index for index in self._held if index < oldest and index != last]:
            del self._held[index]
        return Sample({name: joined}, frames)
