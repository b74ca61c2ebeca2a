"""Files that make FFmpeg open other files and addresses, whatever their names are."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import bmfgraph as bg
from bmfgraph.errors import RunError
from bmfgraph.media.opening import open_video
from bmfgraph.media.probe import MediaError, probe
from bmfgraph.media.quality import measure
from tests.codes.command import run_cli
from tests.runner.command import frames_in

PLAYLISTS = {
    "concat": "ffconcat version 1.0\nfile other.mp4\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.2,\nother.mp4\n#EXT-X-ENDLIST\n",
    "dash": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>\n',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
}


@pytest.fixture
def other(tmp_path: Path, clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a clip that playlists name."""
    clip("other.mp4", frames=5)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".ffconcat", ".sdp", ".mpd"])
def test_a_playlist_is_refused_whatever_its_name(other: Path, kind: str, suffix: str) -> None:
    path = write(other, f"list{suffix}", PLAYLISTS[kind])
    with pytest.raises(MediaError) as caught:
        probe(path)
    assert caught.value.code == "E415"
    assert "decoder.protocols" in caught.value.hint


def test_text_is_no_video(tmp_path: Path) -> None:
    path = write(tmp_path, "notes.txt", "\x1b[31mred\x1b[0m and plain\n" * 500)
    with pytest.raises(MediaError) as caught:
        probe(path)
    assert caught.value.code == "E404"


def test_a_picture_whose_name_is_a_pattern(other: Path) -> None:
    with open_video("other.mp4") as source:
        image = next(source.decode(video=0)).to_image()  # type: ignore[no-untyped-call]
    image.save(other / "x%03d.png")
    image.resize((32, 24)).save(other / "x000.png")
    assert probe(other / "x%03d.png").frames.width == image.width


def test_no_reader_opens_a_playlist(other: Path) -> None:
    playlist = write(other, "list.mp4", PLAYLISTS["concat"])
    for job in (
        bg.compose("super_resolution", input="list.mp4", output="out.mp4"),
        bg.compose("super_resolution", "decoder=nvdec", input="list.mp4", output="out.mp4"),
        bg.compose("super_resolution", input="other.mp4", output="out.mp4", reference="list.mp4"),
    ):
        assert {problem.code for problem in job.check().problems} & {"E415", "E112"}
    with pytest.raises(RunError):
        measure(other / "other.mp4", playlist)
    assert not (other / "out.mp4").exists()


def test_the_native_decoder_opens_no_playlist_that_replaced_the_file(other: Path) -> None:
    from bmf.lib._bmf import engine

    clip = Path(shutil.copy("other.mp4", "clip.mp4"))
    plan = bg.compose("super_resolution", "decoder.backend=bmf", input=clip, output="out.mp4").plan()
    for node in plan:
        module = node.spec.bmf_module(node, plan)
        if module is not None and module.name == "c_ffmpeg_decoder":
            options = json.dumps(dict(module.options))
    clip.write_text(PLAYLISTS["concat"])
    with pytest.raises(RuntimeError, match="avformat_open_input"):
        engine.Module("c_ffmpeg_decoder", options, "c++", "", "")


@pytest.mark.parametrize("kind", ["concat", "hls"])
def test_a_playlist_that_is_allowed_to_open_files(other: Path, kind: str) -> None:
    name = {"concat": "list.ffconcat", "hls": "list.m3u8"}[kind]
    write(other, name, PLAYLISTS[kind])
    words = f"pipeline=super_resolution input={name} output=out.mp4 decoder.protocols=[file] encoder.preset=ultrafast"
    assert run_cli(words, other).code == 0
    assert frames_in(other / "out.mp4") == 5


@pytest.fixture
def address(other: Path) -> Iterator[str]:
    """The address of a server of the folder's files."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(other))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_addresses_are_opened_only_where_their_protocol_is_allowed(other: Path, address: str) -> None:
    text = PLAYLISTS["hls"].replace("other.mp4", f"{address}/other.mp4")
    path = write(other, "list.m3u8", text)
    assert probe(path, protocols=("file", "http")).frames.width == 64
    with pytest.raises(MediaError) as caught:
        probe(path, protocols=("file",))
    assert caught.value.code in ("E404", "E405")


def test_a_protocol_that_does_not_exist() -> None:
    (problem,) = (
        bg.compose("super_resolution", "decoder.protocols=[concat]", input="a.mp4", output="b.mp4").check().problems
    )
    assert problem.code == "E205"
    assert "http" in problem.message
