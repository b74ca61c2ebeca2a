"""Convert between BMF's frames and those of the stages, for BMF's own decoder and encoder."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch
from av import VideoFrame as Picture
from bmf import VideoFrame, hmp as mp
from bmf.lib._bmf.sdk import Rational

from bmfgraph.plan.types import FrameSpec
from bmfgraph.stages.items import Frame
from bmfgraph.stages.pictures import planes_of

__all__ = ["frame_of", "video_frame_of"]

_FORMATS = {
    "rgb24": "kPF_RGB24",
    "yuv420p": "kPF_YUV420P",
    "yuv422p": "kPF_YUV422P",
    "yuv444p": "kPF_YUV444P",
    "yuv420p10le": "kPF_YUV420P10LE",
}
"""BMF's name of each format that its encoder takes."""
_DECODED = {
    mp.kPF_BGR24: "bgr24",
    mp.kPF_BGRA32: "bgra",
    mp.kPF_GRAY8: "gray",
    mp.kPF_NV12: "nv12",
    mp.kPF_P010LE: "p010le",
    mp.kPF_RGB24: "rgb24",
    mp.kPF_RGBA32: "rgba",
    mp.kPF_YUV420P: "yuv420p",
    mp.kPF_YUV420P10LE: "yuv420p10le",
    mp.kPF_YUV422P: "yuv422p",
    mp.kPF_YUV422P10LE: "yuv422p10le",
    mp.kPF_YUV444P: "yuv444p",
}
"""FFmpeg's name of those formats that BMF tells apart."""
_MATRICES = {"bt601": mp.kCS_SMPTE170M, "bt709": mp.kCS_BT709, "bt2020": mp.kCS_BT2020_NCL}


def frame_of(video: Any, index: int, spec: FrameSpec) -> Frame:
    """Copy a VideoFrame of BMF.

    Args:
        video: The frame.
        index: Its number in presentation order.
        spec: Its type.

    Raises:
        ValueError: The frame is of another type.
    """
    name = _DECODED.get(video.frame().format(), spec.pixel_format)
    if name.replace("yuvj", "yuv") != spec.pixel_format.replace("yuvj", "yuv"):
        raise ValueError(f"BMF decodes {name}, and PyAV {spec.pixel_format}: set backend=pyav")
    picture = Picture(spec.width, spec.height, spec.pixel_format)
    for target, source in zip(planes_of(picture), video.frame().data(), strict=True):
        samples = torch.from_numpy(source.numpy())
        samples = samples.flatten(1) if samples.dim() == 3 else samples
        samples = samples.view(torch.int16) if samples.dtype == torch.uint16 else samples
        rows, columns = (min(ours, theirs) for ours, theirs in zip(target.shape, samples.shape, strict=True))
        target[:rows, :columns] = samples[:rows, :columns]
    base = Fraction(video.time_base.num, video.time_base.den) if video.time_base.den > 0 else spec.time_base
    return Frame(index, video.pts, base, None, picture)


def video_frame_of(frame: Frame, spec: FrameSpec) -> Any:
    """Make a VideoFrame of BMF around the memory of a frame on the CPU.

    Args:
        frame: The frame, in a format that BMF's encoder takes.
        spec: Its type.
    """
    picture = frame.as_picture()
    # `from_dlpack` never frees what it is given.
    planes = [mp.from_numpy(plane.numpy()) for plane in _exact_planes(picture)]
    color = mp.PixelColorModel(
        _MATRICES[spec.color.yuv],
        mp.kCR_JPEG if spec.color.full_range else mp.kCR_MPEG,
        mp.ColorPrimaries(spec.color.primaries),
        mp.ColorTransferCharacteristic(spec.color.transfer),
    )
    video = VideoFrame(mp.Frame(planes, mp.PixelInfo(getattr(mp, _FORMATS[spec.pixel_format]), color)))
    video.pts = frame.pts
    video.time_base = Rational(frame.time_base.numerator, frame.time_base.denominator)
    return video


def _exact_planes(picture: Any) -> list[torch.Tensor]:
    """Return the planes without the padding of their rows, each [height, width, components]."""
    components = 3 if picture.format.name == "rgb24" else 1
    exact = []
    for rows, plane in zip(planes_of(picture), picture.planes, strict=True):
        samples = rows[:, : plane.width * components].contiguous()
        samples = samples.view(torch.uint16) if samples.dtype == torch.int16 else samples
        exact.append(samples.unflatten(1, (plane.width, components)))
    return exact
