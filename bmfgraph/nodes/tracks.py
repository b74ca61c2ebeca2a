"""Decide how an encoder writes the streams beside the video: copied, encoded again, or left out."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError, Problem
from bmfgraph.media.track_writing import TrackWriting
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.types import AudioSpec, TrackSpec

__all__ = ["CopyingSpec", "TrackPlan", "native_problems", "plan_tracks"]

Part = Literal["audio", "subtitles", "attachments", "data", "chapters", "metadata"]

_ENCODERS = {"aac": "aac", "opus": "libopus", "flac": "flac", "mp3": "libmp3lame", "pcm": "pcm_s16le"}
"""FFmpeg's encoders of the values of ``audio``."""
_CODECS = {"aac": "aac", "opus": "opus", "flac": "flac", "mp3": "mp3", "pcm": "pcm_s16le"}
"""Codecs that they write."""
_PCM = {"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_u8"}
_BIG_PCM = {"pcm_s16be", "pcm_s24be", "pcm_s32be"}
_MP4 = {"aac", "mp3", "mp2", "ac3", "eac3", "opus", "flac", "alac", "dts"}
_TS = {"aac", "mp3", "mp2", "ac3", "eac3", "opus", "dts", "truehd"}
AUDIO: dict[str, set[str]] = {
    "mp4": _MP4,
    "mov": (_MP4 - {"dts", "flac", "opus"}) | _PCM | _BIG_PCM | {"pcm_alaw", "pcm_mulaw"},
    "matroska": _MP4 | _PCM | _BIG_PCM | {"vorbis", "mp1", "mlp", "truehd", "wavpack", "tta", "cook", "pcm_f64le"},
    "webm": {"opus", "vorbis"},
    "avi": {"aac", "mp3", "mp2", "ac3", "eac3", "dts", *_PCM, "pcm_alaw", "pcm_mulaw", "wmav2", "adpcm_ms"},
    "mpegts": _TS,
    "nut": (_MP4 - {"alac", "flac"}) | _PCM | _BIG_PCM | {"vorbis", "wavpack"},
    "hls": {"aac", "mp3", "ac3", "eac3"},
    "dash": {"aac", "opus", "flac", "ac3", "eac3"},
}
"""Audio codecs by container; one that is not listed holds video only."""
_DEFAULT = {"webm": "opus", "avi": "pcm", "matroska": "flac", "nut": "pcm"}
"""``audio`` where a container cannot hold the source's codec, if not aac.

AVI has no place for the delay of a codec, so any but PCM would come late.
"""
_TEXT = {"subrip", "ass", "ssa", "mov_text", "webvtt", "text", "microdvd", "subviewer", "sami", "eia_608"}
SUBTITLES: dict[str, tuple[set[str], str | None]] = {
    "mp4": ({"mov_text"}, "mov_text"),
    "mov": ({"mov_text"}, "mov_text"),
    "matroska": (
        {"subrip", "ass", "ssa", "webvtt", "text", "dvb_subtitle", "dvd_subtitle", "hdmv_pgs_subtitle"},
        "subrip",
    ),
    "webm": ({"webvtt"}, "webvtt"),
    "mpegts": ({"dvb_subtitle"}, None),
    "nut": ({"ass", "ssa", "text"}, "ass"),
}
"""Subtitle codecs by container, and the text format to which others are converted."""
_PICTURES = {"mp4": {"mjpeg", "png", "bmp"}, "matroska": None}
"""Codecs of cover pictures by container; None: all."""
_DATA = {"mpegts": {"klv", "timed_id3"}}
_CHAPTERS = {"mp4", "mov", "matroska", "webm", "nut"}
_TAGS: dict[str, set[str]] = {
    "mp4": {
        *("title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright", "grouping"),
        *("lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords", "episode_sort", "track"),
        *("season_number", "media_type", "hd_video", "gapless_playback", "compilation", "disc", "encoded_by"),
        *(
            "sort_album",
            "sort_artist",
            "sort_name",
            "creation_time",
            "timecode",
            "language",
            "handler_name",
            "location",
        ),
    },
    "avi": {
        *("title", "artist", "album", "comment", "copyright", "date", "genre", "language", "track", "encoded_by"),
    },
    "mpegts": {"title", "service_name", "service_provider", "language"},
    "hls": {"title", "service_name", "service_provider", "language"},
    "dash": {"language"},
}
"""Tags that a container can hold; one that is not listed holds all."""
_TAGS["mov"] = _TAGS["mp4"]
_LOSSY_RATES: dict[str, tuple[int, ...]] = {
    "aac": (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350),
    "opus": (48_000, 24_000, 16_000, 12_000, 8_000),
    "mp3": (48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000),
}
"""Samples per second that encoders take, if not any."""
_MOST_CHANNELS = {"mp3": 2}
_WORD: dict[str, Part] = {
    "audio": "audio",
    "subtitle": "subtitles",
    "attachment": "attachments",
    "picture": "attachments",
    "data": "data",
}
"""The word of ``copy`` for each kind of track."""


