"""A clip at a fraction of its size, so that what a network makes of it can be measured against the clip itself."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from bmfgraph import error_codes as codes
from bmfgraph.errors import RunError
from bmfgraph.media.probe import Media, MediaError, probe
from bmfgraph.system.files import file_sha256, publish, reserve

__all__ = ["Downscaled", "downscaled"]

_VERSION = 1
"""To be raised when other pictures are made of the same clip."""
_SCALING = "bicubic+accurate_rnd+full_chroma_int"
_LOSSLESS, _CLOSE = 0, 2
"""Quantisers of x264. The second keeps 8-bit pictures within about a level, in a profile that every decoder knows."""
_MATRICES = {"bt709": 1, "bt601": 6}
_CONTAINERS = {"matroska": ".mkv", "mp4": ".mp4"}
_TURNS = {0: (), 90: (("transpose", "cclock"),), 180: (("hflip", ""), ("vflip", "")), 270: (("transpose", "clock"),)}
"""FFmpeg's filters that turn a picture by so many degrees against the clock."""

Filters = tuple[tuple[str, str], ...]
"""Names of FFmpeg's filters, with their options."""


class Downscaled(NamedTuple):
    """``clip``: the smaller pictures; ``reference``: the pictures that they were made of, all of them in full."""

    clip: Path
    reference: Path


@dataclass(frozen=True)
class _Wanted:
    """What is made of each frame, and x264's quantiser for 8 bits."""

    filters: Filters
    loss: int


