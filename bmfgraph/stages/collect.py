"""Hand the items of a node to a Python program."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bmfgraph.stages.base import Stage

__all__ = ["Collect"]


class Collect(Stage):
    """Calls ``receive`` with the items of each frame; it may block, and the pipeline waits."""

    receive: Callable[..., None] | None = None
    """Set by the runner before the run begins."""

    def process(self, *items: Any) -> Iterable[Any]:
        if self.receive is not None:
            if self.device == "cuda":
                import torch

                # The receiver uses another CUDA stream: the items must be complete.
                torch.cuda.current_stream().synchronize()
            self.receive(*items)
        return ()
