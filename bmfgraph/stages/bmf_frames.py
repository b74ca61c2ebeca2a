"""Create BMF video frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from bmfgraph.plan.types import Matrix
from bmfgraph.stages.items import Frame

__all__ = ["frame_of_planes", "new_frame", "pixel_info"]

_FORMATS = {
    "rgb24": "kPF_RGB24",
    "yuv420p": "kPF_YUV420P",
    "yuv422p": "kPF_YUV422P",
    "yuv444p": "kPF_YUV444P",
    "yuv420p10le": "kPF_YUV420P10LE",
}


def new_frame(source: Frame, width: int | None = None, height: int | None = None) -> tuple[Frame, torch.Tensor]:
    """Create an RGB frame on the CPU that replaces ``source``.

    The frame keeps the index, time, time base, rate, sample aspect ratio, primaries and transfer curve of the source,
    and is tagged with the YUV matrix and range that an encoder converts it to.

    Args:
        source: The frame to replace.
        width: Width in pixels; the source's by default.
        height: Height in pixels; the source's by default.

    Returns:
        The frame and its pixels, uint8 [height, width, 3], uninitialised: fill them before the frame is passed on.
    """
    from bmf import hmp as mp

    image = mp.Frame(width or source.video.width, height or source.video.height, _info(source, "rgb24"))
    frame = _replace(source, image)
    return frame, frame.pixels()


def frame_of_planes(source: Frame, planes: Sequence[torch.Tensor], pixel_format: str) -> Frame:
    """Create a frame that replaces ``source`` around planes on the CPU, without a copy.

    Args:
        source: The frame to replace; the new one keeps its index, time and properties.
        planes: Y, U and V, each [height, width], uint8 or, for 10 bits, int16; or for rgb24 one uint8
            [height, width, 3]. The frame keeps their memory.
        pixel_format: rgb24, yuv420p, yuv422p, yuv444p or yuv420p10le.
    """
    from bmf import hmp as mp

    # The samples of BMF's 10-bit formats are unsigned.
    planes = [plane.view(torch.uint16) if plane.dtype == torch.int16 else plane for plane in planes]
    shared = [mp.from_dlpack(_DlpackTensor(plane if plane.dim() == 3 else plane[..., None])) for plane in planes]
    return _replace(source, mp.Frame(shared, _info(source, pixel_format)))


def pixel_info(pixel_format: str, matrix: Matrix, primaries: Any, transfer: Any) -> Any:
    """Return BMF's PixelInfo of a limited-range format.

    Args:
        pixel_format: One of those that :func:`frame_of_planes` accepts.
        matrix: YUV matrix, of RGB frames the one that an encoder uses.
        primaries: BMF's ColorPrimaries.
        transfer: BMF's ColorTransferCharacteristic.
    """
    from bmf import hmp as mp

    spaces = {"bt601": mp.kCS_SMPTE170M, "bt709": mp.kCS_BT709, "bt2020": mp.kCS_BT2020_NCL}
    colors = mp.PixelColorModel(spaces[matrix], mp.kCR_MPEG, primaries, transfer)
    return mp.PixelInfo(getattr(mp, _FORMATS[pixel_format]), colors)


class _DlpackTensor:
    """A tensor for BMF, which passes the stream of DLPack by position; torch accepts it by name only."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def __dlpack__(self, stream: int | None = None) -> Any:
        return self.tensor.__dlpack__()

    def __dlpack_device__(self) -> Any:
        return self.tensor.__dlpack_device__()


def _info(source: Frame, pixel_format: str) -> Any:
    info = source.video.frame().pix_info()
    return pixel_info(pixel_format, source.matrix, info.primaries, info.transfer_characteristic)


def _replace(source: Frame, image: Any) -> Frame:
    """Wrap BMF's image in a frame with the time and properties of the source."""
    from bmf import VideoFrame

    video = VideoFrame(image)
    video.copy_props(source.video)
    # private_merge must follow copy_props: `copy_props(source, True)` makes both frames share FFmpeg's frame, then
    # copies that frame's side data (captions, time codes, HDR) onto itself, which never ends.
    video.private_merge(source.video)
    video.pts = source.video.pts
    video.time_base = source.video.time_base
    return Frame(source.index, video, source.matrix)
