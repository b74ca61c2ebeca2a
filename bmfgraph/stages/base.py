"""Define the base class of stages: the work of a node kind on items, without BMF."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bmfgraph.plan.types import Device

__all__ = ["Stage"]


class Stage:
    """The work of one node. Calls: ``open``, then ``process`` for each item, ``finish``, and always ``close``.

    ``open`` and ``close`` run on the thread that runs the pipeline, the others on a thread of BMF.
    An exception in any of them ends the run with an error that names the node and the frame.

    Items are :class:`bmfgraph.stages.items.Frame` on an edge of frames, ``Sample`` (tensors by name, and the frames
    that they belong to) on an edge of tensors, and ``Detections``. Items, pixels and tensors are read only, because
    other nodes share them: a stage makes new frames with :func:`bmfgraph.stages.new_frame`, and new tensors. Items
    leave in the order of their ``index``, at most one for each frame.

    A stage whose kind can work on the GPU (``devices`` of its spec) reads ``device``: on ``cuda`` its frames and
    tensors are there, it enqueues its work on the current stream and does not wait for it.
    """

    device: Device = "cpu"

    def __init__(self, name: str, params: Any) -> None:
        self.name = name
        self.params = params

    def open(self) -> None:
        """Acquire resources of the whole run: engines, files."""

    def process(self, *items: Any) -> Iterable[Any]:
        """Return the outputs for one item of each input; the items belong to the same frame.

        A source is called once, without items; its iterator is read a few items at a time, as its consumers have room.
        """
        raise NotImplementedError(f"{type(self).__name__}.process")

    def finish(self) -> Iterable[Any]:
        """Return the outputs that were held back, after the last item."""
        return ()

    def close(self) -> None:
        """Release all resources; called after a failure too, also of ``open``."""
