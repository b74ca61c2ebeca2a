"""Downscale a clip, so that the output of a network can be measured against the clip itself."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from bmfgraph import error_codes as codes
from bmfgraph.errors import RunError
from bmfgraph.media.frame_chain import turn_steps
from bmfgraph.media.frame_facts import Orientation
from bmfgraph.media.opening import open_video
from bmfgraph.media.probe import Media, MediaError, probe
from bmfgraph.system.files import file_sha256
from bmfgraph.system.temporary import publish, reserved

__all__ = ["Downscaled", "downscaled"]

_VERSION = 2
"""Part of the file names. Increase it when the same clip gives other frames."""
_SCALING = "bicubic+accurate_rnd+full_chroma_int"
_LOSSLESS, _CLOSE = 0, 2
"""Quantizers of x264. The second keeps 8-bit samples within about one level, in a profile that all decoders support."""
_MATRICES = {"bt709": 1, "bt601": 6}
"""MatrixCoefficients of ITU-T H.273."""
_CONTAINERS = {"matroska": ".mkv", "mp4": ".mp4"}

Filters = tuple[tuple[str, str], ...]
"""Names of FFmpeg's filters with their options."""


_HIGHEST_RATE = 120
"""Frames per second of a clip whose own times cannot be kept. Only the order of its frames matters."""


class _UnusableTimesError(Exception):
    """A frame has no time, or is not later than the one before."""


class Downscaled(NamedTuple):
    """A downscaled clip and the frames that it was computed from."""

    clip: Path
    reference: Path


@dataclass(frozen=True)
class _Recipe:
    """The computation of the frames of an output file."""

    filters: Filters
    quantizer: int
    """Quantizer of x264 for 8 bits; 0 is lossless."""


