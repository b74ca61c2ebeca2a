"""Read clips from pipes and from addresses."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from bmfgraph.errors import BmfgraphError
from bmfgraph.media import opening, pipes
from bmfgraph.runner.isolated import run_isolated
from bmfgraph.sweep.validate import pipe_problems
from tests.runner.media_tools import (
    RecordSpec,
    Sound,
    compiled,
    decoder,
    frames_of,
    recorded,
    scene,
    sound_packets,
    transcode,
    video_times,
    write,
)
from tests.runner.test_inputs import HEIGHT, WIDTH, code_of, refusal

# ------------------------------------------------------------------------------------------------------- pipes


@contextmanager
def fed(path: Path, content: bytes) -> Iterator[None]:
    """Write content into a named pipe from a thread."""
    os.mkfifo(path)

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError):
            path.write_bytes(content)

    thread = threading.Thread(target=feed)
    thread.start()
    yield
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("container", ["mkv", "ts", "nut", "avi", "flv"])
def test_a_pipe_gives_the_frames_and_the_sound_of_the_file(tmp_path: Path, container: str) -> None:
    sound = Sound("mp2" if container == "avi" else "aac")
    codec = "flv" if container == "flv" else "libx264"
    file = write(tmp_path / f"a.{container}", [scene(i, WIDTH, HEIGHT) for i in range(25)], codec=codec, sound=sound)
    with fed(tmp_path / "pipe", file.read_bytes()):
        out = transcode(tmp_path / "pipe", tmp_path / "piped.mkv")
    expected = transcode(file, tmp_path / "read.mkv")
    assert video_times(out) == video_times(expected)
    assert sound_packets(out) == sound_packets(expected)
    pairs = zip(frames_of(out), frames_of(expected), strict=True)
    assert all(np.array_equal(one.to_ndarray(), other.to_ndarray()) for one, other in pairs)


def test_start_of_a_pipe_is_reached_by_decoding(tmp_path: Path) -> None:
    file = write(tmp_path / "a.mkv", [scene(index, WIDTH, HEIGHT) for index in range(100)])
    with fed(tmp_path / "pipe", file.read_bytes()):
        frames = recorded(tmp_path / "pipe", start=3.0, end=3.2)
    expected = recorded(file, start=3.0, end=3.2)
    assert [frame.time for frame in frames] == [frame.time for frame in expected] == [Fraction(i, 25) for i in range(5)]
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(frames, expected, strict=True))


def test_a_longer_pipe_than_probing_reads(tmp_path: Path) -> None:
    noise = [np.random.default_rng(i).integers(0, 256, (240, 320, 3), np.uint8) for i in range(60)]
    file = write(tmp_path / "a.mkv", noise, codec="ffv1", pix_fmt="bgr0")
    assert file.stat().st_size > 8 << 20
    with fed(tmp_path / "pipe", file.read_bytes()):
        frames = recorded(tmp_path / "pipe")
    assert len(frames) == 60
    assert np.array_equal(frames[59].pixels, noise[59])


def test_mp4_in_a_pipe_needs_its_index_first(tmp_path: Path) -> None:
    images = [scene(index, WIDTH, HEIGHT) for index in range(10)]
    # FFmpeg can go back by the 32 KiB of its buffer.
    noise = [np.random.default_rng(i).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for i in range(20)]
    late = write(tmp_path / "late.mp4", noise, options={"crf": "1"})
    assert late.stat().st_size > 100_000
    with fed(tmp_path / "pipe", late.read_bytes()):
        code, text = refusal(tmp_path / "pipe")
    assert code == "E432"
    assert "its index, moov, stands behind the frames" in text
    early = write(tmp_path / "early.mp4", images, container={"movflags": "+faststart"})
    fragmented = write(tmp_path / "cut.mp4", images, container={"movflags": "+frag_keyframe+empty_moov"})
    for number, file in enumerate((early, fragmented)):
        with fed(tmp_path / f"pipe{number}", file.read_bytes()):
            assert len(recorded(tmp_path / f"pipe{number}")) == 10


def test_a_pipe_that_nobody_writes_to_ends_the_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "_OPENING", 0.2)
    os.mkfifo(tmp_path / "pipe")
    code, text = refusal(tmp_path / "pipe")
    assert code == "E432"
    assert "no byte came from the pipe for 0.2 s" in text


def test_a_pipe_that_stops_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = [np.random.default_rng(i).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for i in range(60)]
    content = write(tmp_path / "a.ts", noise, options={"crf": "1"}).read_bytes()
    os.mkfifo(tmp_path / "pipe")
    stop = threading.Event()

    def feed() -> None:
        with (tmp_path / "pipe").open("wb", buffering=0) as pipe:
            pipe.write(content[: len(content) // 2])
            stop.wait(20)

    thread = threading.Thread(target=feed)
    thread.start()
    monkeypatch.setattr(pipes, "_SILENCE", 0.3)
    try:
        with pytest.raises(BmfgraphError, match=r"no byte came from the pipe for 0\.3 s"):
            recorded(tmp_path / "pipe")
    finally:
        stop.set()
        thread.join(10)


def test_two_decoders_cannot_share_a_pipe(tmp_path: Path) -> None:
    file = write(tmp_path / "a.mkv", [scene(index, WIDTH, HEIGHT) for index in range(3)])
    with fed(tmp_path / "pipe", file.read_bytes()), pytest.raises(BmfgraphError) as caught:
        compiled(
            {
                "one": decoder(tmp_path / "pipe"),
                "other": decoder(tmp_path / "pipe"),
                "record": RecordSpec(inputs=("one.video",)),
                "second": RecordSpec(inputs=("other.video",)),
            }
        )
    assert code_of(caught.value) == "E432"


def test_child_processes_and_sweeps_cannot_read_a_pipe(tmp_path: Path) -> None:
    file = write(tmp_path / "a.mkv", [scene(index, WIDTH, HEIGHT) for index in range(3)])
    with fed(tmp_path / "pipe", file.read_bytes()):
        plan = compiled({"source": decoder(tmp_path / "pipe"), "record": RecordSpec(inputs=("source.video",))})
        with pytest.raises(BmfgraphError) as caught:
            run_isolated(plan)
    assert code_of(caught.value) == "E432"
    (problem,) = pipe_problems(plan)
    assert (problem.path, problem.code) == ("pipeline.nodes.source", "E432")
    assert "a sweep reads it for each run" in problem.message


def test_standard_input(tmp_path: Path) -> None:
    file = write(tmp_path / "a.mkv", [scene(index, WIDTH, HEIGHT) for index in range(12)], sound=Sound())
    code = (
        "import sys; from tests.runner.media_tools import transcode; from pathlib import Path;"
        "transcode(Path('-'), Path(sys.argv[1]))"
    )
    out = tmp_path / "out.mkv"
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", code, str(out)]
    with file.open("rb") as content, subprocess.Popen(["cat"], stdin=content, stdout=subprocess.PIPE) as cat:
        subprocess.run(command, stdin=cat.stdout, cwd=root, check=True, timeout=60)
    assert video_times(out) == video_times(file)
    assert len(sound_packets(out)) == len(sound_packets(file))


def test_no_pipe_on_standard_input(tmp_path: Path) -> None:
    code = "from tests.runner.test_inputs import refusal; print(*refusal('-'))"
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, cwd=root, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("E432 ")
    assert "there is no pipe on standard input" in done.stdout


# ---------------------------------------------------------------------------------------------------- addresses


class Site(http.server.BaseHTTPRequestHandler):
    """Serves ``content``: with ranges, without, late, elsewhere, or only half of it."""

    content = b""
    stop = threading.Event()

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        body = type(self).content
        if path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/clip")
            self.end_headers()
        elif path == "/missing":
            self.send_error(404)
        elif path == "/stalls":
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            type(self).stop.wait(20)
        else:
            wanted = self.headers.get("Range") if path == "/clip" else None
            first = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(body) - first))
            if wanted:
                self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body[first:])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Serve a clip of 100 frames with sound, whose mp4 index stands at the end."""
    noise = [np.random.default_rng(i).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for i in range(100)]
    Site.content = write(tmp_path / "clip.mp4", noise, sound=Sound(seconds=4)).read_bytes()
    Site.stop.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    Site.stop.set()
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.mark.parametrize("place", ["/clip?key=a/b", "/moved"])
def test_an_address_gives_the_frames_and_the_sound_of_the_file(tmp_path: Path, site: str, place: str) -> None:
    out = transcode(site + place, tmp_path / "out.mp4", start=2.0)  # type: ignore[arg-type]
    expected = transcode(tmp_path / "clip.mp4", tmp_path / "expected.mp4", start=2.0)
    assert video_times(out) == video_times(expected)
    assert sound_packets(out) == sound_packets(expected)
    assert np.array_equal(frames_of(out)[0].to_ndarray(), frames_of(expected)[0].to_ndarray())


