"""Fixtures of failing runs: good and bad clips, and a folder that must not change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runner.command import Ended, Running, clip, start


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of clips: 64x48, 30 fps, 90 frames of noise."""
    folder = tmp_path_factory.mktemp("clips")
    good = clip(folder / "good.mp4")
    clip(folder / "index_first.mp4", index_first=True)
    clip(folder / "good.mkv")
    clip(folder / "good.ts")
    clip(folder / "sound.mp4", sound_only=True)
    for name in ("index_first.mp4", "good.mp4", "good.mkv", "good.ts"):
        data = (folder / name).read_bytes()
        (folder / f"cut_{name}").write_bytes(data[: len(data) * 6 // 10])
    damaged = bytearray(good.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 20_000] = b"\x5a" * 20_000
    (folder / "damaged.mp4").write_bytes(damaged)
    (folder / "nothing").mkdir()
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("not a video\n" * 200)
    return folder


class Workplace:
    """A folder that a failing run must not change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "out.mp4"

    def files(self) -> list[str]:
        """Return the names of all files in it, hidden ones too."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))

    def start(self, command: list[str], **options: object) -> Running:
        """Start a command in the folder."""
        return start(command, self.folder, **options)  # type: ignore[arg-type]

    def run(self, command: list[str], **options: object) -> Ended:
        """Run a command; check that a failing one leaves no files."""
        before = self.files()
        ended = self.start(command, **options).wait()
        if ended.code:
            assert self.files() == before
        return ended


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """Return an empty folder to run in."""
    return Workplace(tmp_path)


@pytest.fixture
def fails(place: Workplace, clips: Path) -> Callable[..., str]:
    """Return a function that runs a command, checks that it fails and leaves no files, and returns its message."""

    def run(command: list[str], code: int = 1, **options: object) -> str:
        return place.run([*command, "output=out.mp4"], **options).error(code)

    return run


@pytest.fixture(params=["pyav", "bmf", "pyav+bmf", "bmf+pyav"])
def backend(request: pytest.FixtureRequest) -> str:
    """Return the back ends of decoder and encoder, as :func:`tests.runner.media_tools.transcode` takes them."""
    return str(request.param)
