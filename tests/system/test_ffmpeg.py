"""Test what is asked of PyAV's FFmpeg."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from bmfgraph.errors import MediaError
from bmfgraph.media.codec_names import codec_name
from bmfgraph.media.probe import probe
from bmfgraph.system import ffmpeg
from tests.runner.media_tools import write


def test_its_version() -> None:
    version, _, library = ffmpeg.ffmpeg_version().partition(" in ")
    assert version == av.ffmpeg_version_info
    assert library == f"PyAV {av.__version__}"


def test_its_encoders() -> None:
    assert ffmpeg.encoders(["libx264", "no_such_encoder", "libx265"]) == ["libx264", "libx265"]
    # The name of a decoder is none of an encoder.
    assert ffmpeg.encoders(["libdav1d"]) == []


def coded_as(tag: bytes, folder: Path) -> Path:
    """Write a clip whose header names another codec."""
    path = write(folder / "clip.mp4", [np.zeros((48, 64, 3), np.uint8)] * 2)
    data = path.read_bytes()
    place = data.index(b"avc1", data.index(b"stsd"))
    path.write_bytes(data[:place] + tag + data[place + 4 :])
    return path


@pytest.mark.parametrize(("tag", "name"), [(b"evc1", "evc"), (b"zzzz", "zzzz"), (b"avc1", "h264")])
def test_the_name_of_a_codec_without_a_decoder(tmp_path: Path, tag: bytes, name: str) -> None:
    with av.open(str(coded_as(tag, tmp_path))) as container:
        level = av.logging.get_level()
        assert codec_name(container, container.streams[0]) == name
        assert av.logging.get_level() == level


def test_a_codec_without_a_decoder_is_named(tmp_path: Path) -> None:
    path = coded_as(b"evc1", tmp_path)
    with pytest.raises(MediaError) as caught:
        probe(path)
    assert str(caught.value) == f"input {str(path)!r}: FFmpeg has no decoder for its codec, evc"
    assert caught.value.code == "E391"
