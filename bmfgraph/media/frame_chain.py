"""Make the frames of a clip from decoded ones: without fields, upright, of one size and pixel format, cut to size."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bmfgraph import error_codes as codes
from bmfgraph.errors import UnplacedError
from bmfgraph.media.filtering import FilterStep, FrameFilter
from bmfgraph.media.frame_facts import Orientation, color_of, has_exif, orientation_of, without_exif
from bmfgraph.media.frame_selection import Timed
from bmfgraph.media.reading import VideoReading
from bmfgraph.plan.types import ColorSpec

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = ["FrameChain", "FrameChangeError", "turn_steps", "upright_format"]

_SCALING = "bicubic+accurate_rnd+full_chroma_int"
_TURNS: dict[Orientation, tuple[FilterStep, ...]] = {
    Orientation(0): (),
    Orientation(90): (("transpose", "cclock"),),
    # vflip would make rows run backwards in memory.
    Orientation(180): (("transpose", "clock"), ("transpose", "clock")),
    Orientation(270): (("transpose", "clock"),),
    Orientation(0, True): (("hflip", ""),),
    Orientation(90, True): (("transpose", "cclock_flip"),),
    Orientation(180, True): (("transpose", "cclock_flip"), ("transpose", "cclock")),
    Orientation(270, True): (("transpose", "clock_flip"),),
}
_SQUARE_CHROMA = {"411": "444", "422": "444", "440": "444", "410": "410"}
_PACKED = {"yuyv422": "yuv444p", "uyvy422": "yuv444p", "yvyu422": "yuv444p", "nv16": "yuv444p", "uyyvyy411": "yuv444p"}
_PACKED |= {"p210le": "yuv444p10le", "p212le": "yuv444p12le", "p216le": "yuv444p16le", "nv20le": "yuv444p10le"}
_PACKED |= {"y210le": "yuv444p10le", "y212le": "yuv444p12le", "pal8": "rgba", "monow": "gray", "monob": "gray"}


class FrameChangeError(UnplacedError):
    """The frames of a clip change their size.

    Attributes:
        frame: Number of the first frame of the new size, from the start of the clip.
        time: Its time in seconds.
    """

    def __init__(self, message: str, hint: str, frame: int, time: Fraction) -> None:
        super().__init__(message, hint, code=codes.FRAME_SIZE_CHANGE)
        self.frame, self.time = frame, time


@dataclass(frozen=True)
class _Format:
    """The properties of stored frames that filters depend on."""

    width: int
    height: int
    pixel_format: str
    color: ColorSpec
    orientation: Orientation
    aspect: Fraction

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as displayed."""
        return (self.height, self.width) if self.orientation.sideways else (self.width, self.height)

    def __str__(self) -> str:
        width, height = self.size
        return f"{width}x{height} {self.pixel_format} {self.color}"


@dataclass
class _Change:
    """Frames whose format differs from the plan's: how many, and the time of the first in seconds."""

    count: int = 0
    time: Fraction = Fraction(0)


