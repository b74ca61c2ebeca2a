"""Test the table of pixel formats against the encoders of PyAV's FFmpeg."""

from __future__ import annotations

from typing import get_args

import av
import pytest

from bmfgraph.nodes.codecs import CODECS
from bmfgraph.nodes.pixel_formats import NATIVE_FORMATS, PIXEL_FORMATS, PixelFormat, automatic_formats, formats_in


@pytest.mark.parametrize("codec", PIXEL_FORMATS)
def test_the_encoder_takes_them(codec: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    known = {video.name for video in av.Codec(codec, "w").video_formats or ()} or set(PIXEL_FORMATS[codec])
    if codec == "gif":
        known = {"rgb24"}  # The writer makes palettes of it.
    assert set(PIXEL_FORMATS[codec]) - known == set()


def test_the_options_are_those_of_the_table() -> None:
    listed = {name for formats in PIXEL_FORMATS.values() for name in formats}
    assert set(get_args(PixelFormat)) == listed
    assert {codec.encoder for codec in CODECS.values()} == set(PIXEL_FORMATS)
    assert set(NATIVE_FORMATS) <= listed


def test_grey_and_rgb_are_never_chosen() -> None:
    assert automatic_formats("libx264", "mp4")[:2] == ("yuv420p", "yuv422p")
    assert automatic_formats("av1_nvenc", "mp4") == ("yuv420p", "p010le")
    for codec in PIXEL_FORMATS:
        assert automatic_formats(codec, "null")
        chosen = automatic_formats(codec, "null")
        assert all(name.startswith(("yuv", "p0")) for name in chosen) or chosen == PIXEL_FORMATS[codec]


def test_a_container_may_hold_fewer_formats_than_the_codec() -> None:
    assert formats_in("rawvideo", "avi") == ("yuv420p", "yuv422p", "gray", "nv12")
    assert formats_in("rawvideo", "rawvideo") == PIXEL_FORMATS["rawvideo"]
    assert "yuv440p" in formats_in("libvpx-vp9", "webm")
    assert "yuv440p" not in formats_in("libvpx-vp9", "mp4")
    assert all(set(formats_in(codec, "avi")) <= set(formats) for codec, formats in PIXEL_FORMATS.items())