def downscaled(clip: Path, scale: int, folder: Path) -> Downscaled:
    """Divide width and height by a factor with FFmpeg's bicubic filter, whose support grows with the factor.

    The right and bottom edges are cropped so that the sizes are multiples of twice the factor. If this removes
    something, or if the clip is stored rotated, the reference is a lossless, upright copy of the cropped clip.
    Otherwise it is the clip itself.

    The downscaled clip is H.264 with almost no loss (about 58 dB). Bit depth, chroma format and frame times stay;
    audio is dropped. If a frame has no time, or the same as the one before, players drop frames; then all frames get
    new times, one after the other at a constant rate. Existing files of the same clip are reused.

    Args:
        clip: The clip.
        scale: The factor, at least 2.
        folder: Where the files are written. Their names contain the checksum of the clip.

    Raises:
        RunError: The factor is below 2, the clip is too small or cannot be read, or the files cannot be written.
    """
    import av

    if scale < 2:
        raise _error(f"cannot reduce by {scale}", "use a whole number from 2 on")
    try:
        media = probe(clip, audio=None)
    except MediaError as error:
        raise RunError("input", "downscale", str(error), hint=error.hint, code=error.code, path="input") from None
    size = (media.frames.width, media.frames.height)
    width, height = (side // (2 * scale) * 2 * scale for side in size)
    if not width or not height:
        raise _error(f"{str(clip)!r} is {size[0]}x{size[1]}: too small to be reduced by {scale}", "use a larger one")
    turn = turn_steps(Orientation(media.rotation, media.mirrored))
    upright: Filters = (*turn, ("crop", f"w={width}:h={height}:x=0:y=0:exact=1"))
    smaller: Filters = (*upright, ("scale", f"w={width // scale}:h={height // scale}:flags={_SCALING}"))

    def files(media: Media, mark: str) -> tuple[Downscaled, dict[Path, _Recipe]]:
        name, extension = f"{checksum[:32]}_x{scale}_v{_VERSION}{mark}", _CONTAINERS[_container(media)]
        result, recipes = Downscaled(folder / f"{name}{extension}", clip), dict[Path, _Recipe]()
        if turn or (width, height) != size:
            result = result._replace(reference=folder / f"{name}_reference{extension}")
            recipes[result.reference] = _Recipe(upright, _LOSSLESS)
        recipes[result.clip] = _Recipe(smaller, _CLOSE)
        return result, recipes

    try:
        checksum = file_sha256(clip)
        numbered = _with_constant_rate(media)
        kept, new = files(media, ""), files(numbered, "_numbered")
        for result, recipes in (kept, new):
            if all(path.is_file() for path in recipes):
                return result
        folder.mkdir(parents=True, exist_ok=True)
        try:
            result = kept[0]
            _publish(media, kept[1], keep_times=True)
        except _UnusableTimesError:
            result = new[0]
            _publish(numbered, new[1], keep_times=False)
    except (OSError, av.FFmpegError) as error:
        raise _error(
            f"{str(clip)!r} cannot be reduced by {scale} ({error.strerror or error})",
            f"play the clip to check it; check the free space and the permissions of {str(folder)!r}",
        ) from None
    return result


def _with_constant_rate(media: Media) -> Media:
    """Return the description of the same frames in an MP4 file, with a new time for each."""
    rate = min(media.frames.rate, Fraction(_HIGHEST_RATE))
    return replace(media, container="mp4", frames=replace(media.frames, rate=rate, time_base=1 / rate))


def _container(media: Media) -> str:
    """Return the output format. Matroska rounds times to milliseconds and counts from 0, so Matroska stays Matroska."""
    return "matroska" if media.container == "matroska" else "mp4"


def _error(text: str, hint: str) -> RunError:
    return RunError("input", "downscale", text, hint=hint, code=codes.DOWNSCALE_FAILURE, path="input")


def _publish(media: Media, recipes: Mapping[Path, _Recipe], *, keep_times: bool) -> None:
    """Write all files, and rename them when they are complete."""
    with contextlib.ExitStack() as stack:
        parts = {path: stack.enter_context(reserved(path)) for path in recipes}
        _convert(media, {parts[path]: recipe for path, recipe in recipes.items()}, keep_times=keep_times)
        for path, part in parts.items():
            publish(part, path)


def _convert(media: Media, recipes: Mapping[Path, _Recipe], *, keep_times: bool) -> None:
    import av

    with open_video(media.path, media.protocols) as container, contextlib.ExitStack() as stack:
        stream = container.streams[media.video_stream]
        assert isinstance(stream, av.VideoStream)
        stream.thread_type = "AUTO"
        aspect = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
        outputs = [
            stack.enter_context(contextlib.closing(_Output(path, recipe, media, aspect)))
            for path, recipe in recipes.items()
        ]
        first, last = None, None
        for number, frame in enumerate(container.decode(stream)):
            size_and_format = (frame.width, frame.height, frame.format.name)
            first = first or size_and_format
            if size_and_format != first:
                raise _error(f"{str(media.path)!r}: frame {number} has another size or format", "cut the clip there")
            if not keep_times:
                frame.pts, frame.time_base = number, media.frames.time_base
            elif frame.pts is None or (last is not None and frame.pts <= last):
                raise _UnusableTimesError
            last = frame.pts
            for output in outputs:
                output.write(frame)
        for output in outputs:
            output.finish()


class _Output:
    """A file that is being written. ``aspect`` is the sample aspect ratio of the clip."""

    def __init__(self, path: Path, recipe: _Recipe, media: Media, aspect: Fraction) -> None:
        import av

        self._media, self._recipe = media, recipe
        self._aspect = 1 / aspect if media.rotation in (90, 270) else aspect
        container_format, ticks = _container(media), str(media.frames.time_base.denominator)
        # The start time of the first frame is stored on the movie's time scale, so both scales are set.
        options = {"video_track_timescale": ticks, "movie_timescale": ticks} if container_format == "mp4" else {}
        self._container = av.open(str(path), "w", format=container_format, options=options)
        self._graph: Any = None
        self._stream: Any = None

    def write(self, frame: Any) -> None:
        """Filter and encode the next frame."""
        if self._graph is None:
            self._graph = self._create_graph(frame)
        self._graph.vpush(frame)
        filtered = self._graph.vpull()
        if self._stream is None:
            self._stream = self._add_stream(filtered)
        self._container.mux(self._stream.encode(filtered))

    def _create_graph(self, frame: Any) -> Any:
        import av

        graph = av.filter.Graph()
        base = self._media.frames.time_base
        # The source states the colours, because the graph would otherwise see them change with the first frame.
        source = graph.add(
            "buffer",
            f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base={base.numerator}/"
            f"{base.denominator}:colorspace={int(frame.colorspace)}:range={int(frame.color_range)}",
        )
        # From this list of the encoder's formats, FFmpeg chooses the format that loses least.
        formats = "|".join(pixel_format.name for pixel_format in av.Codec(_encoder(frame), "w").video_formats or ())
        filters = [graph.add(name, text) for name, text in (*self._recipe.filters, ("format", formats))]
        graph.link_nodes(source, *filters, graph.add("buffersink")).configure()
        return graph

    def _add_stream(self, frame: Any) -> Any:
        from av.codec.context import Flags

        depth = max(component.bits for component in frame.format.components)
        # x264 counts quantizers from 8 bits; 6 more for each further bit give the same relative loss.
        quantizer = self._recipe.quantizer + 6 * (depth - 8) if self._recipe.quantizer else 0
        options = {"preset": "ultrafast", "qp": str(quantizer)}
        stream: Any = self._container.add_stream(_encoder(frame), rate=self._media.frames.rate, options=options)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
        context = stream.codec_context
        context.flags |= Flags.frame_duration
        context.time_base, context.sample_aspect_ratio = self._media.frames.time_base, self._aspect
        context.colorspace, context.color_range = self._colors(frame)
        context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc
        return stream

    def _colors(self, frame: Any) -> tuple[int, int]:
        """Return the matrix (MatrixCoefficients of ITU-T H.273) and the range (AVColorRange of FFmpeg)."""
        color = self._media.frames.color
        if frame.format.is_rgb:
            # With another matrix, players would read the file as YUV.
            return 0, 2
        # Players guess the matrix of untagged video from its size, which changes here, so the output is tagged.
        return int(frame.colorspace) if color.tagged else _MATRICES[color.matrix], int(frame.color_range)

    def finish(self) -> None:
        """Write the frames that the encoder still holds."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))

    def close(self) -> None:
        self._container.close()


def _encoder(frame: Any) -> str:
    return "libx264rgb" if frame.format.is_rgb else "libx264"
