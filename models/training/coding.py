"""Codes short sequences with x264 and x265 and converts them as the project's decoder delivers frames.

Nothing here imports torch, so that worker processes start fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import av
import numpy as np
from av.filter import Graph
from av.video.codeccontext import VideoCodecContext

from .resample import Picture

# The filter chains of the project's ``convert`` nodes, for limited range and chroma to the left.
_FLAGS = "flags=bicubic+accurate_rnd+full_chroma_int"
_PLACE = "{side}_color_matrix={matrix}:{side}_range=tv:{side}_h_chr_pos=0:{side}_v_chr_pos=128"
_RATE = Fraction(25)
_CODECS = {"libx264": "h264", "libx265": "hevc"}
_PRESETS = {
    "libx264": ("ultrafast", "superfast", "veryfast", "veryfast", "fast", "medium", "medium", "medium", "slow"),
    "libx265": ("ultrafast", "veryfast", "fast", "medium"),
}
_X265_SHARE = 0.25
_LEAST_CRF, _MOST_CRF = 18, 32
_LIGHT_SHARE, _LIGHTEST_CRF = 0.2, 12  # share of lighter codings, and the lightest: films that were hardly coded
_NARROWEST = 64  # pixels


@dataclass(frozen=True)
class Coding:
    """The coding of a sequence: encoder, preset, rate factor, and matrix of the YUV."""

    encoder: str = "libx264"
    preset: str = "medium"
    crf: int = 23
    matrix: str = "bt601"


def random_coding(random: np.random.Generator) -> Coding:
    """Draws a coding as people use them: mostly x264, mostly CRF 18 to 32, any preset up to slow, BT.601 or BT.709.

    The others have CRF 12 to 17.
    """
    encoder = "libx265" if random.random() < _X265_SHARE else "libx264"
    presets = _PRESETS[encoder]
    light = random.random() < _LIGHT_SHARE
    crfs = range(_LIGHTEST_CRF, _LEAST_CRF) if light else range(_LEAST_CRF, _MOST_CRF + 1)
    preset, crf = presets[random.integers(len(presets))], crfs[random.integers(len(crfs))]
    return Coding(encoder, preset, crf, ("bt601", "bt709")[random.integers(2)])


def to_yuv_steps(matrix: str) -> tuple[tuple[str, str], ...]:
    """FFmpeg's filters, name and options, from rgb24 to yuv420p of limited range."""
    return ("scale", f"{_PLACE.format(side='out', matrix=matrix)}:{_FLAGS}"), ("format", "yuv420p")


def to_rgb_steps(matrix: str) -> tuple[tuple[str, str], ...]:
    """FFmpeg's filters from yuv420p of limited range to rgb24: those that the project's pipelines run."""
    scale = f"{_PLACE.format(side='in', matrix=matrix)}:{_FLAGS}"
    return ("scale", scale), ("format", "gbrp"), ("scale", _FLAGS), ("format", "rgb24")


@lru_cache(maxsize=8)
def _graph(width: int, height: int, source: str, steps: tuple[tuple[str, str], ...]) -> Graph:
    graph = Graph()
    last = graph.add_buffer(width=width, height=height, format=av.VideoFormat(source), time_base=1 / _RATE)
    for name, options in (*steps, ("buffersink", "")):
        after = graph.add(name, options) if options else graph.add(name)
        last.link_to(after)
        last = after
    graph.configure()
    return graph


def _converted(frame: av.VideoFrame, steps: tuple[tuple[str, str], ...]) -> av.VideoFrame:
    graph = _graph(frame.width, frame.height, frame.format.name, steps)
    graph.push(frame)
    result = graph.pull()
    assert isinstance(result, av.VideoFrame)
    return result


def coded_part(frames: Picture, coding: Coding, part: slice) -> Picture:
    """Codes a sequence, uint8 (T, H, W, 3), and returns some of its frames."""
    return np.stack(code(list(frames), coding)[part])


def code(frames: Sequence[Picture], coding: Coding) -> list[Picture]:
    """Codes frames (4:2:0, limited range, 25 frames a second), decodes them and converts them back.

    Args:
        frames: uint8 (H, W, 3), RGB, even sides; for x265 at least 64 wide: it writes beyond its memory with less.
        coding: how.

    Returns:
        As many frames of the same shape.

    Raises:
        ValueError: the frames are too narrow.
    """
    if coding.encoder == "libx265" and frames[0].shape[1] < _NARROWEST:
        raise ValueError(f"frames are {frames[0].shape[1]} pixels wide; x265 needs {_NARROWEST}")
    encoder = av.CodecContext.create(coding.encoder, "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.height, encoder.width = frames[0].shape[:2]
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", 1 / _RATE, _RATE
    encoder.thread_count = 1
    encoder.options = {"preset": coding.preset, "crf": str(coding.crf)}
    if coding.encoder == "libx265":
        encoder.options |= {"x265-params": "pools=none:frame-threads=1:log-level=error"}
    packets = []
    for index, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts, picture.time_base = index, 1 / _RATE
        packets += encoder.encode(_converted(picture, to_yuv_steps(coding.matrix)))
    packets += encoder.encode(None)
    decoder = av.CodecContext.create(_CODECS[coding.encoder], "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count = 1
    decoded = [frame for packet in (*packets, None) for frame in decoder.decode(packet)]
    steps = to_rgb_steps(coding.matrix)
    return [_converted(frame, steps).to_ndarray(format="rgb24").astype(np.uint8, copy=False) for frame in decoded]
