"""Check that codec, container, options and frames of an encoder fit together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError, did_you_mean
from bmfgraph.media.naming import PICTURE_NUMBER
from bmfgraph.nodes.codecs import CODECS
from bmfgraph.nodes.containers import AUDIO_IN, MOST_FRAMES, PICTURES, VIDEO_IN
from bmfgraph.nodes.pixel_formats import NATIVE_FORMATS, PIXEL_FORMATS, formats_in
from bmfgraph.plan.types import AudioSpec, FrameSpec, PortType, sampling_of

if TYPE_CHECKING:
    from bmfgraph.nodes.encoder import EncoderSpec

__all__ = ["NATIVE_CODECS", "check_codec", "check_frames", "check_native", "written_audio"]

NATIVE_CODECS = ("x264", "x265", "nvenc", "vp9", "mpeg4")
_NATIVE_CONTAINERS = ("mp4", "mov", "matroska", "webm", "avi", "mpegts", "null")
"""Codecs and containers of BMF's own encoder with FFmpeg 4."""


def check_codec(name: str, spec: EncoderSpec, codec: str, container: str) -> None:
    """Refuse options that the codec does not have, and a codec that the container cannot hold.

    Args:
        name: Name of the node.
        spec: Its options.
        codec: The codec, chosen or by default.
        container: FFmpeg's name of the format.

    Raises:
        PlanError: They do not fit.
    """
    if container == "image2" and codec != (own := PICTURES.get(Path(spec.path or "").suffix.lower(), codec)):
        raise PlanError(
            name,
            f"path {spec.path!r}: pictures with this extension have codec {own}, not {codec}",
            hint=f"leave pipeline.nodes.{name}.codec out (encoder=auto), or choose another extension",
            code=codes.CODEC_CONTAINER_CONFLICT,
        )
    if container == "hls" and (number := PICTURE_NUMBER.search(str(Path(spec.path or "").absolute()))):
        raise PlanError(
            name,
            f"path {spec.path!r}: FFmpeg's writer of HLS puts a number in the place of {number[0]!r}",
            hint=f"set pipeline.nodes.{name}.path to a name without it, in a folder without it",
            code=codes.INVALID_SEQUENCE_NAME,
        )
    if codec not in VIDEO_IN[container]:
        raise PlanError(
            name,
            f"{container} files cannot hold codec {codec}; allowed: {', '.join(sorted(VIDEO_IN[container]))}",
            hint="choose another codec (encoder=...) or another extension",
            code=codes.CODEC_CONTAINER_CONFLICT,
        )
    _check_quality(name, spec, codec)
    known = CODECS[codec]
    for field, value, allowed, code in (
        ("preset", spec.preset, known.presets, codes.UNSUPPORTED_PRESET),
        ("tune", spec.tune, known.tunes, codes.UNSUPPORTED_TUNE),
    ):
        if value is not None and str(value) not in allowed:
            others = [other for other, entry in CODECS.items() if getattr(entry, f"{field}s")]
            fault = f"has no such {field}{did_you_mean(str(value), allowed)}; allowed: {', '.join(allowed)}"
            raise PlanError(
                name,
                f"{field} {value}: codec {codec} {fault}"
                if allowed
                else f"{field} {value}: codec {codec} has no {field}s; only {', '.join(others)} have",
                hint=f"set pipeline.nodes.{name}.{field}=null",
                code=code,
            )
    if spec.passes > known.passes:
        able = ", ".join(other for other, entry in CODECS.items() if entry.passes > 1)
        raise PlanError(
            name,
            f"passes {spec.passes}: codec {codec} makes one pass here; only {able} make two",
            hint=f"set pipeline.nodes.{name}.passes=1",
            code=codes.UNSUPPORTED_PASSES,
        )
    if spec.passes > 1 and spec.bit_rate is None:
        raise PlanError(
            name,
            "two passes aim at a bit rate, and none is set",
            hint=f"set pipeline.nodes.{name}.bit_rate, such as 4M; constant quality needs one pass",
            code=codes.UNSUPPORTED_PASSES,
        )
    if spec.passes > 1 and spec.pixel_format in ("nv12", "gbrp"):
        raise PlanError(
            name,
            f"two passes keep the frames in FFV1, which has no pixel_format {spec.pixel_format}",
            hint=f"set pipeline.nodes.{name}.pixel_format=null, or passes=1",
            code=codes.UNSUPPORTED_PASSES,
        )
    if spec.faststart and container not in ("mp4", "mov", "null"):
        raise PlanError(
            name,
            f"faststart: {container} has no index that could lie at the start",
            hint=f"set pipeline.nodes.{name}.faststart=false, or write .mp4 or .mov",
            code=codes.INVALID_ENCODER_OPTION,
        )
    finest = str(spec.preset).startswith("444")
    if codec == "prores" and spec.preset and spec.pixel_format and ("444" in spec.pixel_format) != finest:
        raise PlanError(
            name,
            f"preset {spec.preset}: this kind of ProRes has 4:{'4:4' if finest else '2:2'}, not {spec.pixel_format}",
            hint=f"set pipeline.nodes.{name}.pixel_format=null",
            code=codes.INVALID_ENCODER_OPTION,
        )
    if container == "yuv4mpegpipe" and (spec.pixel_format or "").startswith(("rgb", "nv", "p0")):
        raise PlanError(
            name,
            f"y4m cannot hold pixel_format {spec.pixel_format}, only planar YUV and grey",
            hint=f"set pipeline.nodes.{name}.pixel_format=null, or write .nut",
            code=codes.UNSUPPORTED_PIXEL_FORMAT,
        )
    formats = NATIVE_FORMATS if spec.backend == "bmf" else formats_in(known.encoder, container)
    if spec.pixel_format is not None and spec.pixel_format not in formats:
        place = "" if spec.pixel_format not in PIXEL_FORMATS[known.encoder] else f" in {container}"
        place = " with backend: bmf" if spec.backend == "bmf" else place
        raise PlanError(
            name,
            f"codec {codec}{place} supports pixel_format {', '.join(formats)}, not {spec.pixel_format}",
            hint=f"set pipeline.nodes.{name}.pixel_format to one of them, or to null",
            code=codes.UNSUPPORTED_PIXEL_FORMAT,
        )


