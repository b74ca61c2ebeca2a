"""Which of BMF's own modules does the work of a native node, and with which options."""

from __future__ import annotations

from typing import Any

from bmfgraph.errors import PlanError
from bmfgraph.nodes.audio import SoundWork
from bmfgraph.nodes.convert import ConvertWork
from bmfgraph.nodes.decoder import DecoderWork
from bmfgraph.nodes.encoder import EncoderWork
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import ColorSpec

__all__ = ["native_module"]

# Chroma between its samples is interpolated and rounding is exact: within 2 levels of the ideal.
_AFTER = 1e-3
"""Seconds, less than from one frame to the next."""
_SCALING = "bicubic+accurate_rnd+full_chroma_int"


def native_module(plan: Plan, node: PlanNode) -> tuple[str, dict[str, Any]]:
    """Name and options of the module of BMF's that does the node's work."""
    if isinstance(node.work, SoundWork):
        return "c_ffmpeg_decoder", _sound(plan, node, node.work)
    if isinstance(node.work, DecoderWork):
        return "c_ffmpeg_decoder", _decoder(plan, node, node.work)
    if isinstance(node.work, ConvertWork):
        return "c_ffmpeg_filter", _filter(node.work)
    if isinstance(node.work, EncoderWork):
        return "c_ffmpeg_encoder", _encoder(node.work)
    raise PlanError(
        node.name,
        f"kind {node.kind!r} has no stage, and none of BMF's modules does its work",
        hint="set `stage` of its class to package.module:Class",
        code="E307",
    )


def _decoder(plan: Plan, node: PlanNode, work: DecoderWork) -> dict[str, Any]:
    options = {"map_v": work.video, **_reading(plan, node, work)}
    if work.audio is not None:
        options["map_a"] = work.audio
    if work.threads:
        options["dec_params"] = {"threads": str(work.threads)}
    if work.hwaccel != "none":
        options["video_params"] = {"hwaccel": work.hwaccel, "extract_frames": {"device": "CPU"}}
    return options


def _sound(plan: Plan, node: PlanNode, work: SoundWork) -> dict[str, Any]:
    # Frames of the video stream are skipped undecoded, because nobody takes them.
    return {"map_v": work.video, "map_a": work.audio, **_reading(plan, node, work)}


def _reading(plan: Plan, node: PlanNode, work: DecoderWork | SoundWork) -> dict[str, Any]:
    """Which part of the file is read, and whether its sound is decoded."""
    options: dict[str, Any] = {"input_path": work.path}
    # BMF counts from the first packet of any stream. Where sound begins before 0, that is not where time begins.
    early = max(0.0, -float(work.origin))
    if work.start is not None:
        options["start_time"] = work.start + early
    elif early:
        options["copyts"] = 1
    if work.end is not None:
        # BMF includes the frame at end_time, and takes one that is not after the start for none.
        last = max(work.end - float(work.tick) / 2, (work.start or 0.0) + _AFTER)
        options["end_time"] = last + (early if work.start is not None else 0)
    wanted = {
        consumer.work.audio for consumer, _ in plan.consumers(node.name) if isinstance(consumer.work, EncoderWork)
    }
    if "copy" in wanted:
        options["audio_codec"] = "copy"
    return options


def _filter(work: ConvertWork) -> dict[str, Any]:
    def terms(side: str, color: ColorSpec) -> list[str]:
        if color.matrix == "rgb":
            return []
        return [f"{side}_color_matrix={color.matrix}", f"{side}_range={'pc' if color.full_range else 'tv'}"]

    def place(side: str, position: tuple[int, int | None] | None) -> list[str]:
        across, down = position or (None, None)
        places = {"h": across, "v": down}
        return [f"{side}_{axis}_chr_pos={value}" for axis, value in places.items() if value is not None]

    rgb = work.pixel_format == "rgb24"
    parts = [
        "w=iw",
        "h=ih",
        *terms("in", work.source),
        *([] if rgb else terms("out", work.color)),
        *place("in", work.source_chroma),
        *place("out", work.chroma),
        f"flags={_SCALING}",
    ]
    scale = {
        "name": "scale",
        "para": ":".join(parts),
        "inputs": [{"stream": 0, "pin": 0}],
        "links": [{"output_filter": 1, "output_pin": 0}],
    }
    return {
        "filters": [
            scale,
            {"name": "format", "para": work.pixel_format, "outputs": [{"stream": 0, "pin": 0}]},
        ]
    }


def _encoder(work: EncoderWork) -> dict[str, Any]:
    video: dict[str, Any] = {
        "codec": work.codec,
        "pix_fmt": work.pixel_format,
        "vsync": "vfr",
        "r": f"{work.rate.numerator}/{work.rate.denominator}",
    }
    if work.time_base != 1 / work.rate:
        video["time_base"] = f"{work.time_base.numerator}/{work.time_base.denominator}"
        if work.codec == "libx264":
            # It takes the time base for the frame rate, and chooses a level that no player has.
            video["x264-params"] = f"fps={work.rate.numerator}/{work.rate.denominator}"
    optional = {
        "cq" if work.codec == "h264_nvenc" else "crf": work.crf,
        "bit_rate": work.bit_rate,
        "preset": work.preset,
        "g": work.gop,
        "threads": str(work.threads) if work.threads else None,
    }
    video |= {key: value for key, value in optional.items() if value is not None}
    if work.codec == "libx264" and work.container == "avi":
        video["bf"] = 0  # AVI has no presentation times: B frames would come out of step
    if work.codec == "libvpx-vp9":
        video |= {"row-mt": 1, "cpu-used": 4}
        if work.bit_rate is None:
            video["bit_rate"] = 0  # constant quality needs it
    options: dict[str, Any] = {"output_path": work.path, "format": work.container, "video_params": video}
    if work.container in ("matroska", "webm"):
        # FFmpeg 4 shifts the streams when the first packet before 0 comes, sound mostly, and not from the start.
        options["mux_params"] = {"avoid_negative_ts": "disabled"}
    if work.codec == "mpeg4" and work.container == "mp4":
        # Its own header says nothing of colours.
        options["mux_params"] = {"movflags": "write_colr"}
    if work.audio == "aac":
        options["audio_params"] = {"codec": "aac"} | ({"bit_rate": work.audio_bit_rate} if work.audio_bit_rate else {})
    return options
