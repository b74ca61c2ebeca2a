"""Ask the FFmpeg that will do the work for the encoder and the hardware decoder of a node."""

from __future__ import annotations

from bmfgraph.errors import RunError
from bmfgraph.plan.plan import PlanNode
from bmfgraph.system import ffmpeg, ffmpeg4

__all__ = ["lacking_codec"]


def lacking_codec(node: PlanNode) -> RunError | None:
    """Return the error for an encoder or hardware decoder that the node's FFmpeg or the machine lacks; else None.

    Raises:
        InstallError: FFmpeg 4, which the back end ``bmf`` uses, is missing.
    """
    need = node.spec.needs(node.params)
    native = need.backend == "bmf"
    encoders = ffmpeg4.encoders if native else ffmpeg.encoders
    if need.encoder and not encoders((need.encoder,)):
        return ffmpeg4.no_encoder(node.name, node.kind, need.encoder, encoders(need.other_encoders))
    if not native and ffmpeg.needs_gpu(need.encoder) and not ffmpeg.opens_gpu_encoder(need.encoder):
        return ffmpeg.no_gpu_encoder(node.name, node.kind, need.encoder)
    if need.decoder and not ffmpeg4.has_decoder(need.decoder):
        return ffmpeg4.no_decoder(node.name, node.kind, need.decoder)
    if need.hwaccel and native and not ffmpeg4.has_hwaccel(need.hwaccel):
        return ffmpeg4.no_hwaccel(node.name, node.kind, need.hwaccel)
    if need.hwaccel and not native and not ffmpeg.has_hwaccel(need.hwaccel):
        return ffmpeg.no_hwaccel(node.name, node.kind, need.hwaccel)
    return None
