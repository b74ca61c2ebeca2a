"""New BMF video frames."""

from __future__ import annotations

import torch

from bmfgraph.nodes.modules.items import Frame

__all__ = ["new_frame"]


def new_frame(source: Frame, width: int | None = None, height: int | None = None) -> tuple[Frame, torch.Tensor]:
    """An RGB24 frame in the place of ``source``, and its pixels, uint8 [height, width, 3], to be filled.

    It has the source's size unless another is given, keeps its time, time base, rate, sample aspect ratio,
    primaries and transfer curve, and is tagged with the YUV matrix and range that an encoder shall turn it into.
    """
    from bmf import VideoFrame
    from bmf import hmp as mp

    spaces = {"bt601": mp.kCS_SMPTE170M, "bt709": mp.kCS_BT709, "bt2020": mp.kCS_BT2020_NCL}
    given = source.video.frame().pix_info()
    colors = mp.PixelColorModel(spaces[source.matrix], mp.kCR_MPEG, given.primaries, given.transfer_characteristic)
    made = VideoFrame(
        mp.Frame(width or source.video.width, height or source.video.height, mp.PixelInfo(mp.kPF_RGB24, colors))
    )
    made.copy_props(source.video)
    # Only now: `copy_props(source, True)` shares FFmpeg's frame between the two and then copies that frame's side
    # data (captions, time codes, HDR) onto itself, which never ends.
    made.private_merge(source.video)
    made.pts = source.video.pts
    made.time_base = source.video.time_base
    frame = Frame(source.index, made, source.matrix)
    return frame, frame.pixels()