def check_native(name: str, codec: str, container: str, audio: str) -> None:
    """Refuse codecs, containers and kinds of audio that BMF's own encoder does not write.

    Raises:
        PlanError: It does not write them.
    """
    for kind, value, allowed in (
        ("codec", codec, NATIVE_CODECS),
        ("container", container, _NATIVE_CONTAINERS),
        ("audio", audio, ("copy", "aac", "none")),
    ):
        if value not in allowed:
            raise PlanError(
                name,
                f"{kind} {value}: the back end bmf does not write it; it writes {', '.join(allowed)}",
                hint=f"set pipeline.nodes.{name}.backend=pyav",
                code=codes.UNSUPPORTED_BY_BACKEND,
            )


def _check_quality(name: str, spec: EncoderSpec, codec: str) -> None:
    known = CODECS[codec]
    if spec.bit_rate is not None and not known.rated:
        raise PlanError(
            name,
            f"bit_rate {spec.bit_rate}: codec {codec} takes none",
            hint=f"set pipeline.nodes.{name}.bit_rate=null",
            code=codes.INVALID_CRF,
        )
    if spec.crf is None:
        return
    if known.quality is None:
        raise PlanError(
            name,
            f"crf {spec.crf:g}: codec {codec} has no constant quality",
            hint=f"set pipeline.nodes.{name}.crf=null" + (" and a bit_rate, such as 4M" if known.rated else ""),
            code=codes.INVALID_CRF,
        )
    minimum, maximum = known.quality
    if not minimum <= spec.crf <= maximum:
        raise PlanError(
            name,
            f"crf {spec.crf:g} is out of range for {codec}: {minimum}..{maximum}",
            hint=f"set pipeline.nodes.{name}.crf within it; a lower value is better and larger",
            code=codes.INVALID_CRF,
        )
    if spec.bit_rate is not None and not known.quality_with_rate:
        raise PlanError(
            name,
            f"crf {spec.crf:g} and bit_rate {spec.bit_rate} are both set, and {codec} supports only one",
            hint=f"set pipeline.nodes.{name}.crf=null or pipeline.nodes.{name}.bit_rate=null",
            code=codes.INVALID_CRF,
        )


