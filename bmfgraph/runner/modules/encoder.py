"""The host of BMF's encoder where it gets sound beside the frames."""

from __future__ import annotations

from collections import deque
from typing import Any

from bmfgraph.runner.modules.native import NativeModule

__all__ = ["EncoderModule"]


class EncoderModule(NativeModule):
    """Hands sound on once the first frame has come, and not before.

    BMF's encoder opens the file at the first frame. Copied sound that came earlier is written along with the
    next packet of sound, and is lost when there is none.
    """

    def __init__(self, node: int, option: dict[str, Any]) -> None:
        super().__init__(node, option)
        self.held: deque[Any] = deque()
        self.begun = False

    def _move_in(self, queues: Any, inner: Any) -> int:
        frames, sound = queues[0], queues[1]
        while not sound.empty():
            packet = sound.get()
            # The stream's description has the time -1, which stands for none.
            if not self.job.spec.cut_audio or packet.timestamp >= -1:
                self.held.append(packet)
        self.begun = self.begun or not frames.empty()
        return super()._move_in({0: frames, 1: _Held(self.held if self.begun else deque())}, inner)


class _Held:
    """Packets as a queue of BMF's offers them."""

    def __init__(self, packets: deque[Any]) -> None:
        self.packets = packets

    def empty(self) -> bool:
        return not self.packets

    def get(self) -> Any:
        return self.packets.popleft()
