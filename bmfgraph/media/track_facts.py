"""List the streams beside the video of a file, and choose among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from bmfgraph import error_codes as codes
from bmfgraph.errors import MediaError
from bmfgraph.plan.types import AudioSpec, TrackSpec

__all__ = ["TrackChoice", "is_picture", "kept_metadata", "no_stream", "tracks_of"]

TrackChoice = Literal["all"] | int | str | tuple[int | str, ...] | None
"""All streams of a kind, those of some indices or languages, or none."""

_OF_THE_FILE = frozenset(
    (
        *("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "rotate", "vendor_id"),
        *("filename", "mimetype", "wm/encodingsettings", "variant_bitrate"),
    )
)
"""Tags that describe the file as it was stored, not the clip; in lower case."""
_STATISTICS = ("_statistics_", "bps", "number_of_frames", "number_of_bytes", "duration-")
"""Beginnings of tags that mkvmerge writes."""
_UNSAID = {"language": ("und", ""), "handler_name": ("VideoHandler", "SoundHandler", "SubtitleHandler", "DataHandler")}
"""Values that muxers write where they know nothing."""


def tracks_of(
    path: Path | str, container: Any, video: Any, *, audio: TrackChoice, subtitles: TrackChoice
) -> AudioSpec | None:
    """Describe what a file holds beside a video stream; None if that is nothing.

    Args:
        path: The file, for messages.
        container: PyAV's container.
        video: The video stream.
        audio: The audio streams; 0 accepts a file without any.
        subtitles: The subtitle streams.

    Raises:
        MediaError: A chosen stream does not exist.
    """
    chosen = {
        *_chosen(path, "audio", container.streams.audio, audio),
        *_chosen(path, "subtitles", container.streams.subtitles, subtitles),
    }
    tracks = [_track(stream) for stream in container.streams if stream in chosen or _comes_along(stream)]
    metadata = set(kept_metadata(container.metadata)) | set(kept_metadata(video.metadata))
    spec = AudioSpec(tuple(tracks), chapters=len(container.chapters()), metadata=tuple(sorted(metadata)))
    return spec if tracks or spec.chapters or metadata else None


def is_picture(stream: Any) -> bool:
    """Return whether a stream of PyAV is a cover picture."""
    from av.stream import Disposition

    return bool(stream.type == "video" and stream.disposition & Disposition.attached_pic)


def kept_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a file or a stream that describe the clip itself: title, date, language, time code."""
    # FFmpeg writes the title of a stream of an MP4 file, and reads it as its name.
    titles = {"name": "title"} if "title" not in metadata else {}
    return {
        titles.get(key, key): value
        for key, value in metadata.items()
        if key.lower() not in _OF_THE_FILE
        and not key.lower().startswith(_STATISTICS)
        and value not in _UNSAID.get(key, ())
    }


def _comes_along(stream: Any) -> bool:
    """Return whether a stream is taken without being chosen."""
    from av.stream import Discard

    # Muxers write the names of chapters and time codes again, from the chapters and tags.
    described = stream.discard == Discard.all or "timecode" in stream.metadata
    return is_picture(stream) or (stream.type in ("data", "attachment") and not described)


def _track(stream: Any) -> TrackSpec:
    context = stream.codec_context
    # FFmpeg names the codec of data, and has no decoder for it.
    named = stream.name if stream.type == "data" else ""
    codec = context.codec.canonical_name if context is not None else named or ""
    language = stream.language if stream.language not in (None, "und") else ""
    sound = (context.sample_rate, context.channels) if stream.type == "audio" and context is not None else (0, 0)
    return TrackSpec(stream.index, "picture" if is_picture(stream) else stream.type, codec, language, *sound)


def _chosen(path: Path | str, kind: str, streams: Sequence[Any], choice: TrackChoice) -> list[Any]:
    if choice is None or (choice == 0 and not streams):
        return []
    if choice == "all":
        return list(streams)
    found = []
    for item in choice if isinstance(choice, tuple) else (choice,):
        if isinstance(item, int):
            matches = list(streams[item : item + 1])
        else:
            matches = [stream for stream in streams if (stream.language or "").lower() == item.lower()]
        if not matches:
            raise no_stream(path, kind, [stream.language or "und" for stream in streams], item)
        found += matches
    return found


def no_stream(path: Path | str, kind: str, languages: Sequence[str], item: int | str) -> MediaError:
    """Return the error that a file does not have a stream.

    Args:
        path: The file.
        kind: The field of the decoder: ``video``, ``audio`` or ``subtitles``.
        languages: Languages of all streams of that kind.
        item: Index or language that was asked for.
    """
    noun, count = kind.removesuffix("s"), len(languages)
    streams = f"{count} {noun} streams, counted from 0" if count > 1 else f"{count or 'no'} {noun} stream"
    if isinstance(item, int):
        which, allowed = f"stream {item}", [str(index) for index in range(count)]
    else:
        which, allowed = f"stream of language {item!r}", list(dict.fromkeys(languages))
    return MediaError(
        f"input {str(path)!r} has {streams}: there is no {which}",
        f"set `{kind}` to one of: {', '.join(allowed)}" if count else f"leave `{kind}` out",
        code=codes.STREAM_NOT_FOUND,
    )
