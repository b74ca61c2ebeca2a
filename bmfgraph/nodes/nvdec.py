"""``nvdec``: a file through NVIDIA's hardware decoder; the frames stay on the GPU as RGB."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Literal

from pydantic import field_validator

from bmfgraph.errors import PlanError
from bmfgraph.media.probe import Media
from bmfgraph.nodes.decoder import DecoderParams, DecoderSpec
from bmfgraph.plan.plan import Inferred, PlanNode, Requirement
from bmfgraph.plan.types import Chroma, ColorSpec, FrameSpec, Port, PortType

__all__ = ["NvdecMedia", "NvdecParams", "NvdecSpec"]

# What NVDEC decodes on one GPU or another; the GPU at hand is asked when the run starts.
_DECODED = {
    "h264": ("yuv420p", "yuvj420p", "yuv420p10le", "yuv422p", "yuv422p10le"),
    "hevc": ("yuv420p", "yuvj420p", "yuv420p10le", "yuv420p12le", "yuv422p", "yuv422p10le", "yuv444p"),
    "vp8": ("yuv420p",),
    "vp9": ("yuv420p", "yuv420p10le", "yuv420p12le"),
    "av1": ("yuv420p", "yuv420p10le"),
}
_NAMES = {"h264": "H.264", "hevc": "H.265", "vp8": "VP8", "vp9": "VP9", "av1": "AV1"}
_ELSE = "set decoder=ffmpeg, which decodes it on the CPU"


@dataclass(frozen=True)
class NvdecMedia(Media):
    """What NVDEC needs to know of a stream besides."""

    codec: str
    timed: bool
    """Whether the container says when the frames are shown."""
    interlaced: bool
    aspect: Fraction
    """Width of a pixel by its height."""
    primaries: int
    """ColourPrimaries and TransferCharacteristics of ITU-T H.273."""
    transfer: int


@dataclass(frozen=True)
class NvdecParams(DecoderParams):
    """What is decoded, and how its pictures become RGB."""

    codec: str
    pixel_format: str
    color: ColorSpec
    chroma: Chroma
    width: int
    """Of the pictures as they are stored."""
    height: int
    rotation: int
    """Degrees by which they are to be turned, against the clock."""
    time_base: Fraction
    aspect: Fraction
    """Width of a pixel by its height."""
    primaries: int
    transfer: int


class NvdecSpec(DecoderSpec):
    """Reads a file and decodes it on the GPU. Outputs: `video`, and `audio` where the file has some."""

    kind: Literal["nvdec"]  # type: ignore[assignment]

    @field_validator("threads")
    @classmethod
    def _no_threads(cls, value: int | None) -> int | None:
        if value is not None:
            raise ValueError("NVDEC has no threads to be counted; leave it out, or set decoder=ffmpeg")
        return value

    @field_validator("hwaccel")
    @classmethod
    def _no_hwaccel(cls, value: str) -> str:
        if value != "none":
            raise ValueError("NVDEC is used without FFmpeg's help; leave it out, or set decoder=ffmpeg")
        return value

    def probe(self, name: str) -> NvdecMedia:
        media = super().probe(name)
        import av

        with av.open(str(media.path), metadata_errors="replace") as container:
            stream = container.streams[media.video_stream]
            assert isinstance(stream, av.VideoStream)
            context = stream.codec_context
            first = next((packet for packet in container.demux(stream) if packet.size), None)
            return NvdecMedia(
                **{field.name: getattr(media, field.name) for field in fields(media)},
                codec=context.codec.canonical_name,
                timed=first is not None and first.pts is not None,
                interlaced=int(getattr(context, "field_order", 0) or 0) > 1,
                aspect=Fraction(stream.sample_aspect_ratio or 1) or Fraction(1),
                primaries=int(context.color_primaries),
                transfer=int(context.color_trc),
            )

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        media: NvdecMedia = node.metadata
        _check(node.name, media)
        given = super().infer(node, inputs, requirement)
        frames = given.outputs[0].type
        assert isinstance(frames, FrameSpec)
        sideways = media.rotation in (90, 270)
        base: DecoderParams = given.params
        params = NvdecParams(
            **{field.name: getattr(base, field.name) for field in fields(base)},
            codec=media.codec,
            pixel_format=frames.pixel_format,
            color=frames.color,
            chroma=frames.chroma,
            width=frames.height if sideways else frames.width,
            height=frames.width if sideways else frames.height,
            rotation=media.rotation,
            time_base=frames.time_base,
            aspect=media.aspect,
            primaries=media.primaries,
            transfer=media.transfer,
        )
        video = Port("video", replace(frames, pixel_format="rgb24", device="cuda"))
        return Inferred((video, *given.outputs[1:]), params)


def _check(node: str, media: NvdecMedia) -> None:
    """Refuse what NVDEC cannot decode, or not as FFmpeg does."""
    path, pixel_format = str(media.path), media.frames.pixel_format
    codec = _NAMES.get(media.codec, media.codec)
    allowed = _DECODED.get(media.codec)
    if allowed is None:
        why = f"is {codec} video, and only {', '.join(_NAMES.values())} are decoded on the GPU"
    elif pixel_format not in allowed:
        why = f"is {codec} video in {pixel_format}, which NVDEC does not decode"
    elif media.frames.color.matrix == "rgb":
        why = "holds RGB, which is not converted on the GPU"
    elif media.interlaced:
        why = "is interlaced, and NVDEC would mix its fields"
    elif not media.timed:
        why = "does not say when its frames are shown"
    else:
        return
    raise PlanError(node, f"input {path!r} {why}", hint=_ELSE, code="E413")
