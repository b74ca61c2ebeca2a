"""Run the node kind ``window``: join samples of consecutive frames to the windows of a temporal model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch

from bmfgraph.nodes.window import WindowParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.items import Sample

__all__ = ["Gather"]


class Gather(Stage):
    """Join samples of one image to samples of a window of images.

    Window k stands for the frames k * step up to (k + 1) * step. Its first image lies ``outputs[0]`` frames before the
    first of them. Beyond the ends of the clip, the first or last frame is repeated. Every frame is therefore answered
    once, for clips of any length.
    """

    params: WindowParams

    def open(self) -> None:
        self._samples: dict[int, Sample] = {}
        self._received = 0
        self._next = 0

    def process(self, *items: Any) -> Iterable[Sample]:
        self._samples[self._received] = items[0]
        self._received += 1
        window = self.params.window
        first = self._next * window.step - window.outputs[0]
        if first + window.frames <= self._received:
            yield self._window()

    def finish(self) -> Iterator[Sample]:
        while self._next * self.params.window.step < self._received:
            yield self._window()

    def _window(self) -> Sample:
        """Build the next window, and release the samples that no later window needs."""
        window, last = self.params.window, self._received - 1
        start = self._next * window.step
        first = start - window.outputs[0]
        members = [self._samples[min(max(first + offset, 0), last)] for offset in range(window.frames)]
        (name,) = members[0].tensors
        joined = torch.cat([member.tensors[name] for member in members], dim=self.params.axis)
        end = min(start + window.step, self._received)
        frames = tuple(self._samples[index].frames[0] for index in range(start, end))
        self._next += 1
        oldest = self._next * window.step - window.outputs[0]
        for index in [index for index in self._samples if index < oldest and index != last]:
            del self._samples[index]
        return Sample({name: joined}, frames)
