"""Read colours, orientation and field order from decoded frames."""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from bmfgraph.media.filtering import FilterStep, FrameFilter
from bmfgraph.plan.types import Chroma, ColorSpec, Matrix, default_matrix

__all__ = [
    "UPRIGHT",
    "Fields",
    "Orientation",
    "chroma_of",
    "color_of",
    "fields_of",
    "has_exif",
    "orientation_of",
    "side_data_of",
    "without_exif",
]

Fields = Literal["", "flagged", "tff", "bff"]
"""Interlaced frames: ``flagged`` by the stream itself, or seen in the pictures: top or bottom field first; "": none."""

# MatrixCoefficients of ITU-T H.273, table 4, limited to those that swscale converts.
_MATRICES: dict[int, Matrix] = {
    0: "rgb",
    1: "bt709",
    4: "bt601",
    5: "bt601",
    6: "bt601",
    7: "bt601",
    9: "bt2020",
    10: "bt2020",
}
# Position of the chroma samples of 4:2:0 by codec, as FFmpeg's decoders tag them.
_CHROMA: dict[str, Chroma] = {
    **dict.fromkeys(("h264", "hevc", "mpeg2video", "mpeg4", "vc1", "wmv3"), "left"),
    **dict.fromkeys(("mjpeg", "mpeg1video", "h263", "msmpeg4v2", "msmpeg4v3", "flv1"), "center"),
}
_FULL_RANGE = 2
"""AVCOL_RANGE_JPEG of FFmpeg."""
_INTERLACED_ORDERS = frozenset((2, 3, 4, 5))
"""AVFieldOrder of FFmpeg, without unknown and progressive."""
_UNFLAGGED = frozenset(
    ["ffv1", "ffvhuff", "huffyuv", "utvideo", "rawvideo", "v210", "mjpeg", "jpeg2000", "magicyuv", "lagarith", "cfhd"],
)
"""Codecs of video that was recorded with fields, whose streams need not say so."""
_FASTEST_FIELDS = 30
"""Frames per second; interlaced video has no more."""
_LOOKED_AT = 32
"""Frames that are searched for fields."""
_FEWEST = 4
"""Frames that must have fields."""
_MATRIX = struct.Struct("<9i")
_DISPLAY_MATRIX, _EXIF = 6, 31
"""AVFrameSideDataType of FFmpeg."""


@dataclass(frozen=True)
class Orientation:
    """The way from a stored frame to the displayed one."""

    rotation: int = 0
    """Degrees counterclockwise: 0, 90, 180 or 270."""
    mirrored: bool = False
    """Whether left and right are exchanged before the rotation."""

    @property
    def sideways(self) -> bool:
        """Whether width and height are exchanged."""
        return self.rotation in (90, 270)


UPRIGHT = Orientation()


def chroma_of(codec: str) -> Chroma:
    """Return the position of the chroma samples in streams of a codec, by FFmpeg's name."""
    return _CHROMA.get(codec, "")


def color_of(frame: Any) -> ColorSpec:
    """Return the matrix and range of a frame; for untagged video, those that players assume."""
    name = frame.format.name
    primaries, transfer = int(frame.color_primaries), int(frame.color_trc)
    if name.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "rgba", "bgra", "0rgb", "0bgr", "pal")):
        return ColorSpec("rgb", True, primaries=primaries, transfer=transfer)
    # Pictures in grey have full range, and seldom say so.
    full = int(frame.color_range) in ((_FULL_RANGE, 0) if name.startswith("gray") else (_FULL_RANGE,))
    full = full or name.startswith("yuvj")
    code = int(frame.colorspace)
    if code in _MATRICES and code != 0:
        return ColorSpec(_MATRICES[code], full, primaries=primaries, transfer=transfer)
    return ColorSpec(
        default_matrix(frame.width, frame.height), full, tagged=False, primaries=primaries, transfer=transfer
    )


def orientation_of(frame: Any) -> Orientation | None:
    """Return the orientation that the frame's display matrix says, to the nearest quarter turn.

    The matrix is the container's (mp4, Matroska), the picture's (EXIF) or the codec's (SEI). It maps x to a x + c y,
    and y to b x + d y (ISO/IEC 14496-12, 6.2.2).

    Returns:
        None if the frame has no matrix.
    """
    data = next((bytes(item) for item in side_data_of(frame) if item.type.value == _DISPLAY_MATRIX), None)
    if data is None:
        return None
    a, b, _, c, d, *_ = _MATRIX.unpack_from(data)
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return Orientation(round(math.degrees(math.atan2(-b, a)) / 90) * 90 % 360, mirrored)


def has_exif(frame: Any) -> bool:
    """Return whether a frame carries the EXIF data of its picture."""
    try:
        return any(item.type.value == _EXIF for item in frame.side_data)
    except ValueError:  # PyAV does not know the type.
        return True


def without_exif() -> FilterStep:
    """Return the filter that removes EXIF data: an encoder of pictures would write the old orientation again."""
    return "sidedata", f"mode=delete:type={_EXIF}"


def fields_of(stream: Any, first: Any, following: Iterable[Any]) -> Fields:
    """Return whether a stream is interlaced.

    Args:
        stream: The video stream.
        first: Its first frame.
        following: The frames after it; a few are read where the stream itself says nothing.
    """
    context = stream.codec_context
    if first.interlaced_frame or context.field_order in _INTERLACED_ORDERS:
        return "flagged"
    rate = Fraction(stream.average_rate or stream.guessed_rate or 0)
    if context.field_order or context.codec.canonical_name not in _UNFLAGGED or rate > _FASTEST_FIELDS:
        return ""
    return _seen_fields(itertools.chain([first], itertools.islice(following, _LOOKED_AT - 1)))


def _seen_fields(frames: Iterable[Any]) -> Fields:
    """Look for fields in the pictures, by FFmpeg's ``idet``."""
    from av import FFmpegError

    search = FrameFilter([("idet", "")])
    counts: dict[str, str] = {}
    try:
        size = None
        for frame in frames:
            size = size or (frame.width, frame.height, frame.format.name)
            if size != (frame.width, frame.height, frame.format.name):
                break
            for result in search.push(frame):
                counts = result.metadata
        for result in search.finish():
            counts = result.metadata
    except FFmpegError:  # The frames after a damaged place are not looked at.
        pass
    tff, bff, progressive = (
        float(counts.get(f"lavfi.idet.multiple.{name}", 0)) for name in ("tff", "bff", "progressive")
    )
    if tff + bff < _FEWEST or max(tff, bff) <= 2 * progressive:
        return ""
    return "tff" if tff >= bff else "bff"


def side_data_of(frame: Any) -> Any:
    """Return the side data of a frame as PyAV has it, without EXIF data, which PyAV cannot list."""
    if has_exif(frame):
        frame = next(FrameFilter([without_exif()]).push(frame))
    return frame.side_data
