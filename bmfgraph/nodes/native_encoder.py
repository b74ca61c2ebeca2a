"""Compute the options of BMF's own encoder."""

from __future__ import annotations

from typing import Any

from bmfgraph.media.writing import Writing

__all__ = ["native_options"]


def native_options(params: Writing) -> dict[str, Any]:
    """Return the options of BMF's encoder."""
    video: dict[str, Any] = dict(params.options) | {
        "codec": params.codec,
        "pix_fmt": params.pixel_format,
        "vsync": "vfr",
        "r": f"{params.rate.numerator}/{params.rate.denominator}",
    }
    if "b" in video:
        video["bit_rate"] = int(video.pop("b"))
    if params.threads:
        video["threads"] = str(params.threads)
    if params.time_base != 1 / params.rate:
        video["time_base"] = f"{params.time_base.numerator}/{params.time_base.denominator}"
        if params.codec == "libx264":
            # x264 reads the time base as the frame rate, and would choose a level that players do not support.
            video["x264-params"] = f"fps={params.rate.numerator}/{params.rate.denominator}"
    options: dict[str, Any] = {"output_path": params.path, "format": params.container, "video_params": video}
    if params.mux_options:
        options["mux_params"] = dict(params.mux_options)
    if params.audio == "aac":
        options["audio_params"] = {"codec": "aac"} | (
            {"bit_rate": params.audio_bit_rate} if params.audio_bit_rate else {}
        )
    return options
