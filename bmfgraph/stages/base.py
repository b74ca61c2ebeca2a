"""The base of all stages: what a node kind does to items, free of BMF."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bmfgraph.plan.types import Device

__all__ = ["Stage"]


class Stage:
    """One node at work. Life: ``open``, then ``process`` for each item, ``finish``, and always ``close``.

    ``open`` and ``close`` run on the thread that runs the pipeline, the others on a thread of BMF's.
    An exception anywhere ends the run with an error that names the node and the frame.

    A stage whose kind can work on the GPU (``devices`` of its spec) looks at ``device``: on ``cuda`` it finds and
    leaves frames and tensors there, enqueues its work on the current stream and does not wait for it.
    """

    device: Device = "cpu"

    def __init__(self, name: str, params: Any) -> None:
        self.name = name
        self.params = params

    def open(self) -> None:
        """Get what lasts for the whole run: engines, files."""

    def process(self, *items: Any) -> Iterable[Any]:
        """Take one item from each input, all of the same frame; give any number of items."""
        raise NotImplementedError(f"{type(self).__name__}.process")

    def finish(self) -> Iterable[Any]:
        """After the last item: give what was held back."""
        return ()

    def close(self) -> None:
        """Let go of everything; also after a failure, and also if ``open`` failed."""