def test_an_address_that_cannot_be_sought(tmp_path: Path, site: str) -> None:
    Site.content = write(tmp_path / "a.ts", [scene(index, WIDTH, HEIGHT) for index in range(100)]).read_bytes()
    frames = recorded(f"{site}/whole", start=3.0)  # type: ignore[arg-type]
    assert [frame.time for frame in frames] == [Fraction(index, 25) for index in range(25)]


def test_addresses_that_fail(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = refusal(f"{site}/missing?key=secret")
    assert code == "E433"
    assert "404 Not Found" in text
    assert "secret" not in text
    code, text = refusal(site.replace("://", "://user:secret@") + "/clip")
    assert code == "E420"
    assert "secret" not in text
    assert refusal("ftp://127.0.0.1/clip.mp4")[0] == "E409"
    assert refusal(f"{site}/list.m3u8")[0] in ("E415", "E433")
    assert refusal(f"{site}/clip", backend="bmf")[0] == "E389"
    monkeypatch.setattr(opening, "_SILENCE", 1)
    code, text = refusal(f"{site}/stalls")
    assert code == "E433"


def test_a_server_that_stalls_ends_the_run(tmp_path: Path, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Site.content = write(tmp_path / "a.ts", [scene(index, WIDTH, HEIGHT) for index in range(50)]).read_bytes()
    monkeypatch.setattr(opening, "_SILENCE", 0.3)
    with pytest.raises(BmfgraphError) as caught:
        recorded(f"{site}/stalls")  # type: ignore[arg-type]
    assert "cannot be read" in str(caught.value)


def test_the_certificate_of_a_server_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl makes a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        ["openssl", *words.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    Site.content = write(tmp_path / "a.mkv", [scene(index, WIDTH, HEIGHT) for index in range(3)]).read_bytes()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    url = f"https://localhost:{server.server_address[1]}/clip"
    try:
        assert refusal(url)[0] == "E433"
        monkeypatch.setattr(opening, "_certificates", lambda: str(certificate))
        assert len(recorded(url)) == 3  # type: ignore[arg-type]
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
