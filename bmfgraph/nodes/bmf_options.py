"""Which of BMF's own modules does the work of a native node, and with which options."""

from __future__ import annotations

from typing import Any

from bmfgraph.errors import PlanError
from bmfgraph.nodes.audio import AudioParams
from bmfgraph.nodes.convert import ConvertParams
from bmfgraph.nodes.decoder import DecoderParams
from bmfgraph.nodes.encoder import EncoderParams
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import ColorSpec

__all__ = ["native_module"]

# Chroma between its samples is interpolated and rounding is exact: within 2 levels of the ideal.
_AFTER = 1e-3
"""Seconds, less than from one frame to the next."""
_SCALING = "bicubic+accurate_rnd+full_chroma_int"


def native_module(plan: Plan, node: PlanNode) -> tuple[str, dict[str, Any]]:
    """Name and options of the module of BMF's that does the node's work."""
    if isinstance(node.params, AudioParams):
        return "c_ffmpeg_decoder", _sound(plan, node, node.params)
    if isinstance(node.params, DecoderParams):
        return "c_ffmpeg_decoder", _decoder(plan, node, node.params)
    if isinstance(node.params, ConvertParams):
        return "c_ffmpeg_filter", _filter(node.params)
    if isinstance(node.params, EncoderParams):
        return "c_ffmpeg_encoder", _encoder(node.params)
    raise PlanError(
        node.name,
        f"kind {node.kind!r} has no stage, and none of BMF's modules does its work",
        hint="set `stage` of its class to package.module:Class",
        code="E307",
    )


def _decoder(plan: Plan, node: PlanNode, params: DecoderParams) -> dict[str, Any]:
    options = {"map_v": params.video, **_reading(plan, node, params)}
    if params.audio is not None:
        options["map_a"] = params.audio
    if params.threads:
        options["dec_params"] = {"threads": str(params.threads)}
    if params.hwaccel != "none":
        options["video_params"] = {"hwaccel": params.hwaccel, "extract_frames": {"device": "CPU"}}
    return options


def _sound(plan: Plan, node: PlanNode, params: AudioParams) -> dict[str, Any]:
    # Frames of the video stream are skipped undecoded, because nobody takes them.
    return {"map_v": params.video, "map_a": params.audio, **_reading(plan, node, params)}


def _reading(plan: Plan, node: PlanNode, params: DecoderParams | AudioParams) -> dict[str, Any]:
    """Which part of the file is read, and whether its sound is decoded."""
    options: dict[str, Any] = {"input_path": params.path}
    # BMF counts from the first packet of any stream. Where sound begins before 0, that is not where time begins.
    early = max(0.0, -float(params.origin))
    if params.start is not None:
        options["start_time"] = params.start + early
    elif early:
        options["copyts"] = 1
    if params.end is not None:
        # BMF includes the frame at end_time, and takes one that is not after the start for none.
        last = max(params.end - float(params.time_grid) / 2, (params.start or 0.0) + _AFTER)
        options["end_time"] = last + (early if params.start is not None else 0)
    wanted = {
        consumer.params.audio for consumer, _ in plan.consumers(node.name) if isinstance(consumer.params, EncoderParams)
    }
    if "copy" in wanted:
        options["audio_codec"] = "copy"
    return options


def _filter(params: ConvertParams) -> dict[str, Any]:
    def terms(side: str, color: ColorSpec) -> list[str]:
        if color.matrix == "rgb":
            return []
        return [f"{side}_color_matrix={color.matrix}", f"{side}_range={'pc' if color.full_range else 'tv'}"]

    def place(side: str, position: tuple[int, int | None] | None) -> list[str]:
        across, down = position or (None, None)
        places = {"h": across, "v": down}
        return [f"{side}_{axis}_chr_pos={value}" for axis, value in places.items() if value is not None]

    rgb = params.pixel_format == "rgb24"
    parts = [
        "w=iw",
        "h=ih",
        *terms("in", params.source),
        *([] if rgb else terms("out", params.color)),
        *place("in", params.source_chroma),
        *place("out", params.chroma),
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
            {"name": "format", "para": params.pixel_format, "outputs": [{"stream": 0, "pin": 0}]},
        ]
    }


def _encoder(params: EncoderParams) -> dict[str, Any]:
    video: dict[str, Any] = {
        "codec": params.codec,
        "pix_fmt": params.pixel_format,
        "vsync": "vfr",
        "r": f"{params.rate.numerator}/{params.rate.denominator}",
    }
    if params.time_base != 1 / params.rate:
        video["time_base"] = f"{params.time_base.numerator}/{params.time_base.denominator}"
        if params.codec == "libx264":
            # It takes the time base for the frame rate, and chooses a level that no player has.
            video["x264-params"] = f"fps={params.rate.numerator}/{params.rate.denominator}"
    optional = {
        "cq" if params.codec == "h264_nvenc" else "crf": params.crf,
        "bit_rate": params.bit_rate,
        "preset": params.preset,
        "g": params.gop,
        "threads": str(params.threads) if params.threads else None,
    }
    video |= {key: value for key, value in optional.items() if value is not None}
    if params.codec == "libx264" and params.container == "avi":
        video["bf"] = 0  # AVI has no presentation times: B frames would come out of step
    if params.codec == "libvpx-vp9":
        video |= {"row-mt": 1, "cpu-used": 4}
        if params.bit_rate is None:
            video["bit_rate"] = 0  # constant quality needs it
    options: dict[str, Any] = {"output_path": params.path, "format": params.container, "video_params": video}
    if params.container in ("matroska", "webm"):
        # FFmpeg 4 shifts the streams when the first packet before 0 comes, sound mostly, and not from the start.
        options["mux_params"] = {"avoid_negative_ts": "disabled"}
    if params.codec == "mpeg4" and params.container == "mp4":
        # Its own header says nothing of colours.
        options["mux_params"] = {"movflags": "write_colr"}
    if params.audio == "aac":
        options["audio_params"] = {"codec": "aac"} | (
            {"bit_rate": params.audio_bit_rate} if params.audio_bit_rate else {}
        )
    return options
