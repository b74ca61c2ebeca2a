"""Try one combination of container, codec and pixel format."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from bmfgraph.errors import BmfgraphError
from bmfgraph.nodes.codecs import CODECS
from bmfgraph.nodes.containers import CONTAINERS
from bmfgraph.nodes.pixel_formats import PIXEL_FORMATS
from bmfgraph.runner.run import run_plan
from bmfgraph.system.ffmpeg import needs_gpu
from tests.runner.media_tools import SEEN, RecordSpec, compiled, decoder

__all__ = ["READ_CONTAINERS", "READ_FORMATS", "WRITE_CONTAINERS", "Cell", "read_cell", "read_cells", "write_cell"]
__all__ += ["write_cells"]

COUNT, WIDTH, HEIGHT = 12, 64, 48
SILENT = "NVENC"
"""Result of a combination that needs hardware which the machine lacks."""
_LIMITED = 1
"""AVCOL_RANGE_MPEG of FFmpeg."""
ABSENT = "–"
"""Result of a combination that FFmpeg itself does not write, so that there is nothing to read."""
PASSED = "yes"

WRITE_CONTAINERS = tuple(dict.fromkeys(CONTAINERS.values()))
READ_CONTAINERS = {
    "mp4": ".mp4", "mov": ".mov", "matroska": ".mkv", "webm": ".webm", "avi": ".avi", "mpegts": ".ts", "mpeg": ".mpg",
    "flv": ".flv", "asf": ".wmv", "mxf": ".mxf", "ogg": ".ogv", "nut": ".nut", "y4m": ".y4m", "raw stream": "",
    "animation": "", "picture": "",
}  # fmt: skip
"""Names of the columns, and extensions."""
_STREAMS = {
    "libx264": ".h264", "libx265": ".hevc", "mpeg2video": ".m2v", "mpeg1video": ".m1v", "mpeg4": ".m4v",
    "mjpeg": ".mjpeg", "libsvtav1": ".obu", "libvpx-vp9": ".ivf", "libvpx": ".ivf",
}  # fmt: skip
_ANIMATIONS = {"gif": ".gif", "apng": ".apng"}
_PICTURES = {
    "png": ".png", "mjpeg": ".jpg", "libwebp": ".webp", "tiff": ".tif", "bmp": ".bmp", "libsvtav1": ".avif",
    "jpeg2000": ".jp2",
}  # fmt: skip
READ_FORMATS: dict[str, tuple[str, ...]] = {
    "libx264": ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "gray", "nv12"),
    "libx265": ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p12le", "gray", "gbrp"),
    "libsvtav1": ("yuv420p", "yuv420p10le"),
    "libvpx-vp9": ("yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuva420p"),
    "libvpx": ("yuv420p", "yuva420p"),
    "mpeg1video": ("yuv420p",),
    "mpeg2video": ("yuv420p", "yuv422p"),
    "mpeg4": ("yuv420p",),
    "wmv2": ("yuv420p",),
    "flv": ("yuv420p",),
    "prores_ks": ("yuv422p10le", "yuv444p10le"),
    "dnxhd": ("yuv422p", "yuv422p10le", "yuv444p10le"),
    "cfhd": ("yuv422p10le", "gbrp12le"),
    "ffv1": ("yuv420p", "yuv444p", "yuv411p", "yuv444p16le", "gray10le", "gbrp16le", "bgra"),
    "huffyuv": ("yuv422p", "rgb24", "bgra"),
    "utvideo": ("yuv420p", "yuv444p", "gbrp"),
    "qtrle": ("rgb24", "argb"),
    "jpeg2000": ("yuv444p", "rgb24", "gray16le"),
    "mjpeg": ("yuvj420p", "yuvj422p", "yuvj444p"),
    "png": ("rgb24", "rgba", "rgb48be", "gray", "ya8", "pal8"),
    "apng": ("rgb24", "rgba"),
    "gif": ("rgb8", "pal8"),
    "libwebp": ("yuv420p", "bgra"),
    "tiff": ("rgb24", "rgb48le", "gray16le"),
    "bmp": ("bgr24", "pal8"),
    "rawvideo": ("yuv420p", "uyvy422", "rgb24", "gray"),
}
"""Pixel formats in which clips are made, by FFmpeg's encoder."""
_COARSE = {"gif": 45, "flv": 14, "wmv2": 14, "mpeg1video": 14, "mpeg2video": 14, "mpeg4": 14, "mjpeg": 14}
"""Mean error of codecs with few colours or a low default quality, in levels of 8 bits."""
_FAST = {"libx264": {"preset": "ultrafast"}, "libx265": {"preset": "ultrafast", "x265-params": "log-level=0"}}
_FAST |= {"libsvtav1": {"preset": "12", "svtav1-params": "lp=1"}, "libvpx-vp9": {"cpu-used": "8"}}


