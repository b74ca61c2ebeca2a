"""How close a clip is to another: peak signal-to-noise ratio and structural similarity of luma, and VMAF."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import re
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmfgraph import error_codes as codes
from bmfgraph.errors import RunError
from bmfgraph.plan.types import default_matrix

__all__ = ["measure"]

Luma = NDArray[np.uint8]

_LIMIT = 100.0
"""Decibels given to frames that are equal."""
_SMALLEST = 64
"""Pixels; libvmaf works on ever smaller pictures, and crashes where they become too small."""
_BT709, _UNKNOWN = 1, 2
"""MatrixCoefficients of ITU-T H.273."""
_FULL_RANGE = 2


def measure(clip: Path, reference: Path, *, whole: bool = True) -> dict[str, Any]:
    """Compare frame by frame in presentation order, on 8-bit luma over the whole picture as it is shown.

    Frame k is compared with frame k whatever their times are, since no pipeline drops or repeats one.
    ``psnr_y``: mean over the frames in dB; ``psnr_y_min``: the worst frame. ``ssim`` and ``ssim_min``: likewise, by
    FFmpeg's filter; absent for pictures of less than 8 pixels. ``vmaf``: 0..100; absent where PyAV's FFmpeg was built
    without libvmaf, and for pictures of less than 64 pixels. Raises RunError when the two differ in size or in
    their number of frames; where the clip is not ``whole``, the reference may go on after its end.
    """
    import av

    values: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        filters = _Filters(Path(name))
        try:
            with av.open(str(clip)) as one, av.open(str(reference)) as other:
                pairs = itertools.zip_longest(_frames(clip, one), _frames(reference, other))
                for number, (frame, wanted) in enumerate(pairs):
                    if frame is None and number and not whole:
                        break
                    if frame is None or wanted is None:
                        shorter = clip if frame is None else reference
                        raise _differ(f"{str(shorter)!r} ends after {number} frames, the other goes on")
                    a, b = _luma(frame, beside=wanted), _luma(wanted, beside=frame)
                    if a.shape != b.shape:
                        raise _differ(f"{str(clip)!r} is {_size(a)}, {str(reference)!r} is {_size(b)}")
                    values.append(_psnr(a, b))
                    filters.compare(number, a, b)
        except av.FFmpegError as error:
            raise RunError(
                "reference",
                "quality",
                f"cannot be compared ({error})",
                hint="name a video file",
                code=codes.COMPARISON_FAILURE,
            ) from None
        if not values:
            raise _differ(f"neither {str(clip)!r} nor {str(reference)!r} holds a frame")
        return {
            "reference": str(reference),
            "frames": len(values),
            "psnr_y": round(sum(values) / len(values), 4),
            "psnr_y_min": round(min(values), 4),
            **filters.results(),
        }


def _differ(text: str) -> RunError:
    return RunError(
        "reference",
        "quality",
        text,
        hint="give a reference of the output's size and length",
        code=codes.COMPARISON_FAILURE,
    )


def _frames(path: Path, container: Any) -> Iterator[Any]:
    if not container.streams.video:
        raise RunError(
            "reference",
            "quality",
            f"{str(path)!r} has no video stream",
            hint="name a video file",
            code=codes.COMPARISON_FAILURE,
        )
    container.streams.video[0].thread_type = "AUTO"
    frames: Iterator[Any] = container.decode(video=0)
    return frames


def _luma(frame: Any, *, beside: Any) -> Luma:
    """Luma, uint8 [height, width], upright; that of RGB in the matrix and range of the frame that it stands beside."""
    grey = frame
    if not frame.format.name.startswith(("yuv", "nv", "gray")):
        grey = frame.reformat(format="yuv444p", **(_colors(beside) if frame.format.is_rgb else {}))
    if grey.format.components[0].bits != 8:
        grey = grey.reformat(format="yuv444p")
    plane = grey.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
    return np.ascontiguousarray(np.rot90(rows, round(frame.rotation / 90)))


def _colors(frame: Any) -> dict[str, str]:
    matrix, rgb = int(frame.colorspace), frame.format.is_rgb
    unknown = rgb or matrix == _UNKNOWN
    hd = default_matrix(frame.width, frame.height) == "bt709" if unknown else matrix == _BT709
    full = int(frame.color_range) == _FULL_RANGE and not rgb
    return {"dst_colorspace": "ITU709" if hd else "ITU601", "dst_color_range": "JPEG" if full else "MPEG"}


def _size(luma: Luma) -> str:
    return f"{luma.shape[1]}x{luma.shape[0]}"


def _psnr(a: Luma, b: Luma) -> float:
    apart = np.maximum(a, b) - np.minimum(a, b)
    # In the smallest types that hold the numbers: exact, and several times as fast as floating point.
    columns = np.multiply(apart, apart, dtype=np.uint16).sum(axis=0, dtype=np.uint32)
    error = float(columns.sum(dtype=np.uint64)) / a.size
    return _LIMIT if error == 0 else min(_LIMIT, 10 * math.log10(255**2 / error))


class _Filters:
    """FFmpeg's filters that compare pictures, made for the size of the first pair."""

    def __init__(self, folder: Path) -> None:
        self._ssim_log, self._vmaf_log = folder / "ssim.log", folder / "vmaf.json"
        self._filters: list[_Filter] = []

    def compare(self, number: int, a: Luma, b: Luma) -> None:
        """Take in one pair, and its number."""
        if not self._filters:
            self._filters = self._made(a.shape)
        for one in self._filters:
            one.push(number, a, b)

    def _made(self, shape: tuple[int, ...]) -> list[_Filter]:
        import av

        made = [_Filter("ssim", "gray", shape, stats_file=str(self._ssim_log))]
        if "libvmaf" in av.filter.filters_available and min(shape) >= _SMALLEST:
            options = {"log_path": str(self._vmaf_log), "log_fmt": "json", "n_threads": str(os.cpu_count() or 1)}
            # It may have been built without its models.
            with contextlib.suppress(av.FFmpegError):
                made.append(_Filter("libvmaf", "yuv444p", shape, **options))
        return made

    def results(self) -> dict[str, float]:
        """What the filters found; no pair may follow."""
        for one in self._filters:
            one.finish()
        found: dict[str, float] = {}
        values = [float(value) for value in re.findall(r"Y:(\S+)", self._ssim_log.read_text())]
        if all(map(math.isfinite, values)):
            found = {"ssim": round(sum(values) / len(values), 6), "ssim_min": min(values)}
        if self._vmaf_log.exists():
            found["vmaf"] = json.loads(self._vmaf_log.read_text())["pooled_metrics"]["vmaf"]["mean"]
        return found