with warnings.catch_warnings():
    # pydantic's own method `copy` is deprecated; `model_copy` replaces it.
    warnings.filterwarnings("ignore", 'Field name "copy"', UserWarning)

    class CopyingSpec(NodeSpec):
        """The options of an encoder for the streams beside the video."""

        copy: tuple[Part, ...] = Field(  # type: ignore[assignment]
            default=("audio", "subtitles", "attachments", "data", "chapters", "metadata"),
            description="What is taken over from the source. Attachments are fonts and cover pictures.",
        )
        audio: Literal["copy", "aac", "opus", "flac", "mp3", "pcm", "none"] = Field(
            default="copy",
            description="Copy or encode the audio, or drop it. What the container cannot hold is encoded all the same.",
        )
        audio_bit_rate: int | str | None = Field(
            default=None, description="Bits per second of encoded audio, such as 128k; null: the encoder's own."
        )


@dataclass(frozen=True)
class TrackPlan:
    """What is written beside the video."""

    writings: tuple[TrackWriting, ...] = ()
    chapters: bool = False
    metadata: bool = False
    problems: tuple[Problem, ...] = ()
    """Warnings about what is encoded again or left out although it was to be copied."""

    def __bool__(self) -> bool:
        return bool(self.writings or self.chapters or self.metadata)


def plan_tracks(name: str, spec: CopyingSpec, source: AudioSpec, container: str) -> TrackPlan:
    """Decide how each stream of the source is written.

    Args:
        name: Name of the encoder.
        spec: Its options.
        source: What the source holds beside the video.
        container: FFmpeg's name of the format.

    Raises:
        PlanError: The container cannot hold the audio codec that was chosen.
    """
    if container == "null":
        return TrackPlan()
    where = f"pipeline.nodes.{name}"
    allowed = AUDIO.get(container)
    if allowed is None:
        beside = spec.copy and (source.tracks or source.chapters)
        return TrackPlan(problems=(_nothing(where, source, container),) if beside else ())
    if spec.audio in _CODECS and _CODECS[spec.audio] not in allowed and source.of_kind("audio"):
        raise _no_audio(name, spec.audio, container, allowed)
    writings: list[TrackWriting] = []
    problems: list[Problem] = []
    for track in source.tracks:
        if _WORD[track.kind] not in spec.copy or (track.kind == "audio" and spec.audio == "none"):
            continue
        writing = _writing(track, spec, container)
        if writing is not None:
            writings.append(writing)
        problems += _changes(where, track, writing, spec, container)
    chapters = bool(source.chapters) and "chapters" in spec.copy
    if chapters and container not in _CHAPTERS:
        chapters = False
        problems.append(_lost(where, f"the source's {source.chapters} chapters", container, "chapters"))
    metadata = bool(source.metadata) and "metadata" in spec.copy
    if metadata:
        known = _TAGS.get(container)
        unknown = [tag for tag in source.metadata if known is not None and tag.lower() not in known]
        if unknown:
            problems.append(_lost(where, f"the source's metadata {', '.join(unknown)}", container, "metadata"))
    return TrackPlan(tuple(writings), chapters, metadata, tuple(problems))


