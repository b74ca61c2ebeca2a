"""Get decoded surfaces from NVDEC.

PyNvVideoCodec's ThreadedDecoder is not used. Its thread reads lists of surfaces and events without their lock while the
thread of its caller appends to them. That ends the process now and then: PyNvVideoCodec 2.2.4 crashed in cuEventRecord,
called by NvDecoder::HandlePictureDisplay. The other decoder works on the thread of its caller and releases Python's
lock meanwhile. It takes all packets of a batch in one call, so that Python seldom delays it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from bmfgraph.engines.runtimes.capture import NO_CAPTURE
from bmfgraph.errors import RunError
from bmfgraph.media.opening import open_video
from bmfgraph.media.reading import Clock
from bmfgraph.nodes.nvdec import NvdecParams
from bmfgraph.runner.modules.packet_reader import PacketReader, PtsMatcher

__all__ = ["Pictures", "Surfaces"]

_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
"""FFmpeg's names of containers that hold a packet for each frame."""
_CODE = 1 << 16
"""Factor of the times that NVDEC is given. It invents those of the frames between, which are no multiples of it. The
times must rise in the order of display: else it invents all."""


class Pictures(NamedTuple):
    """Decoded pictures in the decoder's memory, which are overwritten after the next read.

    Attributes:
        width: Width of all, in pixels.
        height: Height of all.
        times: The pts of each picture.
        pointers: The address of each picture.
    """

    width: int
    height: int
    times: list[int]
    pointers: list[int]


class Surfaces:
    """Decode the pictures of a file in presentation order, with the pts that the container gives them.

    A thread reads the packets of the next call meanwhile, because reading releases Python's lock for each packet.

    Args:
        library: PyNvVideoCodec.
        decoder: Its decoder, which copies surfaces on the stream that is current when they are read.
        params: The file, and the part of it that is read.
        clock: Times of the file.
        batch: Number of packets that are decoded at once where each packet is known to hold a frame; else one.
        fail: Makes the error of the node.

    Attributes:
        ended: Whether all pictures have been read.
    """

    def __init__(
        self,
        library: Any,
        decoder: Any,
        params: NvdecParams,
        clock: Clock,
        batch: int,
        fail: Callable[[str], RunError],
    ) -> None:
        self.ended = False
        self._library, self._decoder, self._fail = library, decoder, fail
        count = batch if clock.start is None and _has_packet_for_each_frame(params) else 1
        self._packets = iter(PacketReader(params, clock, count))
        self._matcher = PtsMatcher()
        self._hidden: set[int] = set()
        """Frames that the container hides: they are decoded only because others refer to them."""
        self._coded: dict[int, int] = {}
        """The pts of each packet that gave NVDEC a time, by this time."""
        self._begun = False
        self._reader = ThreadPoolExecutor(1, "bmfgraph-packets")
        self._next = self._reader.submit(self._read_packets)

    def read(self) -> Pictures:
        """Return the next pictures, none or several. The copies of the last ones are enqueued by now."""
        packets, coded = self._next.result()
        stream = np.frombuffer(coded, np.uint8)
        self.ended = not packets
        data = self._library.PacketData()
        if self.ended:
            data.bsl_data = data.bsl = 0
        else:
            self._next = self._reader.submit(self._read_packets)
            data.bsl_data, data.bsl, data.pts = stream.ctypes.data, stream.nbytes, self._add(packets)
        # NVDEC makes its decoder with the first frames, and then waits for the whole GPU.
        with contextlib.nullcontext() if self._begun else NO_CAPTURE:
            decoded = self._decoder.Decode(data)
        if not decoded:
            return Pictures(0, 0, [], [])
        self._begun = True
        found = [(self._pts_of(surface.timestamp), surface) for surface in decoded]
        shown = [(pts, surface.GetPtrToPlane(0)) for pts, surface in found if pts is not None]
        return Pictures(
            self._decoder.GetWidth(),
            self._decoder.GetHeight(),
            [pts for pts, _ in shown],
            [pointer for _, pointer in shown],
        )

    def close(self) -> None:
        """Destroy the decoder."""
        self._reader.shutdown()
        self._packets.close()
        self._decoder = None

    def _read_packets(self) -> tuple[list[Any], bytes]:
        """Return the next packets of PyAV, none at the end, and their bytes."""
        return next(self._packets, ([], b""))

    def _add(self, packets: list[Any]) -> int:
        """Register packets that go into the decoder together, and return the time that they get there."""
        for packet in packets:
            if packet.pts is None:
                raise self._fail("a frame of the file has no presentation time")
            self._matcher.add(packet.pts)
            if packet.is_discard:
                self._hidden.add(packet.pts)
        code: int = packets[0].pts * _CODE
        self._coded[code] = packets[0].pts
        return code

    def _pts_of(self, reported: int) -> int | None:
        """Return the pts of the next frame, for which the decoder reports a time; None for a hidden frame."""
        pts = self._matcher.match(self._coded.pop(reported, None))
        if pts is None:
            raise self._fail("NVDEC returned more frames than the file has packets")
        if pts in self._hidden:
            self._hidden.discard(pts)
            return None
        return pts


def _has_packet_for_each_frame(params: NvdecParams) -> bool:
    """Return whether packets can be put together: frames between those whose times are known come one for one."""
    if params.codec not in ("h264", "hevc"):
        return False
    with open_video(params.path, params.protocols) as container:
        return container.format.name in _CONTAINERS
