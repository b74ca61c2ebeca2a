"""Test that damage of a file is told, counted and placed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.errors import RunError
from bmfgraph.media.ledger import Loss
from bmfgraph.runner.report import make_report
from tests.runner.broken_clips import B_FRAMES, PICTURES, attempt, cut, hole, refusal
from tests.runner.media_tools import Sound, encoder, run, write

FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}
CLIPS: dict[str, dict[str, Any]] = {
    "a.mp4": {"options": B_FRAMES, "container": {"movflags": "faststart"}},
    "fragments.mp4": {"options": B_FRAMES, "container": FRAGMENTS},
    "a.mkv": {"options": B_FRAMES},
    "sound.mkv": {"options": B_FRAMES, "sound": Sound("libopus", seconds=2.0, rate=48_000)},
    "a.webm": {"codec": "libvpx", "options": {"cpu-used": "8"}},
    "a.avi": {"codec": "mpeg4"},
    "pictures.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "a.ts": {"options": B_FRAMES},
    "a.flv": {"options": B_FRAMES},
    "a.mpg": {"codec": "mpeg2video"},
    "a.wmv": {"codec": "wmv2"},
    "a.mxf": {"codec": "mpeg2video", "options": {"bf": "0"}},
    "a.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "a.mjpeg": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("clips")

    def made(name: str) -> Path:
        path = folder / name
        return path if path.exists() else write(path, PICTURES, **CLIPS[name])

    return made


CUT = {
    "a.mp4": "its box 'mdat' ends",
    "fragments.mp4": "its box 'mdat' ends",
    "a.mkv": "its segment ends",
    "sound.mkv": "its segment ends",
    "a.webm": "its segment ends",
    "a.avi": "its RIFF chunk ends",
    "pictures.avi": "its RIFF chunk ends",
    "a.flv": "its last tag is cut off",
    "a.mpg": "its last packet is cut off",
    "a.wmv": "it states",
    "a.gif": "its end is missing",
    "a.mjpeg": "its last picture is cut off",
}
"""Containers whose structure shows that their end is missing, and what is said of it."""
COUNTED = {"a.mp4", "a.mkv", "sound.mkv", "a.webm", "a.avi", "pictures.avi"}
"""Those that promise a number of frames, or a duration."""


@pytest.mark.parametrize("name", CUT)
def test_a_file_that_was_cut_off(clips: Callable[[str], Path], name: str) -> None:
    path = cut(clips(name), 0.7)
    code, message = refusal(path)
    assert code == "E407"
    assert f"{str(path)!r} is cut off or damaged: {CUT[name]}" in message
    frames, loss, result = attempt(path, on_error="skip")
    assert 10 < len(frames) < 50
    assert any(reason.startswith(CUT[name]) for reason in loss.reasons)
    assert [problem.code for problem in result.problems] == ["W124"]
    assert result.exit_code == 3
    if name in COUNTED:
        assert len(frames) + loss.frames == 50


def test_a_cut_transport_stream_is_read_with_a_warning(clips: Callable[[str], Path]) -> None:
    """A recording that was stopped ends so."""
    data = clips("a.ts").read_bytes()
    path = clips("a.ts").with_name("cut.ts")
    path.write_bytes(data[: len(data) * 7 // 10 // 188 * 188 + 100])
    frames, loss, result = attempt(path)
    assert 20 < len(frames) < 50
    assert loss.doubts[0] == "its last packet is cut off: its end may be missing"
    assert ([problem.code for problem in result.problems], result.exit_code) == (["W124"], 0)


HOLES = {
    "a.mp4": "a packet cannot be decoded",
    "a.mkv": "a part of it is damaged",
    "sound.mkv": "could not be decoded",
    "a.avi": "could not be decoded",
    "pictures.avi": "could not be decoded",
    "a.ts": "could not be decoded",
    "a.flv": "a part of it is damaged",
    "a.mpg": "could not be decoded",
    "a.gif": "it has no block at byte",
    "a.mxf": "could not be decoded",
}
"""Containers in which a hole shows, and what is said of it."""


@pytest.mark.parametrize("name", HOLES)
def test_a_hole(clips: Callable[[str], Path], name: str) -> None:
    path = hole(clips(name), 0.45, 0.55)
    code, message = refusal(path)
    assert code in ("E407", "E803")
    frames, loss, result = attempt(path, on_error="skip")
    assert len(frames) < 50
    assert loss.is_damage
    assert HOLES[name] in str(loss)
    assert [problem.code for problem in result.problems] == ["W124"]
    assert result.exit_code == 3
    if name not in ("a.gif", "a.flv", "a.mpg"):
        assert len(frames) + loss.frames == 50
        assert message


def test_a_gap_between_even_frames(clips: Callable[[str], Path]) -> None:
    """The container does not say how many frames it holds."""
    frames, loss, result = attempt(hole(clips("a.wmv"), 0.45, 0.55))
    assert len(frames) < 50
    assert any("may be missing behind 0." in doubt for doubt in loss.doubts)
    assert ([problem.code for problem in result.problems], result.exit_code) == (["W124"], 0)


def test_the_missing_frames_are_placed(clips: Callable[[str], Path]) -> None:
    frames, loss, result = attempt(hole(clips("a.mkv"), 0.45, 0.55), on_error="skip")
    shown = {frame.time for frame in frames}
    missing = [index for index in range(50) if Fraction(index, 25) not in shown]
    assert list(loss.times) == [index / 25 for index in missing]
    assert make_report(result)["losses"]["source"]["times"] == loss.times


def test_a_frame_that_the_decoder_has_patched(tmp_path: Path) -> None:
    """Its packet is there, and a part of the picture is not."""
    path = write(tmp_path / "a.avi", PICTURES[:10], codec="mpeg4", options={"g": "1"})
    whole, _, _ = attempt(path)
    data = bytearray(path.read_bytes())
    start = data.index(b"00dc", len(data) // 2) + 8
    size = int.from_bytes(data[start - 4 : start], "little")
    data[start + size // 2 : start + size - 8] = b"\xff" * (size - 8 - size // 2)
    path.write_bytes(data)
    code, message = refusal(path)
    frames, loss, result = attempt(path, on_error="skip")
    (time,) = loss.damaged_times
    assert (len(frames), loss) == (10, Loss(damaged=1, damaged_times=(time,)))
    assert code == "E803"
    assert f"1 frame is damaged (at {time:.3f} s)" in message
    assert [frame.index for frame, good in zip(frames, whole, strict=True) if (frame.pixels != good.pixels).any()] == [
        round(time * 25)
    ]
    assert result.exit_code == 3


def test_nothing_is_written_under_the_final_name(clips: Callable[[str], Path], tmp_path: Path) -> None:
    path, out = hole(clips("a.mkv"), 0.45, 0.55), tmp_path / "out.mp4"
    nodes = {"source": {"kind": "decoder", "path": str(path)}, "sink": encoder(out, "source.video")}
    with pytest.raises(RunError, match=re.escape("set decoder.on_error=skip")):
        run(nodes)
    assert list(tmp_path.iterdir()) == []


def test_two_files_one_after_the_other(clips: Callable[[str], Path], tmp_path: Path) -> None:
    """The times of the second begin anew, and are joined to the first."""
    data = clips("a.ts").read_bytes()
    path = tmp_path / "spliced.ts"
    path.write_bytes(data + data)
    frames, loss, result = attempt(path)
    assert (len(frames), loss.spliced, loss.is_damage) == (100, 1, False)
    assert [problem.code for problem in result.problems] == ["W125"]
    times = [frame.time for frame in frames]
    assert times == sorted(set(times))
    assert max(second - first for first, second in itertools.pairwise(times)) <= Fraction(3, 25)


def test_a_hole_at_the_end(clips: Callable[[str], Path]) -> None:
    """Fewer frames are missing than the rounding of a duration shows."""
    _, loss, result = attempt(hole(clips("a.mkv"), 0.93, 1.0), on_error="skip")
    assert "a part of it is damaged" in loss.reasons
    assert result.exit_code == 3


def test_room_between_packets_is_no_hole(clips: Callable[[str], Path], tmp_path: Path) -> None:
    """Tools leave Void elements of any length behind blocks, and alpha channels lie there."""
    data = clips("a.mkv").read_bytes()
    cluster = data.index(b"\x1f\x43\xb6\x75", len(data) // 3)
    path = tmp_path / "void.mkv"
    void = b"\xec" + (0x4000 | 3000).to_bytes(2, "big") + bytes(3000)
    head = data.index(b"\x18\x53\x80\x67") + 4
    size = int.from_bytes(data[head : head + 8], "big") + len(void)
    path.write_bytes(data[:head] + size.to_bytes(8, "big") + data[head + 8 : cluster] + void + data[cluster:])
    frames, loss, _ = attempt(path)
    assert (len(frames), loss) == (50, Loss())
