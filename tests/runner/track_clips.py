"""Write clips with several audio streams, subtitles, chapters, attachments and tags, and read them back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.subtitles.subtitle import SubtitleSet
from numpy.typing import NDArray

from tests.runner.media_tools import Sound, _tone, as_yuv, scene

MILLI = Fraction(1, 1000)
HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n"
    b"Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, "
    b"Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, "
    b"MarginV, Encoding\n"
    b"Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0\n\n"
    b"[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)
FONT = b"\x00\x01\x00\x00 a font"


@dataclass(frozen=True)
class Track:
    """An audio stream."""

    sound: Sound
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Text:
    """A subtitle stream: its codec, and text with start and end in milliseconds."""

    codec: str
    lines: Sequence[tuple[int, int, str]]
    tags: Mapping[str, str] = field(default_factory=dict)


def write_tracks(
    path: Path,
    *,
    sounds: Sequence[Track] = (),
    texts: Sequence[Text] = (),
    chapters: Sequence[tuple[int, int, str]] = (),
    tags: Mapping[str, str] | None = None,
    video_tags: Mapping[str, str] | None = None,
    font: bool = False,
    cover: bytes = b"",
    frames: int = 30,
    begin: Fraction = Fraction(0),
    sorted_packets: bool = True,
) -> Path:
    """Write ``frames`` frames of 64x48 at 25 fps from ``begin`` on, and streams beside them."""
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "5"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 25)
        video.metadata.update(video_tags or {})
        streams = [
            (out.add_stream(track.sound.codec, rate=track.sound.rate, layout=track.sound.layout), track)
            for track in sounds
        ]
        for stream, track in streams:
            stream.metadata.update(track.tags)
        written: list[tuple[Any, Text]] = []
        for text in texts:
            target: Any = out.add_stream(text.codec)
            target.codec_context.subtitle_header = HEADER
            target.time_base = MILLI
            target.metadata.update(text.tags)
            written.append((target, text))
        if font:
            out.add_attachment("font.ttf", "application/x-truetype-font", FONT)
        if cover:
            out.add_attachment("cover.png", "image/png", cover)
        out.metadata.update(tags or {})
        out.set_chapters(
            [
                {"id": number + 1, "start": start, "end": end, "time_base": MILLI, "metadata": {"title": title}}
                for number, (start, end, title) in enumerate(chapters)
            ]
        )
        packets: list[Any] = []
        for index in range(frames):
            frame = as_yuv(scene(index, 64, 48), "yuv420p", "bt601", full=False)
            frame.pts, frame.time_base = index + round(begin * 25), Fraction(1, 25)
            packets += video.encode(frame)
        packets += video.encode(None)
        for stream, track in streams:
            packets += _tone(stream, track.sound)
        for target, text in written:
            packets += list(_encoded(target, text))
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base) if sorted_packets else packets:
            out.mux(packet)
    return path


def _encoded(stream: Any, text: Text) -> Iterator[Any]:
    for number, (start, end, line) in enumerate(text.lines):
        dialogue = f"{number},0,Default,,0,0,0,,{line}".encode()
        packet = stream.codec_context.encode_subtitle(SubtitleSet.create(dialogue, 0, end - start, start))
        packet.pts = packet.dts = start
        packet.duration, packet.time_base, packet.stream = end - start, MILLI, stream
        yield packet


def png(value: int = 200) -> bytes:
    """Return a grey picture of 16x16."""
    context: Any = av.CodecContext.create("png", "w")
    context.width = context.height = 16
    context.pix_fmt, context.time_base = "rgb24", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), value, np.uint8), format="rgb24")
    frame.pts = 0
    return bytes((context.encode(frame) + context.encode(None))[0])


def streams_of(path: Path) -> list[tuple[str, str, str]]:
    """Return type, codec and language of each stream."""
    with av.open(str(path)) as container:
        return [
            (
                stream.type,
                stream.codec_context.codec.canonical_name if stream.codec_context else "",
                "" if stream.language in (None, "und") else str(stream.language),
            )
            for stream in container.streams
        ]


def samples_of(path: Path, number: int = 0, rate: int | None = None) -> tuple[Fraction, NDArray[np.float32]]:
    """Decode an audio stream, at its own rate or another.

    Returns:
        The time of the first sample, in seconds from the first frame of the video, and the samples [channels, time].
    """
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0))
        assert picture.pts is not None
        assert picture.time_base is not None
        zero = picture.pts * Fraction(picture.time_base)
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.audio[number]))
        first = frames[0]
        assert first.pts is not None
        assert first.time_base is not None
        resampler = av.AudioResampler(format="fltp", layout=first.layout.name, rate=rate or first.sample_rate)
        parts = [part.to_ndarray() for frame in [*frames, None] for part in resampler.resample(frame)]
        return first.pts * Fraction(first.time_base) - zero, np.concatenate(parts, axis=1).astype(np.float32)


def lines_of(path: Path, number: int = 0) -> list[tuple[int, int, str]]:
    """Return start and end in milliseconds, and text, of a subtitle stream."""
    lines = []
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[number]
        for packet in container.demux(stream):
            subtitle = stream.decode2(packet) if packet.size else None
            for rect in subtitle or ():
                start = round(packet.pts * Fraction(packet.time_base) * 1000)  # type: ignore[operator]
                length = round((packet.duration or 0) * Fraction(packet.time_base) * 1000)
                lines.append((start, start + length, rect.dialogue.decode()))  # type: ignore[attr-defined]
    return lines
