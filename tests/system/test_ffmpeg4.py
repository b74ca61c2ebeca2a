"""Test the links to FFmpeg 4's libraries, with the real decord and a temporary folder of packages."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from bmfgraph.errors import InstallError
from bmfgraph.system import ffmpeg4
from bmfgraph.system.ffmpeg4 import LIBRARIES, prepare


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a folder with a package ``bmf``, and hide the system's FFmpeg 4."""
    folder = tmp_path / "site"
    (folder / "bmf").mkdir(parents=True)
    (folder / "bmf" / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "bmf", raising=False)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(ffmpeg4, "_system_libraries", dict)
    return folder


@pytest.fixture
def decord() -> Path:
    """Return the folder of decord's libraries."""
    try:
        distribution = importlib.metadata.distribution("decord")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("decord is not installed")
    return Path(str(distribution.locate_file("decord.libs")))


def links(site: Path) -> dict[str, Path]:
    (folder,) = site.glob("*.libs")
    return {link.name: link.readlink() for link in folder.iterdir() if link.is_symlink()}


def test_links_have_the_plain_names_of_decords_libraries(site: Path, decord: Path) -> None:
    assert prepare() == "decord"
    found = links(site)
    for name in LIBRARIES:
        stem, _, version = name.partition(".so.")
        assert found[name].parent == decord
        assert found[name].name.startswith(f"{stem}-")
        assert f".so.{version}." in found[name].name
        assert found[name].is_file()
    # FFmpeg's libraries refer to each other by the mangled names.
    assert {file.name for file in decord.glob("lib*.so.*")} <= set(found)


def test_linking_again_changes_nothing(site: Path, decord: Path) -> None:
    prepare()
    (folder,) = site.glob("*.libs")
    before = {link.name: link.lstat().st_ino for link in folder.iterdir() if link.is_symlink()}
    assert prepare() == "decord"
    assert {link.name: link.lstat().st_ino for link in folder.iterdir() if link.is_symlink()} == before


def test_stale_links_are_replaced(site: Path, decord: Path, tmp_path: Path) -> None:
    prepare()
    (folder,) = site.glob("*.libs")
    wanted = links(site)
    (folder / "libavcodec.so.58").unlink()
    (folder / "libavcodec.so.58").symlink_to(tmp_path / "moved" / "libavcodec.so.58")
    (folder / "libgone.so.1").symlink_to(tmp_path / "gone")
    (folder / "libavutil.so.56").unlink()
    assert prepare() == "decord"
    assert links(site) == wanted


def test_files_other_than_links_stay(site: Path, decord: Path) -> None:
    prepare()
    (folder,) = site.glob("*.libs")
    (folder / "libown.so.1").write_text("a library of BMF's own")
    prepare()
    assert (folder / "libown.so.1").read_text() == "a library of BMF's own"


def test_a_systems_ffmpeg_is_preferred_and_the_links_are_removed(
    site: Path, decord: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prepare() == "decord"
    monkeypatch.setattr(ffmpeg4, "_system_libraries", lambda: dict.fromkeys(ffmpeg4.LIBRARIES, Path("x")))
    assert prepare() == "system"
    assert links(site) == {}


def test_a_systems_ffmpeg_needs_no_folder(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg4, "_system_libraries", lambda: dict.fromkeys(ffmpeg4.LIBRARIES, Path("x")))
    assert prepare() == "system"
    assert list(site.glob("*.libs")) == []


def test_the_library_path_counts_as_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg4, "_SYSTEM_FOLDERS", ())
    for name in LIBRARIES[:-1]:
        (tmp_path / name).touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", f":/nowhere:{tmp_path}")
    without = ffmpeg4._system_libraries()
    (tmp_path / LIBRARIES[-1]).touch()
    assert ffmpeg4._system_libraries() == {name: tmp_path / name for name in ffmpeg4.LIBRARIES}
    monkeypatch.setenv("LD_LIBRARY_PATH", "")
    assert ffmpeg4._system_libraries() == without


PREPARE = """\
import sys
from bmfgraph.system import ffmpeg4
ffmpeg4._system_libraries = dict
sys.stdin.readline()
for _ in range(20):
    assert ffmpeg4.prepare() == "decord"
"""


def test_eight_processes_at_once(site: Path, decord: Path, tmp_path: Path) -> None:
    (site / "BabitMF.libs").mkdir()
    for number in range(50):
        (site / "BabitMF.libs" / f"libstale{number}.so").symlink_to(tmp_path)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PREPARE],
            env={"PYTHONPATH": str(site), "PATH": ""},
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    ends = [process.communicate("go\n") for process in started]
    assert [process.returncode for process in started] == [0] * 8, ends
    assert set(LIBRARIES) <= set(links(site))
    assert not any("stale" in name or name.startswith(".") for name in links(site))


def refused() -> str:
    with pytest.raises(InstallError) as caught:
        prepare()
    return str(caught.value)


HINT = "pip install decord==0.6.0, or install FFmpeg 4 (Ubuntu 20.04 and 22.04 have it: apt install ffmpeg)"


def test_neither_system_nor_decord(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.distribution

    def without_decord(name: str) -> importlib.metadata.Distribution:
        return real("no-such-distribution" if name == "decord" else name)

    monkeypatch.setattr(importlib.metadata, "distribution", without_decord)
    assert refused() == f"FFmpeg 4's shared libraries are neither on the system nor in the package decord\n  → {HINT}"
    assert list(site.glob("*.libs")) == []


def test_a_decord_that_is_not_complete(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "decord.libs"
    folder.mkdir()
    for name in LIBRARIES[:-2]:
        stem, _, version = name.partition(".so.")
        (folder / f"{stem}-0123abcd.so.{version}.1.100").touch()
    monkeypatch.setattr(ffmpeg4, "_decord_folder", lambda: folder)
    assert refused() == f"FFmpeg 4 is incomplete: libswresample.so.3, libswscale.so.5 not found\n  → {HINT}"
    monkeypatch.setattr(ffmpeg4, "_decord_folder", lambda: tmp_path / "nothing")
    assert refused().startswith("FFmpeg 4 is incomplete: libavcodec.so.58, ")


def test_no_bmf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "bmf", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "meta_path", [finder for finder in sys.meta_path if "ditable" not in repr(finder)])
    assert refused().startswith("BMF is not installed\n  → pip install 'bmfgraph[cpu]'")


def test_a_folder_that_cannot_be_written(site: Path, decord: Path) -> None:
    (site / f"{ffmpeg4._distribution()}.libs").write_text("a file where the folder should be")
    message = refused()
    assert message.startswith("FFmpeg 4's libraries cannot be linked into '")
    assert "(File exists)" in message
    assert "run bmfgraph once as the owner of that folder" in message


def test_a_file_system_that_is_read_only(decord: Path) -> None:
    # Not even root can create a folder in /proc.
    with pytest.raises(InstallError, match=r"cannot be linked into '/proc/x\.libs'"):
        ffmpeg4._link(Path("/proc/x.libs"), {"libavcodec.so.58": decord})


def test_bmf_runs_on_what_was_linked() -> None:
    prepare()
    importlib.import_module("bmf")
    assert ffmpeg4.has_encoder("mpeg4")
    assert ffmpeg4.has_encoder("libx264")
    assert not ffmpeg4.has_encoder("no_such_encoder")