def _writing(track: TrackSpec, spec: CopyingSpec, container: str) -> TrackWriting | None:
    """Return how a stream is written; None if the container cannot hold it in any form."""
    copied = TrackWriting(track.stream)
    if track.kind == "audio":
        if not track.codec:
            return None
        if spec.audio == "copy" and track.codec in AUDIO[container]:
            return copied
        choice = spec.audio if spec.audio in _ENCODERS else _DEFAULT.get(container, "aac")
        assert not isinstance(spec.audio_bit_rate, str)
        rate = _rate(choice, track.rate)
        return TrackWriting(track.stream, _ENCODERS[choice], rate, spec.audio_bit_rate)
    if track.kind == "subtitle":
        held, text = SUBTITLES.get(container, (set(), None))
        if track.codec in held:
            return copied
        return TrackWriting(track.stream, text) if text and track.codec in _TEXT else None
    if track.kind == "attachment":
        return copied if container == "matroska" else None
    if track.kind == "picture":
        held_pictures = _PICTURES.get(container, set())
        return copied if held_pictures is None or track.codec in held_pictures else None
    return copied if track.codec in _DATA.get(container, set()) else None


def _rate(choice: str, rate: int) -> int:
    """Return the sample rate of encoded audio: the source's, else the next higher one, else the highest."""
    rates = _LOSSY_RATES.get(choice, (rate,))
    return min((allowed for allowed in rates if allowed >= rate), default=max(rates))


def _changes(
    where: str, track: TrackSpec, writing: TrackWriting | None, spec: CopyingSpec, container: str
) -> Iterator[Problem]:
    """Yield warnings about a stream that is not written as it is."""
    stream = f"stream {track.stream} ({track})"
    if writing is None:
        yield _lost(where, stream, container, _WORD[track.kind])
        return
    if writing.encoder is None:
        return
    choice = next((choice for choice, encoder in _ENCODERS.items() if encoder == writing.encoder), "")
    if track.kind == "subtitle":
        message, hint = f"{stream} becomes {writing.encoder}", "styles may be lost; write .mkv to keep them"
        yield Problem(where, f"{message}, because {container} cannot hold it", codes.CONVERTED_STREAM, hint)
        return
    if spec.audio == "copy":
        message = f"{stream} is encoded as {choice}, because {container} cannot hold it"
        hint = f"set {where}.audio={choice} to say so, or write .mkv"
        yield Problem(where, message, codes.CONVERTED_STREAM, hint)
    changes = []
    if writing.rate != track.rate:
        changes.append(f"resampled from {track.rate} to {writing.rate} Hz")
    if track.channels > _MOST_CHANNELS.get(choice, 8):
        changes.append(f"mixed from {track.channels} channels to {_MOST_CHANNELS.get(choice, 2)}")
    if changes:
        message = f"{stream} is {' and '.join(changes)}, because {choice} has no more"
        if writing.rate > track.rate:
            message = f"{stream} is {' and '.join(changes)}, because {choice} does not have that rate"
        hint = "choose flac and .mkv to keep it as it is"
        yield Problem(where, message, codes.RESAMPLED_AUDIO, hint)


def native_problems(name: str, source: AudioSpec) -> tuple[Problem, ...]:
    """Return a warning about what BMF's own encoder leaves out: all but audio."""
    rest = replace(source, tracks=tuple(track for track in source.tracks if track.kind != "audio"))
    if not (rest.tracks or rest.chapters):
        return ()
    where = f"pipeline.nodes.{name}"
    message = f"the back end bmf writes audio alone beside the video; the file is written without {rest}"
    return (Problem(where, message, codes.LOST_STREAM, f"set {where}.backend=pyav"),)


def _nothing(where: str, source: AudioSpec, container: str) -> Problem:
    message = f"{container} holds pictures alone; the file is written without {source}"
    return Problem(where, message, codes.LOST_STREAM, f"write .mkv, or set {where}.copy=[]")


def _lost(where: str, subject: str, container: str, part: Part) -> Problem:
    hint = f"write .mkv, or leave {part} out of {where}.copy"
    if container == "matroska":
        hint = f"leave {part} out of {where}.copy"
    return Problem(where, f"{container} cannot hold {subject}; the file is written without", codes.LOST_STREAM, hint)


def _no_audio(name: str, audio: str, container: str, allowed: Collection[str]) -> PlanError:
    choices = [choice for choice, codec in _CODECS.items() if codec in allowed]
    return PlanError(
        name,
        f"{container} files cannot hold audio {audio}; allowed: {', '.join(choices) or 'none'}",
        hint=f"set pipeline.nodes.{name}.audio={choices[0] if choices else 'none'}, or write .mkv",
        code=codes.UNSUPPORTED_AUDIO,
    )