class FrameChain:
    """Filter the frames of a clip: one frame for each, in order."""

    def __init__(self, reading: VideoReading, time_base: Fraction) -> None:
        """Keep the settings; the filters are made for the first frame, and anew where the frames change.

        Args:
            reading: The frames that the plan expects, and the settings.
            time_base: Seconds per tick.
        """
        self._reading, self._time_base = reading, time_base
        self._orientation = Orientation(reading.rotation, reading.mirrored)
        self._key: tuple[object, ...] | None = None
        self._format: _Format | None = None
        self._filter: FrameFilter | None = None
        self._aspect: Fraction | None = None
        """Aspect of the first frame's pixels."""
        self._times: deque[tuple[int, int]] = deque()
        """Time and duration of the frames inside the filters."""
        self._count = 0
        self._changes: dict[_Format, _Change] = {}
        self._change: _Change | None = None
        """The entry of the frames that are pushed now."""

    @property
    def changes(self) -> list[str]:
        """What was converted to the format of the other frames, such as ``5 frames from 0.200 s on are …``."""
        reading = self._reading
        wanted = f"{reading.width}x{reading.height} {reading.pixel_format} {reading.color}"
        return [
            f"{change.count} frame{'s' * (change.count != 1)} from {float(change.time):.3f} s on "
            f"{'are' if change.count != 1 else 'is'} {form}, and became {wanted}"
            for form, change in self._changes.items()
        ]

    def push(self, timed: Timed, aspect: Fraction) -> Iterator[Timed]:
        """Yield the frames that are ready once the chain has this one.

        Args:
            timed: A decoded frame.
            aspect: Width of its pixels divided by their height.

        Raises:
            FrameChangeError: Its size differs, and ``size_change`` is ``refuse``.
            av.FFmpegError: A filter fails.
        """
        picture = timed.picture
        key = (
            picture.width,
            picture.height,
            picture.format.name,
            picture.colorspace,
            picture.color_range,
            picture.color_trc,
            picture.rotation,
            aspect,
        )
        if key != self._key:
            form = self._format_of(picture, aspect)
            if form != self._format:
                self._check_size(form, timed)
                yield from self._flushed()
                steps = self._steps(form, picture)
                self._filter, self._format = FrameFilter(steps) if steps else None, form
            self._key = key
        self._count += 1
        if self._change is not None:
            if not self._change.count:
                self._change.time = timed.pts * self._time_base
            self._change.count += 1
        if self._filter is None:
            yield timed
        else:
            self._times.append((timed.pts, timed.duration))
            yield from map(self._timed, self._filter.push(picture))

    def finish(self) -> Iterator[Timed]:
        """Yield the frames that the filters still hold."""
        yield from self._flushed()

    def _flushed(self) -> Iterator[Timed]:
        if self._filter is not None:
            yield from map(self._timed, self._filter.finish())

    def _timed(self, picture: VideoFrame) -> Timed:
        return Timed(picture, *self._times.popleft())

    def _format_of(self, picture: Any, aspect: Fraction) -> _Format:
        # The display matrix of a SEI may come with the first frame alone.
        self._orientation = orientation_of(picture) or self._orientation
        self._aspect = self._aspect or aspect
        return _Format(
            picture.width,
            picture.height,
            picture.format.name,
            color_of(picture),
            self._orientation,
            aspect / self._aspect,
        )

    def _check_size(self, form: _Format, timed: Timed) -> None:
        reading = self._reading
        if form.size == (reading.width, reading.height) or reading.size_change == "letterbox":
            return
        width, height = form.size
        time = timed.pts * self._time_base
        end = math.floor((Fraction(str(reading.start or 0)) + time) * 10**6) / 10**6
        raise FrameChangeError(
            f"the picture becomes {width}x{height}; up to here it was {reading.width}x{reading.height}"
            if self._count
            else f"the picture is {width}x{height}, but the file says {reading.width}x{reading.height}",
            (f"set decoder.end={end:g} to stop there, or " if self._count else "set ")
            + "decoder.size_change=letterbox to fit all frames into the first size",
            self._count,
            time,
        )

    def _steps(self, form: _Format, picture: Any) -> list[FilterStep]:
        """Return the filters for frames of a format."""
        reading = self._reading
        turn = _TURNS[form.orientation]
        steps: list[FilterStep] = []
        if has_exif(picture):
            steps.append(without_exif())
        if reading.deinterlace:
            parity = reading.deinterlace if reading.deinterlace in ("tff", "bff") else "auto"
            frames = "interlaced" if reading.deinterlace == "flagged" else "all"
            steps.append(("bwdif", f"mode=send_frame:parity={parity}:deint={frames}"))
        if turn:
            steps += [*turn, ("sidedata", "mode=delete:type=DISPLAYMATRIX")]
        upright = upright_format(form.pixel_format, form.orientation)
        converted = self._conversion(form, upright)
        if converted or turn or reading.deinterlace:
            # FFmpeg converts by itself to a format that the filters take.
            steps += converted or [("format", upright)]
        if reading.crop:
            left, top, width, height = reading.crop
            steps.append(("crop", f"{width}:{height}:{left}:{top}:exact=1"))
        return steps

    def _conversion(self, form: _Format, pixel_format: str) -> list[FilterStep]:
        """Return the filters that give upright frames the size, pixel format and colours of the plan."""
        reading = self._reading
        source, target = form.color, reading.color
        same_color = (source.matrix, source.full_range) == (target.matrix, target.full_range)
        same_size = form.size == (reading.width, reading.height) and form.aspect == 1
        self._change = None
        if same_size and same_color and pixel_format == reading.pixel_format:
            return []
        self._change = self._changes.setdefault(form, _Change())
        width, height = self._fitted(form)
        terms = [f"{width}:{height}"]
        for side, color in (("in", source), ("out", target)):
            if color.matrix != "rgb":
                terms.append(f"{side}_color_matrix={color.matrix}:{side}_range={'pc' if color.full_range else 'tv'}")
        return [
            ("scale", ":".join((*terms, f"flags={_SCALING}"))),
            ("format", reading.pixel_format),
            ("pad", f"{reading.width}:{reading.height}:(ow-iw)/2:(oh-ih)/2"),
        ]

    def _fitted(self, form: _Format) -> tuple[int, int]:
        """Return the largest size of these frames, in pixels of the first frame's aspect, inside the first size."""
        reading = self._reading
        width, height = form.size
        pixel = 1 / form.aspect if form.orientation.sideways else form.aspect
        factor = min(Fraction(reading.width) / (width * pixel), Fraction(reading.height, height))
        return max(1, round(width * pixel * factor)), max(1, round(height * factor))


def turn_steps(orientation: Orientation) -> tuple[FilterStep, ...]:
    """Return the filters that make stored frames upright."""
    return _TURNS[orientation]


def upright_format(pixel_format: str, orientation: Orientation) -> str:
    """Return the pixel format of frames after their rotation; a quarter turn needs chroma as fine in both directions.

    Args:
        pixel_format: FFmpeg's name of the stored frames' format.
        orientation: The way from stored to displayed frames.
    """
    if not orientation.sideways:
        return pixel_format
    for sampling, square in _SQUARE_CHROMA.items():
        if pixel_format.startswith((f"yuv{sampling}p", f"yuva{sampling}p", f"yuvj{sampling}p")):
            return pixel_format.replace(sampling, square, 1)
    return _PACKED.get(pixel_format, pixel_format)
