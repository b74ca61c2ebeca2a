"""New BMF video frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from bmfgraph.stages.items import Frame

__all__ = ["frame_of_planes", "new_frame"]

_FORMATS = {
    "rgb24": "kPF_RGB24",
    "yuv420p": "kPF_YUV420P",
    "yuv422p": "kPF_YUV422P",
    "yuv444p": "kPF_YUV444P",
    "yuv420p10le": "kPF_YUV420P10LE",
}


def new_frame(source: Frame, width: int | None = None, height: int | None = None) -> tuple[Frame, torch.Tensor]:
    """An RGB24 frame in the place of ``source``, and its pixels, uint8 [height, width, 3], to be filled.

    It has the source's size unless another is given, keeps its time, time base, rate, sample aspect ratio,
    primaries and transfer curve, and is tagged with the YUV matrix and range that an encoder shall turn it into.
    """
    from bmf import hmp as mp

    picture = mp.Frame(width or source.video.width, height or source.video.height, _info(source, "rgb24"))
    frame = _in_place_of(source, picture)
    return frame, frame.pixels()


def frame_of_planes(source: Frame, planes: Sequence[torch.Tensor], pixel_format: str) -> Frame:
    """A frame in the place of ``source`` around planes on the CPU, without a copy: [height, width] or, for
    rgb24, [height, width, 3]."""
    from bmf import hmp as mp

    # BMF's deep formats are unsigned.
    planes = [plane.view(torch.uint16) if plane.dtype == torch.int16 else plane for plane in planes]
    shared = [mp.from_dlpack(_Lent(plane if plane.dim() == 3 else plane[..., None])) for plane in planes]
    return _in_place_of(source, mp.Frame(shared, _info(source, pixel_format)))


class _Lent:
    """A tensor as BMF asks for it: it passes the stream by position, which torch does not take."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def __dlpack__(self, stream: int | None = None) -> Any:
        return self.tensor.__dlpack__()

    def __dlpack_device__(self) -> Any:
        return self.tensor.__dlpack_device__()


def _info(source: Frame, pixel_format: str) -> Any:
    """BMF's description of the format, with the source's primaries and transfer curve."""
    from bmf import hmp as mp

    spaces = {"bt601": mp.kCS_SMPTE170M, "bt709": mp.kCS_BT709, "bt2020": mp.kCS_BT2020_NCL}
    given = source.video.frame().pix_info()
    colors = mp.PixelColorModel(spaces[source.matrix], mp.kCR_MPEG, given.primaries, given.transfer_characteristic)
    return mp.PixelInfo(getattr(mp, _FORMATS[pixel_format]), colors)


def _in_place_of(source: Frame, picture: Any) -> Frame:
    from bmf import VideoFrame

    made = VideoFrame(picture)
    made.copy_props(source.video)
    # Only now: `copy_props(source, True)` shares FFmpeg's frame between the two and then copies that frame's side
    # data (captions, time codes, HDR) onto itself, which never ends.
    made.private_merge(source.video)
    made.pts = source.video.pts
    made.time_base = source.video.time_base
    return Frame(source.index, made, source.matrix)
