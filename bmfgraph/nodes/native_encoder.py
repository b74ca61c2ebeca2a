"""Compute the options of BMF's own encoder."""

from __future__ import annotations

from typing import Any

from bmfgraph.media.writing import Writing

__all__ = ["native_options"]


def native_options(params: Writing, audio: str | None, audio_bit_rate: int | None) -> dict[str, Any]:
    """Return the options of BMF's encoder.

    Args:
        params: Settings of the file.
        audio: ``copy``, ``aac``, or None without audio.
        audio_bit_rate: Bits per second of encoded audio; None: the encoder's own.
    """
    video: dict[str, Any] = dict(params.options) | {
        "codec": params.codec,
        "pix_fmt": params.pixel_format,
        "vsync": "vfr",
        "r": f"{params.rate.numerator}/{params.rate.denominator}",
        "aspect": f"{params.aspect.numerator}/{params.aspect.denominator}",
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
    options: dict[str, Any] = {
        "output_path": params.path,
        "format": params.container,
        "video_params": video,
        "loglevel": "error",
    }
    # FFmpeg 4 has one time scale of movies.
    if mux_options := {key: value for key, value in params.mux_options if key != "movie_timescale"}:
        options["mux_params"] = mux_options
    if audio == "aac":
        options["audio_params"] = {"codec": "aac"} | ({"bit_rate": audio_bit_rate} if audio_bit_rate else {})
    return options