def check_frames(name: str, frames: FrameSpec, codec: str, container: str) -> None:
    """Refuse frames that the codec or the container cannot hold.

    Args:
        name: Name of the node.
        frames: The frames in their written pixel format.
        codec: The codec.
        container: FFmpeg's name of the format.

    Raises:
        PlanError: They do not fit.
    """
    if frames.variable_rate and container in ("avi", "yuv4mpegpipe"):
        raise PlanError(
            name,
            f"{'an avi' if container == 'avi' else 'a y4m'} file has a constant frame rate, but these frames are "
            "unevenly spaced",
            hint="write .mkv or .mp4, or set decoder.fps",
            code=codes.VARIABLE_RATE_AVI,
        )
    most = MOST_FRAMES.get(container)
    if most is not None and frames.rate > most:
        raise PlanError(
            name,
            f"{container} shows at most {most} frames a second, not {float(frames.rate):g}",
            hint="write .mp4 or .webm, or set decoder.fps or decoder.every",
            code=codes.FRAME_RATE_TOO_HIGH,
        )
    if container == "null":
        return
    maximum, least = CODECS[codec].largest, CODECS[codec].narrowest
    wrong = ""
    if max(frames.width, frames.height) > maximum:
        wrong, change = f"large for {codec}: at most {maximum} pixels per side", "smaller"
    elif frames.width < least:
        wrong, change = f"narrow for {codec}: at least {least} pixels wide", "wider"
    if wrong:
        raise PlanError(
            name,
            f"frames of {frames.width}x{frames.height} are too {wrong}",
            hint=f"choose another codec (encoder=...), or make the frames {change} in a preprocess node",
            code=codes.UNWRITABLE_FRAME_SIZE,
        )
    x_step, y_step = sampling_of(frames.pixel_format) or (1, 1)
    if codec not in ("mjpeg", "webp") and (frames.width % x_step or frames.height % y_step):
        finer = next((name for name in PIXEL_FORMATS[CODECS[codec].encoder] if "444" in name), "")
        raise PlanError(
            name,
            f"{frames.pixel_format} needs an even width{' and height' if y_step > 1 else ''}, "
            f"not {frames.width}x{frames.height}",
            hint=f"set pipeline.nodes.{name}.pixel_format={finer}"
            if finer
            else "choose another codec (encoder=x264) with pixel_format=yuv444p",
            code=codes.ODD_FRAME_SIZE,
        )


def written_audio(name: str, audio: PortType | None, choice: str, container: str) -> str | None:
    """Return ``copy``, the audio codec to encode with, or None without audio.

    Args:
        name: Name of the node.
        audio: Type of the audio input; None without one.
        choice: The option ``audio``.
        container: FFmpeg's name of the format.

    Raises:
        PlanError: The container cannot hold it.
    """
    if audio is None or choice == "none" or container == "null":
        return None
    assert isinstance(audio, AudioSpec)
    if not audio.of_kind("audio"):
        return None
    allowed = AUDIO_IN.get(container)
    if allowed is not None and not allowed:
        return None
    if choice == "copy":
        refused = next((t for t in audio.of_kind("audio") if allowed is not None and t.codec not in allowed), None)
        if allowed is not None and refused is not None:
            remedy = "none, or write .mkv" if container == "webm" else "aac, or none"
            raise PlanError(
                name,
                f"{container} files cannot hold the source's audio, {refused.codec}; "
                f"allowed: {', '.join(sorted(allowed))}",
                hint=f"set pipeline.nodes.{name}.audio={remedy}",
                code=codes.UNSUPPORTED_AUDIO,
            )
    elif allowed is not None and choice not in allowed:
        raise PlanError(
            name,
            f"{container} files cannot hold audio {choice}; allowed: {', '.join(sorted(allowed))}",
            hint=f"set pipeline.nodes.{name}.audio=none, or write .mkv",
            code=codes.UNSUPPORTED_AUDIO,
        )
    return choice
