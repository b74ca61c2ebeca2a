"""Run BMF's encoder for a file with audio."""

from __future__ import annotations

from collections import deque
from typing import Any

from bmfgraph.runner.modules.native import NativeModule

__all__ = ["NativeEncoderModule"]


class NativeEncoderModule(NativeModule):
    """Run BMF's encoder, and hold audio back until the first video frame arrives.

    BMF's encoder opens the file at the first video frame. It writes copied audio packets that came earlier only
    together with the next audio packet, so it would lose them where none follows.
    """

    def __init__(self, node: int, option: dict[str, Any]) -> None:
        super().__init__(node, option)
        self.audio: deque[Any] = deque()
        self.has_video = False

    def _move_in(self, queues: Any, inner: Any) -> int:
        video, audio = queues[0], queues[1]
        while not audio.empty():
            packet = audio.get()
            # The packet that describes the stream has the timestamp -1, which stands for no time.
            if not self.config.spec.trim_audio or packet.timestamp >= -1:
                self.audio.append(packet)
        self.has_video = self.has_video or not video.empty()
        return super()._move_in({0: video, 1: _PacketQueue(self.audio if self.has_video else deque())}, inner)


class _PacketQueue:
    """Packets behind the interface of a BMF queue."""

    def __init__(self, packets: deque[Any]) -> None:
        self.packets = packets

    def empty(self) -> bool:
        return not self.packets

    def get(self) -> Any:
        return self.packets.popleft()
