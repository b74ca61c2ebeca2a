"""A sample of the fuzzer of media, in a process that forks before it runs anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.hostile.fuzz import media
from tests.hostile.fuzz.trial import Outcome

_ROOT = Path(__file__).parents[2]


@pytest.mark.wide
@pytest.mark.parametrize("cases", [2, 10])
def test_a_sample_survives(tmp_path: Path, cases: int) -> None:
    command = (sys.executable, "-m", "tests.hostile.fuzz", "--only", "media", "--cases", str(cases), "--seed", "3")
    done = subprocess.run(
        (*command, "--keep", str(tmp_path)), cwd=_ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[1].split()[:4] == ["media", str(cases), str(cases), "0"]


def test_cases_are_given_by_their_seed_and_differ_from_the_clips(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        case = media.case(Random("1"), folder)
        (clip,) = (path for path in folder.iterdir() if path.is_file())
        contents.append((case.arguments, clip.name, clip.read_bytes()))
    assert contents[0] == contents[1]
    assert contents[0][2] != media.clips()[contents[0][1]]


def test_the_judge_notices_lost_frames(tmp_path: Path) -> None:
    (tmp_path / "h264.mkv").write_bytes(media.clips()["h264.mkv"])
    (tmp_path / "out.mkv").write_bytes(media.clips()["mjpeg.avi"])
    quiet = Outcome(0, "written\n", 0.1, 1000)
    assert media.losses(tmp_path, quiet) == []
    (tmp_path / "out.mkv").write_bytes(media.clips()["mjpeg.avi"][:20_000])
    (problem,) = media.losses(tmp_path, quiet)
    assert "of 24 frames without a word" in problem
    assert media.losses(tmp_path, Outcome(3, "3 frames lost", 0.1, 1000)) == []
    assert media.losses(tmp_path, Outcome(1, "error", 0.1, 1000)) == ["it left a part under the final name"]
    (tmp_path / "out.mkv").unlink()
    assert media.losses(tmp_path, quiet) == ["it ended well without an output"]
