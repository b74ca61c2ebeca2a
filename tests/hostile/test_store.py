"""Folders that are no engine store, and stores with links, pipes, foreign files and lying manifests."""

from __future__ import annotations

import json
import os
import pty
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.cli.main import main
from bmfgraph.engines import manifest as manifests
from bmfgraph.engines.manifest import ENGINE, MANIFEST, BuildResult, StoredEngine
from bmfgraph.engines.store import EngineStore, StoreError
from tests.engines.engine_tools import key

KEY = "0123456789abcdef"
RunEngines = Callable[..., str]


def fill(folder: Path, reason: str) -> BuildResult:
    """Write an engine of 1000 bytes."""
    (folder / ENGINE).write_bytes(b"x" * 1000)
    return BuildResult([], {"library": "Test", "version": "1"})


def add(store: EngineStore, model: str = "net") -> StoredEngine:
    return store.ensure(model, key(), fill, say=lambda _: None)


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "engines")


@pytest.fixture
def run(store: EngineStore, capsys: pytest.CaptureFixture[str]) -> RunEngines:
    """Return a function that runs ``engines`` on a store, and returns what it printed."""

    def run(*words: str, folder: Path = store.root, code: int = 0) -> str:
        with pytest.raises(SystemExit) as end:
            main(["engines", *words, "--store", str(folder)])
        out, err = capsys.readouterr()
        assert end.value.code == code, out + err
        return out + err

    return run


def victim(folder: Path) -> Path:
    """Create a folder outside the store with a file in a folder that is named like an engine's."""
    file = folder / "precious" / KEY / ENGINE
    file.parent.mkdir(parents=True)
    file.write_text("precious")
    return file


@pytest.mark.parametrize("words", [["prune"], ["prune", "--all"], ["prune", "--all", "--yes", "--dry-run"]])
def test_prune_refuses_a_folder_that_is_no_store(tmp_path: Path, run: RunEngines, words: list[str]) -> None:
    files = [tmp_path / "photos/2024/a.jpg", tmp_path / f"engines/net/{KEY}/{ENGINE}", tmp_path / f"x/{KEY}/{ENGINE}"]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text("precious")
    told = run(*words, folder=tmp_path, code=2)
    assert told.startswith("bmfgraph: error[E621]: --store: ")
    assert "is not an engine store: it holds 'engines'" in told
    assert all(file.exists() for file in files)
    assert not (tmp_path / ".locks").exists()


def test_prune_leaves_what_is_not_an_engine(store: EngineStore, run: RunEngines) -> None:
    engine = add(store)
    kept = [
        store.root / "net" / "notes" / "a.txt",
        store.root / "net" / KEY / "a.txt",
        store.root / "photos" / "2024" / ENGINE,
        store.root / "net" / ".0123.building" / "a.txt",
        store.root / "net" / "mine.failed.log",
    ]
    for file in kept:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("precious")
    assert "deleted 1 item(s)" in run("prune", "--all")
    assert not engine.folder.exists()
    assert all(file.exists() for file in kept)


def test_a_store_of_an_older_version_is_recognized(store: EngineStore, run: RunEngines) -> None:
    """A copied store may have lost its hidden folder; one intact manifest suffices."""
    engine, damaged = add(store), add(store, "other")
    (store.root / ".locks" / f"{engine.folder.name}.lock").unlink()
    (store.root / ".locks").rmdir()
    damaged.path.unlink()
    assert "deleted 1 item(s)" in run("prune")
    assert engine.folder.exists()
    assert not damaged.folder.exists()


@pytest.mark.parametrize("words", [["prune", "--all"], ["list"], ["verify"], ["show", KEY[:4]]])
def test_links_in_a_store_are_not_followed(
    store: EngineStore, run: RunEngines, tmp_path: Path, words: list[str]
) -> None:
    file = victim(tmp_path)
    (add(store).folder.parent / KEY).symlink_to(file.parent)
    (store.root / "linked").symlink_to(tmp_path / "precious")
    told = run(*words, code=2 if words[0] == "show" else 0)
    assert KEY not in told
    assert "linked" not in told
    assert file.read_text() == "precious"


def test_a_linked_engine_file_is_damaged(store: EngineStore, run: RunEngines, tmp_path: Path) -> None:
    engine = add(store)
    (tmp_path / "elsewhere").write_bytes(engine.path.read_bytes())
    engine.path.unlink()
    engine.path.symlink_to(tmp_path / "elsewhere")
    assert f"{ENGINE} cannot be read" in run("verify", code=1)