@dataclass(frozen=True)
class Cell:
    """A combination. ``result`` is ``yes``, a code of an error, ``NVENC``, or ``–``; others are failures."""

    direction: str
    container: str
    codec: str
    pixel_format: str
    result: str = ""
    reason: str = ""
    """The message of a refusal or failure."""

    @property
    def failed(self) -> bool:
        """Whether the combination neither passed nor was refused by the check."""
        return self.result == "failed"


@functools.cache
def picture(index: int) -> NDArray[np.uint8]:
    """Return a smooth picture [48, 64, 3] whose brightness tells its index."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([60 + 2 * columns, 40 + 2 * rows + 8 * index, 160 - columns], axis=-1).astype(np.uint8)


def error_of(pictures: list[NDArray[np.uint8]], pixel_format: str) -> float:
    """Return the largest mean error of pictures, in levels; grey ones are compared with grey."""
    errors = []
    for index, seen in enumerate(pictures):
        wanted = picture(index).astype(float)
        if pixel_format.startswith(("gray", "ya")):
            wanted = np.repeat((wanted @ [0.299, 0.587, 0.114])[..., None], 3, axis=2)
        step = seen.shape[1] // WIDTH
        errors.append(float(np.abs(seen[step // 2 :: step, step // 2 :: step].astype(float) - wanted).mean()))
    return max(errors)


# --------------------------------------------------------------------------------------------------------- write


def write_cells() -> list[Cell]:
    """List the combinations to write: every codec in every container, in every pixel format of the codec."""
    return [
        Cell("write", container, codec, pixel_format)
        for container in WRITE_CONTAINERS
        for codec in CODECS
        for pixel_format in PIXEL_FORMATS[CODECS[codec].encoder]
    ]


def write_cell(cell: Cell, folder: Path) -> Cell:
    """Write a combination with the encoder node, and read it with PyAV."""
    # The extension of a picture chooses its codec.
    extensions = [name for name, container in CONTAINERS.items() if container == cell.container]
    wanted = {"mjpeg": ".jpg", "tiff": ".tif", "bmp": ".bmp"}.get(cell.codec, extensions[0])
    extension = wanted if cell.container == "image2" else extensions[0]
    pattern = "_%02d" if cell.container == "image2" else ""
    path = folder / f"{cell.codec}_{cell.pixel_format}{pattern}{extension}"
    quick = {"x264": "ultrafast", "x265": "ultrafast", "svtav1": "12", "vp9": "8"}.get(cell.codec)
    options = {"codec": cell.codec, "pixel_format": cell.pixel_format, "preset": quick}
    if cell.codec == "prores" and cell.pixel_format == "yuv444p10le":
        options["preset"] = "4444"
    try:
        plan = compiled(
            {
                "source": decoder(_source(folder)),
                "sink": {"kind": "encoder", "inputs": ["source.video"], "path": str(path), **options},
            }
        )
    except BmfgraphError as error:
        return _ended(cell, error.problems[0].code, error.problems[0].message)
    if needs_gpu(CODECS[cell.codec].encoder):
        return _ended(cell, SILENT, "it needs an NVIDIA GPU with an encoder")
    try:
        run_plan(plan, overwrite=True)
        fault = _fault_of_written(cell, path)
    except (BmfgraphError, av.FFmpegError) as error:
        fault = str(error)
    return _ended(cell, "failed" if fault else PASSED, fault)


def _source(folder: Path) -> Path:
    path = folder / "source.mkv"
    if not path.exists():
        _make(path, "ffv1", "yuv444p16le")
    return path


def _fault_of_written(cell: Cell, path: Path) -> str:
    if cell.container == "rawvideo":
        components = av.VideoFormat(cell.pixel_format, WIDTH, HEIGHT).components
        size = COUNT * sum(part.width * part.height * -(-part.bits // 8) for part in components)
        return "" if path.stat().st_size == size else f"{path.stat().st_size} bytes, not {size}"
    pictures = _webp(path) if cell.container == "webp" else _decoded(_joined(path) if path.suffix == ".mpd" else path)
    if len(pictures) != COUNT:
        return f"{len(pictures)} frames, not {COUNT}"
    error = error_of(pictures, cell.pixel_format)
    limit = 30 if cell.codec == "gif" else 5
    return "" if error <= limit else f"a mean error of {error:.1f} levels"


def _decoded(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [_rgb(frame) for frame in container.decode(video=0)]


def _rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
    pixels = frame.to_ndarray(format="rgb24").astype(float)
    name = frame.format.name
    if name.startswith("gray") and (frame.color_range == _LIMITED or (name != "gray" and not frame.color_range)):
        # swscale takes grey for full range, whatever its tag says. Containers without a tag hold deep grey as luma.
        pixels = np.clip((pixels - 16) * 255 / 219, 0, 255)
    return pixels.astype(np.uint8)


def _joined(path: Path) -> Path:
    """Join the segments of DASH, whose list this FFmpeg does not read."""
    whole = path.with_suffix(".mp4")
    # The name of the first segment, init, comes behind those of the numbered ones.
    parts = sorted(path.parent.glob(f"{path.stem}-*.m4s"), key=lambda part: ("init" not in part.name, part.name))
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    return whole


def _webp(path: Path) -> list[NDArray[np.uint8]]:
    """Read an animated WebP, which FFmpeg does not decode."""
    with Image.open(path) as image:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]


# ---------------------------------------------------------------------------------------------------------- read


def read_cells() -> list[Cell]:
    """List the combinations to read."""
    return [
        Cell("read", container, codec, pixel_format)
        for container in READ_CONTAINERS
        for codec, formats in READ_FORMATS.items()
        for pixel_format in formats
    ]


def read_cell(cell: Cell, folder: Path) -> Cell:
    """Make a clip with PyAV, and read it with the decoder node."""
    special = {"raw stream": _STREAMS, "animation": _ANIMATIONS, "picture": _PICTURES}.get(cell.container)
    extension = READ_CONTAINERS[cell.container] if special is None else special.get(cell.codec)
    if not extension:
        return _ended(cell, ABSENT, "")
    count = 1 if cell.container == "picture" else COUNT
    path = folder / f"{cell.codec}_{cell.pixel_format}{extension}"
    if not _make(path, cell.codec, cell.pixel_format, count):
        return _ended(cell, ABSENT, "")
    try:
        plan = compiled({"source": decoder(path), "seen": RecordSpec(inputs=("source.video",))})
    except BmfgraphError as error:
        return _ended(cell, error.problems[0].code, error.problems[0].message)
    try:
        run_plan(plan)
    except BmfgraphError as error:
        return _ended(cell, "failed", str(error))
    seen = [entry.pixels for entry in SEEN["seen"]]
    fault = "" if len(seen) == count else f"{len(seen)} frames, not {count}"
    if not fault and (distance := error_of(seen, cell.pixel_format)) > _COARSE.get(cell.codec, 8):
        fault = f"a mean error of {distance:.1f} levels"
    return _ended(cell, "failed" if fault else PASSED, fault)


def _make(path: Path, codec: str, pixel_format: str, count: int = COUNT) -> bool:
    """Write a clip with PyAV; return False if FFmpeg does not write this combination, or cannot read it itself."""
    wide = 8 if codec == "dnxhd" else 1
    try:
        options = {"update": "1"} if path.suffix in (".jpg", ".png", ".tif", ".bmp") else {}
        with av.open(str(path), "w", options=options) as out:
            stream: Any = out.add_stream(codec, rate=25, options=_FAST.get(codec, {}))
            stream.width, stream.height, stream.pix_fmt = WIDTH * wide, HEIGHT * wide, pixel_format
            stream.codec_context.time_base = Fraction(1, 25)
            if codec == "dnxhd":
                stream.codec_context.options = {"profile": "dnxhr_444" if "444" in pixel_format else "dnxhr_hqx"}
            for index in range(count):
                image = np.kron(picture(index), np.ones((wide, wide, 1), np.uint8))
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixel_format)
                frame.pts, frame.time_base = index, Fraction(1, 25)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        # Some combinations are written, and read as something else: no program reads them right.
        pictures = _decoded(path)
        return len(pictures) == count and error_of(pictures, pixel_format) <= _COARSE.get(codec, 8)
    except (av.FFmpegError, ValueError, IndexError):
        with contextlib.suppress(OSError):
            path.unlink()
        return False


def _ended(cell: Cell, result: str, reason: str) -> Cell:
    return Cell(cell.direction, cell.container, cell.codec, cell.pixel_format, result, reason)