class _Filter:
    """A filter that takes two streams of pictures."""

    def __init__(self, name: str, pixel_format: str, shape: tuple[int, ...], **options: str) -> None:
        import av

        self._format = pixel_format
        self._graph = av.filter.Graph()
        height, width = shape
        kind = av.VideoFormat(pixel_format, width, height)
        self._inputs = [
            self._graph.add_buffer(width=width, height=height, format=kind, time_base=Fraction(1)) for _ in range(2)
        ]
        comparing, self._sink = self._graph.add(name, **options), self._graph.add("buffersink")
        for place, source in enumerate(self._inputs):
            source.link_to(comparing, 0, place)
        comparing.link_to(self._sink)
        self._graph.configure()

    def push(self, number: int, *pictures: Luma) -> None:
        """Compare two pictures. Their number is their time, by which FFmpeg pairs them."""
        import av

        for source, luma in zip(self._inputs, pictures, strict=True):
            # Chroma is not looked at, but libvmaf takes no picture without.
            planes = luma if self._format == "gray" else np.stack([luma, *2 * [np.full_like(luma, 128)]])
            frame = av.VideoFrame.from_ndarray(planes, format=self._format)
            frame.pts = number
            frame.time_base = Fraction(1)
            source.push(frame)
        self._drain()

    def finish(self) -> None:
        """Compare what still waits for its partner, and let FFmpeg's graph go: that writes the log."""
        for source in self._inputs:
            source.push(None)
        self._drain()
        del self._graph, self._inputs, self._sink

    def _drain(self) -> None:
        import av

        with contextlib.suppress(av.BlockingIOError, av.EOFError):
            while True:
                self._sink.pull()