def downscaled(clip: Path, scale: int, folder: Path) -> Downscaled:
    """Reduce width and height by a whole factor, with FFmpeg's bicubic filter, which grows wider as it reduces more.

    At the right and at the bottom so much is left out that the sizes divide by twice the factor. Then, and where the
    clip is stored sideways, the reference is a lossless copy of what remains, upright; else it is the clip itself.
    The reduced clip is H.264 with nearly no loss (about 58 dB), of the same bit depth and chroma, the frames at their
    times, without sound. What is made lies in ``folder`` under the checksum of the clip's bytes, and is made once.
    Raises RunError.
    """
    import av

    if scale < 2:
        raise _failed(f"{scale} is no factor to reduce by", "it is a whole number from 2 on")
    try:
        media = probe(clip, audio=None)
    except MediaError as error:
        raise RunError("input", "downscale", str(error), hint=error.hint, code=error.code) from None
    shown = (media.frames.width, media.frames.height)
    width, height = (side // (2 * scale) * 2 * scale for side in shown)
    if not width or not height:
        raise _failed(f"{str(clip)!r} is {shown[0]}x{shown[1]}: too small to be reduced by {scale}", "use a larger one")
    upright: Filters = (*_TURNS[media.rotation], ("crop", f"w={width}:h={height}:x=0:y=0:exact=1"))
    smaller: Filters = (*upright, ("scale", f"w={width // scale}:h={height // scale}:flags={_SCALING}"))
    wanted: dict[Path, _Wanted] = {}
    try:
        name, extension = f"{file_sha256(clip)[:32]}_x{scale}_v{_VERSION}", _CONTAINERS[_container(media)]
        found = Downscaled(folder / f"{name}{extension}", clip)
        if media.rotation or (width, height) != shown:
            found = found._replace(reference=folder / f"{name}_reference{extension}")
            wanted[found.reference] = _Wanted(upright, _LOSSLESS)
        wanted[found.clip] = _Wanted(smaller, _CLOSE)
        if not all(path.exists() for path in wanted):
            folder.mkdir(parents=True, exist_ok=True)
            _publish(media, wanted)
    except (OSError, av.FFmpegError) as error:
        raise _failed(
            f"{str(clip)!r} cannot be reduced by {scale} ({error.strerror or error})",
            f"try to play it; is there room in {str(folder)!r}, and may it be written to?",
        ) from None
    return found


def _container(media: Media) -> str:
    """Matroska rounds frame times to milliseconds, and counts them from 0: what comes of it goes there again."""
    return "matroska" if media.container == "matroska" else "mp4"


def _failed(text: str, hint: str) -> RunError:
    return RunError("input", "downscale", text, hint=hint, code=codes.DOWNSCALE_FAILURE)


def _publish(media: Media, wanted: Mapping[Path, _Wanted]) -> None:
    """Make all the files, and name them when they are complete."""
    parts: dict[Path, Path] = {}
    try:
        for path in wanted:
            parts[path] = reserve(path)
        _convert(media, {parts[path]: one for path, one in wanted.items()})
        for path, part in parts.items():
            publish(part, path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _convert(media: Media, wanted: Mapping[Path, _Wanted]) -> None:
    import av

    with av.open(str(media.path), metadata_errors="replace") as container, contextlib.ExitStack() as stack:
        stream = container.streams[media.video_stream]
        assert isinstance(stream, av.VideoStream)
        stream.thread_type = "AUTO"
        aspect = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
        outputs = [
            stack.enter_context(contextlib.closing(_Output(path, one, media, aspect))) for path, one in wanted.items()
        ]
        kind = None
        for number, frame in enumerate(container.decode(stream)):
            kind = kind or (frame.width, frame.height, frame.format.name)
            if (frame.width, frame.height, frame.format.name) != kind:
                raise _failed(f"{str(media.path)!r} changes its pictures' size or format", "cut it there")
            if frame.pts is None:
                frame.pts = round(number / media.frames.rate / media.frames.time_base)
            for output in outputs:
                output.write(frame)
        for output in outputs:
            output.finish()


class _Output:
    """A file that is being written. ``aspect``: how much wider than high the clip's stored pixels are."""

    def __init__(self, path: Path, wanted: _Wanted, media: Media, aspect: Fraction) -> None:
        import av

        self._media, self._wanted = media, wanted
        self._aspect = 1 / aspect if media.rotation in (90, 270) else aspect
        form, ticks = _container(media), str(media.frames.time_base.denominator)
        # Both scales: the file's own one says when the first frame is shown.
        options = {"video_track_timescale": ticks, "movie_timescale": ticks} if form == "mp4" else {}
        self._container = av.open(str(path), "w", format=form, options=options)
        self._graph: Any = None
        self._stream: Any = None

    def write(self, frame: Any) -> None:
        """Take in the next frame."""
        if self._graph is None:
            self._graph = self._made(frame)
        self._graph.vpush(frame)
        made = self._graph.vpull()
        if self._stream is None:
            self._stream = self._added(made)
        self._container.mux(self._stream.encode(made))

    def _made(self, frame: Any) -> Any:
        import av

        graph = av.filter.Graph()
        base = self._media.frames.time_base
        # With its colours, which would count as changed on the way if they came with the frames alone.
        source = graph.add(
            "buffer",
            f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base={base.numerator}/"
            f"{base.denominator}:colorspace={int(frame.colorspace)}:range={int(frame.color_range)}",
        )
        # FFmpeg itself chooses among the encoder's formats the one that loses least.
        formats = "|".join(one.name for one in av.Codec(_encoder(frame), "w").video_formats or ())
        filters = [graph.add(name, text) for name, text in (*self._wanted.filters, ("format", formats))]
        graph.link_nodes(source, *filters, graph.add("buffersink")).configure()
        return graph

    def _added(self, frame: Any) -> Any:
        from av.codec.context import Flags

        depth = max(component.bits for component in frame.format.components)
        loss = self._wanted.loss + 6 * (depth - 8) if self._wanted.loss else 0
        options = {"preset": "ultrafast", "qp": str(loss)}
        stream: Any = self._container.add_stream(_encoder(frame), rate=self._media.frames.rate, options=options)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
        context = stream.codec_context
        context.flags |= Flags.frame_duration
        context.time_base, context.sample_aspect_ratio = self._media.frames.time_base, self._aspect
        context.colorspace, context.color_range = self._colors(frame)
        context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc
        return stream

    def _colors(self, frame: Any) -> tuple[int, int]:
        """Matrix and range, in the numbers of ITU-T H.273 and FFmpeg."""
        color = self._media.frames.color
        if frame.format.is_rgb:
            # With another matrix, whoever reads the file would take it for YUV.
            return 0, 2
        # What players take for the matrix depends on the size, where nothing says it.
        return int(frame.colorspace) if color.tagged else _MATRICES[color.matrix], int(frame.color_range)

    def finish(self) -> None:
        """Write what the encoder still holds."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))

    def close(self) -> None:
        self._container.close()


def _encoder(frame: Any) -> str:
    return "libx264rgb" if frame.format.is_rgb else "libx264"