@pytest.mark.parametrize("answer", ["n", "y"])
def test_prune_asks_on_a_terminal(
    store: EngineStore, run: RunEngines, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    engine = add(store)
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    with os.fdopen(theirs, closefd=True) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        told = run("prune", "--all", code=int(answer == "n"))
    os.close(ours)
    assert f"will delete {engine.folder} (" in told
    assert "delete 1 item? [y/N] " in told
    assert engine.folder.exists() == (answer == "n")
    if answer == "n":
        run("prune", "--all", "--yes")
        assert not engine.folder.exists()


def forged(manifest: dict[str, Any], **fields: Any) -> str:
    """Return a manifest with other fields and a checksum that is right."""
    manifest = {**manifest, **fields}
    return json.dumps({**manifest, "sha256": manifests._checksum(manifest)})


LIES: dict[str, Callable[[dict[str, Any]], str]] = {
    "deep": lambda _: "[" * 200_000,
    "deep field": lambda manifest: json.dumps(manifest)[:-1] + ', "x": ' + "[" * 990 + "]" * 990 + "}",
    "key": lambda manifest: forged(manifest, key={}),
    "profiles": lambda manifest: forged(manifest, key={**manifest["key"], "profiles": {"input": {"min": 5}}}),
    "gpu": lambda manifest: forged(manifest, key={**manifest["key"], "gpu": ["x"]}),
    "built": lambda manifest: forged(manifest, built={"created": [], "seconds": []}),
    "file": lambda manifest: forged(manifest, file={"bytes": "x", "sha256": 1}),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_manifest_spoils_its_own_engine_only(store: EngineStore, run: RunEngines, lie: str) -> None:
    whole, spoiled = add(store), add(store, "other")
    (spoiled.folder / MANIFEST).write_text(LIES[lie](spoiled.manifest))
    told = run("list")
    assert MANIFEST in next(line for line in told.splitlines() if line.startswith("other"))
    assert next(line for line in told.splitlines() if line.startswith("net")).rstrip().endswith("ok")
    assert "1 damaged" in run("verify", code=1)
    assert store.use("net", key()) is not None
    assert store.ensure("other", key(), fill, say=lambda _: None).damage() == ""
    assert whole.folder.exists()


@pytest.mark.parametrize("name", [MANIFEST, ENGINE])
def test_a_pipe_is_not_waited_for(store: EngineStore, run: RunEngines, name: str) -> None:
    engine = add(store)
    # A pipe has no bytes, so it has the size of this manifest.
    (engine.folder / MANIFEST).write_text(forged(engine.manifest, file={"bytes": 0, "sha256": ""}))
    (engine.folder / name).unlink()
    os.mkfifo(engine.folder / name)
    assert f"{name} cannot be read (it is a pipe, not a file)" in run("verify", code=1)
    assert store.ensure("net", key(), fill, say=lambda _: None).damage() == ""


def test_colours_in_a_manifest_do_not_reach_the_terminal(store: EngineStore, run: RunEngines) -> None:
    engine = add(store)
    manifest = engine.folder / MANIFEST
    manifest.write_text(forged(engine.manifest, model="\x1b[31mred"))
    assert "\x1b" not in run("list")


def test_nothing_is_written_through_links(store: EngineStore, tmp_path: Path) -> None:
    file = victim(tmp_path)
    store.root.mkdir()
    (store.root / "net").symlink_to(file.parent)
    with pytest.raises(StoreError, match=r"engines' cannot be written \(it is a link\)"):
        add(store)
    (store.root / "net").unlink()
    (store.root / ".locks").rename(tmp_path / "locks")
    (store.root / ".locks").symlink_to(tmp_path / "locks")
    with pytest.raises(StoreError, match="it is a link"):
        add(store)
    (store.root / ".locks").unlink()
    engine = add(store)
    (engine.folder / "used").symlink_to(tmp_path / "made")
    assert store.use("net", key()) is not None
    assert not (tmp_path / "made").exists()
    lock = store.root / ".locks" / f"{engine.folder.name}.lock"
    lock.unlink(missing_ok=True)
    lock.symlink_to(file)
    with pytest.raises(StoreError):
        store.ensure("net", key(), fill, say=lambda _: None, rebuild=True)
    assert file.read_text() == "precious"
    lock.unlink()
    engine.folder.rename(tmp_path / "moved")
    engine.folder.symlink_to(tmp_path / "moved")
    assert not add(store).folder.is_symlink()
    assert [path.name for path in (store.root / "net").iterdir()] == [engine.folder.name]
    assert (tmp_path / "moved" / ENGINE).exists()
