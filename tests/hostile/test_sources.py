"""Sources that lead out of packages and wheels, that are options of pip, or that would run code."""

from __future__ import annotations

import os
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bmfgraph.errors import SourceError
from bmfgraph.media import fetching
from bmfgraph.media.sources import locate, locate_clip
from tests.runner.command import bmfgraph, start

CONTENT = b"weights"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "deep" / "cache"
    monkeypatch.setenv("BMFGRAPH_CACHE", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    (tmp_path / "wheels").mkdir()
    return folder


def refused(source: str) -> SourceError:
    with pytest.raises(SourceError) as caught:
        locate(source)
    return caught.value


def wheel(
    folder: Path, name: str, files: dict[str, bytes | zipfile.ZipInfo], compression: int = zipfile.ZIP_STORED
) -> None:
    """Write a wheel; a ZipInfo becomes a member with its attributes."""
    with zipfile.ZipFile(folder / "wheels" / f"{name}-1.0-py3-none-any.whl", "w", compression) as archive:
        for file, content in files.items():
            if isinstance(content, zipfile.ZipInfo):
                archive.writestr(content, b"/etc/passwd")
            else:
                archive.writestr(file, content)
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")


def test_a_wheel_writes_nothing_outside_the_cache(tmp_path: Path, cache: Path) -> None:
    wheel(tmp_path, "evil", {"../../../../outside/x": CONTENT, str(tmp_path / "outside/x"): CONTENT})
    for file in ("../../../../outside/x", f"{tmp_path}/outside/x", "a/../x", "./x", "a//x", "x\0y"):
        assert refused(f"wheel:evil==1.0/{file}").code == "E420"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wheels"]


def test_names_and_versions_that_are_options_of_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reqs==1.0").write_text("evil==1.0\n")
    for name in ("-rreqs==1.0", "--log==x.txt", "a-==1.0", "_a==1.0", "a==", "a==1.0 -rreqs", "a==../x", "a==*"):
        assert refused(f"wheel:{name}/x.onnx").code == "E420"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reqs==1.0", "wheels"]


def test_members_of_a_wheel_that_are_no_files(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("evil/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    wheel(tmp_path, "evil", {"evil/link": link, "evil/": b""})
    for file in ("evil/link", "evil/"):
        assert refused(f"wheel:evil==1.0/{file}").code in ("E423", "E420")


def test_a_wheel_that_unpacks_to_more_than_the_limit(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SIZE_LIMIT", 1 << 20)
    wheel(tmp_path, "bomb", {"zeros": bytes(2 << 20)}, compression=zipfile.ZIP_DEFLATED)
    error = refused("wheel:bomb==1.0/zeros")
    assert error.code == "E421"
    assert "the limit is 1,048,576 bytes" in str(error)
    assert [path.name for path in cache.rglob("*") if path.is_file()] == [".lock"]


def test_a_wheel_that_is_larger_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SIZE_LIMIT", 1 << 20)
    wheel(tmp_path, "large", {"random": os.urandom(2 << 20), "x": CONTENT})
    error = refused("wheel:large==1.0/x")
    assert error.code == "E421"
    assert "File too large" in str(error)


def test_a_damaged_wheel(tmp_path: Path) -> None:
    wheel(tmp_path, "torn", {"x": b"a" * 1000}, compression=zipfile.ZIP_LZMA)
    wheel(tmp_path, "holed", {"x": b"a" * 1000})
    path = tmp_path / "wheels" / "holed-1.0-py3-none-any.whl"
    path.write_bytes(path.read_bytes().replace(b"a" * 10, b"b" * 10, 1))
    for name in ("torn", "holed"):
        error = refused(f"wheel:{name}==1.0/x")
        assert error.code == "E421"
        assert "damaged" in str(error)


def test_files_outside_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    package = tmp_path / "site" / "neat"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "link").symlink_to(secret)
    (package / "file").write_bytes(CONTENT)
    (package / "inner").symlink_to("file")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    info = tmp_path / "site" / "neat-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: neat\nVersion: 1.0\n")
    names = ["link", "../../secret", f"/{secret}", "../neat/file", "."]
    (info / "RECORD").write_text("".join(f"neat/{name},,\n" for name in ["file", "inner", *names]))
    for kind in ("package:neat", "wheel:neat==1.0/neat"):
        assert locate(f"{kind}/file").read_bytes() == locate(f"{kind}/inner").read_bytes() == CONTENT
        for name in names:
            assert refused(f"{kind}/{name}").code == "E423"
    (tmp_path / "site" / "stray").write_bytes(CONTENT)
    assert refused("wheel:neat==1.0/stray").code == "E423"


def test_a_package_whose_files_are_links_to_the_cache_of_its_installer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("__init__.py", "net.onnx"):
        stored, linked = tmp_path / "store" / name, tmp_path / "site" / "neat" / name
        for path in (stored, linked):
            path.parent.mkdir(parents=True, exist_ok=True)
        stored.write_bytes(b"")
        linked.symlink_to(stored)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert locate("package:neat/net.onnx").exists()


def test_a_package_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "boom.py").write_text("raise SystemExit(3)")
    (tmp_path / "bang" / "sub").mkdir(parents=True)
    (tmp_path / "bang" / "__init__.py").write_text("raise SystemExit(3)")
    (tmp_path / "bang" / "sub" / "x").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    for package in ("boom.sub", "boom", "__main__", "__main__.x", "sys", "bang.none", "json.decoder"):
        assert refused(f"package:{package}/x").code == "E423"
    assert locate("package:bang.sub/x").read_bytes() == CONTENT
    assert "bang" not in sys.modules


def test_check_imports_no_package(tmp_path: Path, clip: Callable[..., Path]) -> None:
    clip()
    (tmp_path / "evil.py").write_text("open('PWNED', 'w').write('x')\nraise SystemExit(3)\n")
    words = ("input=clip.mp4", "output=o.mp4", "model.file=null", "model.source=package:evil.sub/x")
    command = bmfgraph("check", "pipeline=super_resolution", *words)
    ended = start(command, tmp_path).wait()
    assert ended.code == 2
    assert "E423" in ended.out
    assert not (tmp_path / "PWNED").exists()


def test_a_url_of_a_clip_has_no_checksum() -> None:
    for source in ("https://u:secret@127.0.0.1/x.mp4", "HTTP://127.0.0.1/x.mp4?key=secret"):
        with pytest.raises(SourceError) as caught:
            locate_clip(source)
        assert caught.value.code == "E409"
        assert "secret" not in str(caught.value)
