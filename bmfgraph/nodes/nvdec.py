"""``nvdec``: read a file with NVIDIA's hardware decoder; the frames stay on the GPU as RGB."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import ClassVar, Literal

from pydantic import ValidationInfo, field_validator

from bmfgraph import error_codes as codes
from bmfgraph.errors import FieldError, PlanError
from bmfgraph.media.opening import open_video
from bmfgraph.media.probe import Media
from bmfgraph.nodes.decoder import DecoderParams, DecoderSpec
from bmfgraph.plan.description import BmfModuleSpec, Inferred, Needs, PythonPackage, Requirement
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import Chroma, FrameSpec, Port, PortType

__all__ = ["NvdecMedia", "NvdecParams", "NvdecSpec"]

# Formats that NVDEC decodes on some GPUs; a run checks its own GPU when it starts.
_DECODED = {
    "h264": ("yuv420p", "yuvj420p", "yuv420p10le", "yuv422p", "yuv422p10le"),
    "hevc": ("yuv420p", "yuvj420p", "yuv420p10le", "yuv420p12le", "yuv422p", "yuv422p10le", "yuv444p"),
    "vp8": ("yuv420p",),
    "vp9": ("yuv420p", "yuv420p10le", "yuv420p12le"),
    "av1": ("yuv420p", "yuv420p10le"),
}
_ABSENT = {
    "threads": "has no threads",
    "hwaccel": "works without FFmpeg",
    "backend": "works without FFmpeg",
    "rate": "reads neither pictures nor alpha",
    "background": "reads neither pictures nor alpha",
    "deinterlace": "decodes no interlaced video",
    "size_change": "decodes frames of one size",
}
"""Options of other decoders that NVDEC does not have, and why."""
_NAMES = {"h264": "H.264", "hevc": "H.265", "vp8": "VP8", "vp9": "VP9", "av1": "AV1"}


@dataclass(frozen=True)
class NvdecMedia(Media):
    """Facts of a stream that only NVDEC needs."""

    timed: bool
    """Whether the container has presentation times."""


@dataclass(frozen=True)
class NvdecParams(DecoderParams):
    """The stream to decode, and how its frames become RGB."""

    ahead: ClassVar[int] = 3
    chroma: Chroma
    stored_width: int
    """Size of the frames before rotation, in pixels."""
    stored_height: int


class NvdecSpec(DecoderSpec):
    """Reads a file and decodes it on the GPU. Outputs: `video`, and `audio` where the file has some."""

    kind: Literal["nvdec"] = "nvdec"  # type: ignore[assignment]

    cpu_hint: ClassVar[str] = "set decoder=ffmpeg"
    fixed_fields: ClassVar[tuple[str, ...]] = tuple(_ABSENT)
    _crops_chroma: ClassVar[bool] = False

    @field_validator(*_ABSENT)
    @classmethod
    def _is_default(cls, value: object, info: ValidationInfo) -> object:
        name = str(info.field_name)
        if value != cls.model_fields[name].default:
            raise FieldError(f"NVDEC {_ABSENT[name]}", "leave it out, or set decoder=ffmpeg")
        return value

    def probe(self, name: str) -> NvdecMedia:
        media = super().probe(name)
        if media.live:
            raise PlanError(
                name,
                f"input {str(media.path)!r} is a pipe, and its streams are read separately for the GPU",
                hint=f"{self.cpu_hint}, or write it to a file first",
                code=codes.UNREADABLE_PIPE,
            )
        import av

        with open_video(media.path, media.protocols) as container:
            stream = container.streams[media.video_stream]
            assert isinstance(stream, av.VideoStream)
            first = next((packet for packet in container.demux(stream) if packet.size), None)
            return NvdecMedia(
                **{field.name: getattr(media, field.name) for field in fields(media)},
                timed=first is not None and first.pts is not None,
            )

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        media: NvdecMedia = node.metadata
        _check(node.name, media)
        inferred = super().infer(node, inputs, requirement)
        frames = inferred.outputs[0].type
        assert isinstance(frames, FrameSpec)
        sideways = media.rotation in (90, 270)
        base: DecoderParams = inferred.params
        kept = {field.name: getattr(base, field.name) for field in fields(base)}
        params = NvdecParams(
            **kept | {"pixel_format": media.frames.pixel_format, "deinterlace": ""},
            chroma=frames.chroma,
            stored_width=base.height if sideways else base.width,
            stored_height=base.width if sideways else base.height,
        )
        rgb = frames.in_format(frames.as_rgb(deep=True).pixel_format, frames.color)
        video = Port("video", replace(rgb, device="cuda"))
        return Inferred((video, *inferred.outputs[1:]), params)

    def _subticks(self, media: Media) -> int:
        return 1

    def _accounts(self, params: DecoderParams) -> bool:
        return False

    def needs(self, params: DecoderParams) -> Needs:
        return Needs(
            packages=(
                PythonPackage("PyNvVideoCodec", "PyNvVideoCodec", "PyNvVideoCodec", codes.MISSING_PYNVVIDEOCODEC),
            )
        )

    def bmf_module(self, node: PlanNode, plan: Plan) -> BmfModuleSpec:
        return BmfModuleSpec(entry="bmfgraph.runner.modules.nvdec:NvdecModule")


def _check(node: str, media: NvdecMedia) -> None:
    """Refuse streams that NVDEC cannot decode, or decodes with another result than FFmpeg."""
    path, pixel_format = str(media.path), media.frames.pixel_format
    codec = _NAMES.get(media.codec, media.codec)
    allowed = _DECODED.get(media.codec)
    if allowed is None:
        reason = f"is {codec} video, and only {', '.join(_NAMES.values())} are decoded on the GPU"
    elif pixel_format not in allowed:
        reason = f"is {codec} video in {pixel_format}, which NVDEC does not decode"
    elif media.frames.color.matrix == "rgb":
        reason = "holds RGB, which is not converted on the GPU"
    elif media.fields:
        reason = "is interlaced, and NVDEC would mix its fields"
    elif media.ties > 1:
        reason = "has frames of equal times"
    elif not media.timed:
        reason = "has no presentation times"
    else:
        return
    raise PlanError(
        node,
        f"input {path!r} {reason}",
        hint=f"{NvdecSpec.cpu_hint}, which decodes it on the CPU",
        code=codes.UNSUPPORTED_GPU_DECODING,
    )
