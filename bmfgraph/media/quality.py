"""Measure the quality of a clip against a reference: PSNR and SSIM of luma, and VMAF."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmfgraph import error_codes as codes
from bmfgraph.errors import RunError
from bmfgraph.media.opening import open_video
from bmfgraph.media.picture_files import picture_files
from bmfgraph.plan.types import default_matrix
from bmfgraph.system.temporary import temporary_folder
from bmfgraph.system.untrusted import open_regular

__all__ = ["measure", "unmeasurable"]

Luma = NDArray[np.uint8] | NDArray[np.uint16]
"""[height, width]: uint8, or uint16 with the bits of more than 8 at the top."""

_LIMIT = 100.0
"""PSNR of equal frames in dB."""
_SMALLEST = {"ssim": 8, "vmaf": 64}
"""Smallest side in pixels: SSIM needs a block; libvmaf downscales repeatedly, and crashes on smaller images."""
_BT709, _UNKNOWN = 1, 2
"""MatrixCoefficients of ITU-T H.273."""
_FULL_RANGE = 2
"""AVCOL_RANGE_JPEG of FFmpeg."""


def measure(clip: Path, reference: Path, *, whole: bool = True) -> dict[str, Any]:
    """Compare two clips frame by frame on luma of the deeper one's bits, upright as for display.

    Frames are paired by their number in presentation order, whatever their times are, since no pipeline drops or
    repeats a frame.

    Args:
        clip: The clip to measure.
        reference: A clip of the same size.
        whole: If true, both must have the same number of frames. If false, the reference may be longer.

    Returns:
        JSON-ready metrics:

        - ``reference``: its path; ``frames``: the number of pairs.
        - ``psnr_y``, ``psnr_y_min``: mean and minimum over the frames in dB, at most 100.
        - ``ssim``, ``ssim_min``: likewise, by FFmpeg's filter ``ssim``. Missing if a side is below 8 pixels.
        - ``vmaf``: 0 to 100. Missing if PyAV's FFmpeg lacks libvmaf, or if a side is below 64 pixels.

    Raises:
        RunError: A clip cannot be decoded, or the two differ in size or number of frames.
    """
    import av

    for path in (clip, reference):
        try:
            if picture_files(path) is None:
                open_regular(path).close()
        except OSError as error:
            raise _error(f"cannot be compared ({str(path)!r}: {error.strerror})", "use a video file") from None
    values: list[float] = []
    with contextlib.ExitStack() as stack:
        try:
            filters = _Filters(stack.enter_context(temporary_folder()))
        except OSError as error:
            raise _error(
                f"cannot be compared: no temporary folder can be made ({error.strerror or error})",
                "set TMPDIR to a folder with room",
            ) from None
        try:
            with open_video(clip) as clip_file, open_video(reference) as reference_file:
                pairs = itertools.zip_longest(_frames(clip, clip_file), _frames(reference, reference_file))
                for number, (frame, expected) in enumerate(pairs):
                    if frame is None and number and not whole:
                        break
                    if frame is None or expected is None:
                        shorter = clip if frame is None else reference
                        raise _error(f"{str(shorter)!r} ends after {number} frames, the other goes on")
                    bits = max(_bits(frame), _bits(expected))
                    a, b = (_luma(x, other=y, bits=bits) for x, y in ((frame, expected), (expected, frame)))
                    if a.shape != b.shape:
                        raise _error(f"{str(clip)!r} is {_size(a)}, {str(reference)!r} is {_size(b)}")
                    values.append(_psnr(a, b, bits))
                    filters.compare(number, a, b)
        except (av.FFmpegError, OSError) as error:
            raise _error(f"cannot be compared ({error})", "use a video file") from None
        if not values:
            raise _error(f"{str(clip)!r} and {str(reference)!r} have no frames")
        return {
            "reference": str(reference),
            "frames": len(values),
            "psnr_y": round(sum(values) / len(values), 4),
            "psnr_y_min": round(min(values), 4),
            **filters.results(),
        }


def unmeasurable(metric: str, *sides: int) -> str:
    """Return the reason why a metric cannot be measured here, or "".

    Args:
        metric: ``psnr_y``, ``ssim`` or ``vmaf``.
        sides: Width and height in pixels, if they are known.
    """
    import av

    if metric == "vmaf" and "libvmaf" not in av.filter.filters_available:
        return f"the FFmpeg of PyAV {av.__version__} has no libvmaf"
    smallest = _SMALLEST.get(metric, 1)
    small = min(sides, default=smallest) < smallest
    return f"a side of {min(sides)} pixels is below {smallest}" if small else ""


def _error(text: str, hint: str = "use a reference of the output's size and length") -> RunError:
    return RunError("reference", "quality", text, hint=hint, code=codes.COMPARISON_FAILURE, path="reference")


def _frames(path: Path, container: Any) -> Iterator[Any]:
    if not container.streams.video:
        raise _error(f"{str(path)!r} has no video stream", "use a video file")
    container.streams.video[0].thread_type = "AUTO"
    frames: Iterator[Any] = container.decode(video=0)
    return frames


def _bits(frame: Any) -> int:
    bits: int = frame.format.components[0].bits
    return max(8, bits)


def _luma(frame: Any, *, other: Any, bits: int) -> Luma:
    """Return the luma of a frame, upright. RGB is converted with the matrix and range of the other frame."""
    grey, own = frame, _bits(frame)
    planar = frame.format.name.startswith(("yuv", "nv", "gray")) and (own == 8 or frame.format.name.endswith("le"))
    if not planar or frame.format.components[0].bits < 8:
        # FFmpeg has no YUV of other depths.
        own = next(depth for depth in (8, 10, 12, 16) if depth >= own)
        wanted = f"yuv444p{'' if own == 8 else f'{own}le'}"
        grey = frame.reformat(format=wanted, **(_colors(other) if frame.format.is_rgb else {}))
    plane, dtype = grey.planes[0], np.uint8 if own == 8 else np.uint16
    samples = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // np.dtype(dtype).itemsize)
    rows: Any = samples[: plane.height, : plane.width]
    if bits > 8:
        rows = rows.astype(np.uint16) << (16 - own)
    return np.ascontiguousarray(np.rot90(rows, round(frame.rotation / 90)))


def _colors(frame: Any) -> dict[str, str]:
    matrix, rgb = int(frame.colorspace), frame.format.is_rgb
    unknown = rgb or matrix == _UNKNOWN
    hd = default_matrix(frame.width, frame.height) == "bt709" if unknown else matrix == _BT709
    full = int(frame.color_range) == _FULL_RANGE and not rgb
    return {"dst_colorspace": "ITU709" if hd else "ITU601", "dst_color_range": "JPEG" if full else "MPEG"}


def _size(luma: Luma) -> str:
    return f"{luma.shape[1]}x{luma.shape[0]}"


def _psnr(a: Luma, b: Luma, bits: int) -> float:
    difference = np.maximum(a, b) - np.minimum(a, b)
    # The smallest types that hold the numbers are exact, and several times as fast as floating point.
    square, total = (np.uint16, np.uint32) if bits == 8 else (np.uint32, np.uint64)
    columns = np.multiply(difference, difference, dtype=square).sum(axis=0, dtype=total)
    error = float(columns.sum(dtype=np.uint64)) / a.size
    peak = (2**bits - 1) << (16 - bits if bits > 8 else 0)
    return _LIMIT if error == 0 else min(_LIMIT, 10 * math.log10(peak**2 / error))


class _Filters:
    """FFmpeg's filters that compare images. They are created for the size of the first pair."""

    def __init__(self, folder: Path) -> None:
        self._ssim_log, self._vmaf_log = folder / "ssim.log", folder / "vmaf.json"
        self._filters: list[_Filter] = []

    def compare(self, number: int, a: Luma, b: Luma) -> None:
        if not self._filters:
            self._filters = self._create(a.shape, deep=a.dtype == np.uint16)
        for comparison in self._filters:
            comparison.push(number, a, b)

    def _create(self, shape: tuple[int, ...], *, deep: bool) -> list[_Filter]:
        import av

        filters = [_Filter("ssim", "gray16le" if deep else "gray", shape, stats_file=str(self._ssim_log))]
        if not unmeasurable("vmaf", *shape):
            options = {"log_path": str(self._vmaf_log), "log_fmt": "json", "n_threads": str(os.cpu_count() or 1)}
            # libvmaf may have been built without its models.
            with contextlib.suppress(av.FFmpegError):
                filters.append(_Filter("libvmaf", "yuv444p16le" if deep else "yuv444p", shape, **options))
        return filters

    def results(self) -> dict[str, float]:
        """Finish the filters, and return their metrics."""
        for comparison in self._filters:
            comparison.finish()
        metrics: dict[str, float] = {}
        values = [float(value) for value in re.findall(r"Y:(\S+)", self._ssim_log.read_text())]
        if all(map(math.isfinite, values)):
            metrics = {"ssim": round(sum(values) / len(values), 6), "ssim_min": min(values)}
        if self._vmaf_log.exists():
            metrics["vmaf"] = json.loads(self._vmaf_log.read_text())["pooled_metrics"]["vmaf"]["mean"]
        return metrics


