"""Hand the items of a node to a Python program."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bmfgraph.stages.base import Stage

__all__ = ["Collect"]


class Collect(Stage):
    """Calls ``receive`` with each item; it may block, and the pipeline waits."""

    receive: Callable[[Any], None] | None = None
    """Set by the runner before the run begins."""

    def process(self, *items: Any) -> Iterable[Any]:
        if self.receive is not None:
            if self.device == "cuda":
                import torch

                # The receiver uses another CUDA stream: the item must be complete.
                torch.cuda.current_stream().synchronize()
            self.receive(items[0])
        return ()