class _Filter:
    """A filter with two inputs."""

    def __init__(self, name: str, pixel_format: str, shape: tuple[int, ...], **options: str) -> None:
        import av

        self._format = pixel_format
        self._graph = av.filter.Graph()
        height, width = shape
        video_format = av.VideoFormat(pixel_format, width, height)
        self._inputs = [
            self._graph.add_buffer(width=width, height=height, format=video_format, time_base=Fraction(1))
            for _ in range(2)
        ]
        comparison, self._sink = self._graph.add(name, **options), self._graph.add("buffersink")
        for index, source in enumerate(self._inputs):
            source.link_to(comparison, 0, index)
        comparison.link_to(self._sink)
        self._graph.configure()

    def push(self, number: int, *images: Luma) -> None:
        """Compare two images. FFmpeg pairs them by their pts, which is their number."""
        import av

        for source, luma in zip(self._inputs, images, strict=True):
            # Only luma is compared, but libvmaf needs chroma planes.
            planes: Any = luma
            if not self._format.startswith("gray"):
                middle = np.full_like(luma, 128 if luma.dtype == np.uint8 else 128 << 8)
                planes = np.stack([luma, middle, middle])
            frame = av.VideoFrame.from_ndarray(planes, format=self._format)
            frame.pts = number
            frame.time_base = Fraction(1)
            source.push(frame)
        self._drain()

    def finish(self) -> None:
        """Compare the remaining pairs, and free FFmpeg's graph, which writes the log."""
        for source in self._inputs:
            source.push(None)
        self._drain()
        del self._graph, self._inputs, self._sink

    def _drain(self) -> None:
        import av

        with contextlib.suppress(av.BlockingIOError, av.EOFError):
            while True:
                self._sink.pull()
