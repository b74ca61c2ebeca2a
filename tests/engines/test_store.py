"""Test the engine store: concurrent callers, damage, failed builds and pruning."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.engines.manifest import ENGINE, LOG, MANIFEST, BuildResult, StoredEngine
from bmfgraph.engines.store import EngineStore, StoreError
from tests.engines.engine_tools import CHANGES, ended, key, start, until

TENSORS = [
    {"name": "input", "mode": "input", "dtype": "uint8", "dims": [1, 3, -1, -1]},
    {"name": "output", "mode": "output", "dtype": "float32", "dims": [1, 3, -1, -1]},
]


class Maker:
    """Builds an engine of 1000 bytes, and remembers why."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def __call__(self, folder: Path, reason: str) -> BuildResult:
        self.reasons.append(reason)
        (folder / ENGINE).write_bytes(os.urandom(1000))
        (folder / LOG).write_text("built\n")
        return BuildResult(TENSORS, {"library": "Test", "version": "1"})


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "engines")


@pytest.fixture
def make() -> Maker:
    return Maker()


def quiet(_: str) -> None:
    """Nobody listens."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_an_engine_is_built_once_and_found_again(store: EngineStore, make: Maker) -> None:
    made = store.ensure("net", key(), make, say=quiet)
    found = store.ensure("net", key(), make, say=quiet)
    assert make.reasons == ["the first of this model"]
    assert found.folder == made.folder == store.root / "net" / key().digest()[:16]
    assert found.manifest == made.manifest
    assert names(found.folder) == [LOG, ENGINE, MANIFEST, "used"]
    assert names(store.root / "net") == [found.folder.name]
    assert found.damage() == ""
    assert found.tensors == TENSORS


def test_the_manifest_says_everything_in_the_clear(store: EngineStore, make: Maker) -> None:
    entry = store.ensure("net", key(), make, say=quiet)
    manifest = json.loads((entry.folder / MANIFEST).read_text())
    assert manifest["model"] == "net"
    assert manifest["key"] == key().as_json()
    assert manifest["digest"] == key().digest()
    assert manifest["file"]["bytes"] == 1000
    assert manifest["built"]["builder"] == {"library": "Test", "version": "1"}
    assert set(manifest["built"]) == {"seconds", "created", "builder"}


@pytest.mark.parametrize(("field", "value"), CHANGES.items())
def test_the_reason_names_the_field_that_changed(store: EngineStore, make: Maker, field: str, value: Any) -> None:
    store.ensure("net", key(), make, say=quiet)
    store.ensure("net", key(**{field: value}), make, say=quiet)
    assert make.reasons[1] == f"rebuilt because: {field}"
    assert len(store.entries("net")) == 2


def test_the_reason_is_told_against_the_nearest_engine(store: EngineStore, make: Maker) -> None:
    store.ensure("net", key(gpu="NVIDIA L4", precision="int8", version="9"), make, say=quiet)
    store.ensure("net", key(), make, say=quiet)
    assert store.reason("net", key(gpu="NVIDIA L4", precision="fp32")) == "rebuilt because: gpu, precision"
    nearest = store.nearest("net", key(version="2"))
    assert nearest is not None
    assert (nearest[0].manifest["key"], nearest[1]) == (key().as_json(), ["version"])
    assert store.reason("another", key()) == "the first of this model"


def test_asked_for_anew(store: EngineStore, make: Maker) -> None:
    first = store.ensure("net", key(), make, say=quiet)
    second = store.ensure("net", key(), make, say=quiet, rebuild=True)
    assert make.reasons == ["the first of this model", "rebuilt because: it was asked for"]
    assert first.manifest["file"] != second.manifest["file"]
    assert names(store.root / "net") == [second.folder.name]


@pytest.mark.parametrize(
    "name", ["net", "a/b", "../net", "..", ".hidden", "größe x2", "a b", "a_b", "", "x" * 300, "con:1*?"]
)
def test_any_name_of_a_model_makes_a_folder_of_its_own(store: EngineStore, make: Maker, name: str) -> None:
    store.ensure("a_b", key(), make, say=quiet)
    entry = store.ensure(name, key(), make, say=quiet)
    assert entry.folder.parent.parent == store.root
    assert entry.folder.resolve().is_relative_to(store.root.resolve())
    assert [found.model for found in store.entries(name)] == [name]
    assert {found.model for found in store.entries()} == {"a_b", name}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def alter(path: Path) -> None:
    path.write_text(path.read_text().replace('"uint8"', '"int64"'))


def another_schema(path: Path) -> None:
    path.write_text(path.read_text().replace('"schema": 1,', '"schema": 7,', 1))


DAMAGES: list[tuple[str, Callable[[Path], object], str]] = [
    (ENGINE, cut, "engine.plan has 900 bytes, not 1000"),
    (ENGINE, flip, "the checksum of engine.plan is wrong"),
    (ENGINE, Path.unlink, "engine.plan is missing"),
    (MANIFEST, cut, "manifest.json is not JSON, or it is cut off"),
    (MANIFEST, lambda path: path.write_bytes(b""), "manifest.json is not JSON, or it is cut off"),
    (MANIFEST, lambda path: path.write_bytes(b"\xff\xfe\x00"), "manifest.json is not JSON, or it is cut off"),
    (MANIFEST, lambda path: path.write_text("[]"), "manifest.json does not hold an object"),
    (MANIFEST, lambda path: path.write_text('{"schema": 1}'), "manifest.json lacks 'model'"),
    (MANIFEST, alter, "the checksum of manifest.json is wrong"),
    (MANIFEST, another_schema, "manifest.json has schema 7, but this bmfgraph reads schema 1"),
    (MANIFEST, Path.unlink, "manifest.json is missing"),
]


@pytest.mark.parametrize(("file", "damage", "told"), DAMAGES)
def test_damage_is_named_and_mended(
    store: EngineStore, make: Maker, file: str, damage: Callable[[Path], object], told: str
) -> None:
    entry = store.ensure("net", key(), make, say=quiet)
    damage(entry.folder / file)
    (found,) = store.entries()
    assert found.damage() == told
    assert store.use("net", key()) is None
    assert store.ensure("net", key(), make, say=quiet).damage() == ""
    assert make.reasons[1] == f"rebuilt because: {told}"
    assert names(store.root / "net") == [entry.folder.name]


def test_an_engine_put_under_another_key_is_not_taken_for_it(store: EngineStore, make: Maker) -> None:
    entry = store.ensure("net", key(), make, say=quiet)
    other = store.folder("net", key(gpu="NVIDIA L4"))
    entry.folder.rename(other)
    found = store.find("net", key(gpu="NVIDIA L4"))
    assert found is not None
    assert found.damage() == f"manifest.json belongs to another engine, {entry.folder.name}"


MANY = """
import os, sys, time
from pathlib import Path
from bmfgraph.engines.manifest import BuildResult
from bmfgraph.engines.store import EngineStore
from tests.engines.engine_tools import key
root, count = Path(sys.argv[1]), Path(sys.argv[2])
def make(folder, reason):
    with count.open("a") as file:
        file.write("built\\n")
    time.sleep(0.5)
    (folder / "engine.plan").write_bytes(os.urandom(1000))
    return BuildResult([], {})
print(EngineStore(root).ensure("net", key(), make, say=lambda text: print(text, file=sys.stderr)).manifest["file"])
"""


def test_processes_at_once_build_once(store: EngineStore, tmp_path: Path) -> None:
    count = tmp_path / "count"
    processes = [start(MANY, store.root, count) for _ in range(5)]
    told = {ended(process) for process in processes}
    assert count.read_text() == "built\n"
    assert len(told) == 1
    assert [entry.damage() for entry in store.entries()] == [""]


def test_who_waits_is_told(store: EngineStore, tmp_path: Path) -> None:
    first = start(MANY, store.root, tmp_path / "count")
    until((tmp_path / "count").exists)
    heard: list[str] = []
    store.ensure("net", key(), Maker(), say=heard.append)
    assert heard == ["waiting for another process that builds the engine for net"]
    ended(first)


def test_a_build_that_fails_leaves_its_log_and_nothing_else(store: EngineStore, make: Maker) -> None:
    def fail(folder: Path, reason: str) -> BuildResult:
        (folder / ENGINE).write_bytes(b"half")
        (folder / LOG).write_text("no memory\n")
        raise RuntimeError("it failed")

    with pytest.raises(RuntimeError, match="it failed"):
        store.ensure("net", key(), fail, say=quiet)
    log = store.failed_log("net", key())
    assert names(store.root / "net") == [log.name]
    assert log.read_text() == "no memory\n"
    assert store.entries() == []
    store.ensure("net", key(), make, say=quiet)
    assert not log.exists()


ENDLESS = """
import sys, time
from pathlib import Path
from bmfgraph.engines.store import EngineStore
from tests.engines.engine_tools import key
def make(folder, reason):
    (folder / "engine.plan").write_bytes(b"half")
    (folder / "manifest.json").write_text("{}")
    time.sleep(600)
EngineStore(Path(sys.argv[1])).ensure("net", key(), make, say=print)
"""


def building(store: EngineStore) -> list[Path]:
    return [path.parent for path in store.root.glob(f"net/.*.building/{MANIFEST}")]


def test_a_killed_build_leaves_nothing_that_is_taken_for_an_engine(store: EngineStore, make: Maker) -> None:
    process = start(ENDLESS, store.root)
    (left_over,) = until(lambda: building(store))
    # While its builder lives, nobody takes it away.
    assert store.prune(lambda _: "all") == ([], [])
    assert left_over.exists()
    process.kill()
    process.communicate()
    assert store.entries() == []
    assert left_over.exists()
    store.ensure("net", key(), make, say=quiet)
    assert not left_over.exists()
    assert [entry.damage() for entry in store.entries()] == [""]


def test_prune_takes_away_what_a_killed_build_left(store: EngineStore, make: Maker) -> None:
    store.ensure("net", key(gpu="NVIDIA L4"), make, say=quiet)
    process = start(ENDLESS, store.root)
    (left_over,) = until(lambda: building(store))
    until(lambda: sum(path.stat().st_size for path in left_over.iterdir()) == 6)
    process.kill()
    process.communicate()
    (would,), _ = store.prune(lambda _: "", dry_run=True)
    assert left_over.exists()
    (removed,), _ = store.prune(lambda _: "")
    assert would == removed
    assert (removed.folder, removed.bytes) == (left_over, 6)
    assert not left_over.exists()
    assert len(store.entries()) == 1


def test_prune_keeps_an_engine_that_is_being_rebuilt(store: EngineStore, make: Maker) -> None:
    entry = store.ensure("net", key(), make, say=quiet)
    flip(entry.path)
    process = start(ENDLESS, store.root)
    until(lambda: building(store))
    removed, busy = store.prune(StoredEngine.damage)
    assert removed == []
    assert [one.folder for one in busy] == [entry.folder]
    process.kill()
    process.communicate()
    removed, _ = store.prune(StoredEngine.damage)
    assert removed[0].why == "the checksum of engine.plan is wrong"
    assert names(store.root / "net") == []


def test_looking_for_an_engine_notes_when_it_was_used(store: EngineStore, make: Maker) -> None:
    entry = store.ensure("net", key(), make, say=quiet)
    long_ago = time.time() - 1e6
    for file in entry.folder.iterdir():
        os.utime(file, (long_ago, long_ago))
    assert entry.last_used == pytest.approx(long_ago, abs=1)
    store.ensure("net", key(), make, say=quiet)
    assert entry.last_used == pytest.approx(time.time(), abs=60)


SMALL = """
import os, sys
from pathlib import Path
from bmfgraph.engines.manifest import BuildResult
from bmfgraph.engines.store import EngineStore, StoreError
from tests.engines.engine_tools import key
def make(folder, reason):
    (folder / "engine.plan").write_bytes(os.urandom(int(sys.argv[2])))
    return BuildResult([{"name": "x" * int(sys.argv[3])}], {})
try:
    EngineStore(Path(sys.argv[1])).ensure("net", key(), make, say=print)
except StoreError as error:
    sys.exit(f"StoreError: {error}")
except OSError as error:
    sys.exit(f"OSError: {error.strerror}")
"""


def limited() -> None:
    """Called in the new process: no file may grow beyond 10,000 bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))


@pytest.mark.wide
def test_a_disk_that_is_full_before_the_engine_is_written(small_disk: Path) -> None:
    assert ended(start(SMALL, small_disk, 100_000, 1), 1) == "OSError: No space left on device\n"
    assert EngineStore(small_disk).entries() == []
    assert names(small_disk / "net") == []
    ended(start(SMALL, small_disk, 10_000, 1))
    assert [entry.damage() for entry in EngineStore(small_disk).entries()] == [""]


def test_a_disk_that_is_full_before_the_manifest_is_written(store: EngineStore) -> None:
    told = ended(start(SMALL, store.root, 1000, 20_000, preexec_fn=limited), 1)
    assert told == f"StoreError: the engine store {str(store.root)!r} cannot be written (File too large)\n"
    assert store.entries() == []
    assert names(store.root / "net") == []


@pytest.mark.wide
def test_a_store_that_cannot_be_written(store: EngineStore, make: Maker, powerless: list[str]) -> None:
    store.ensure("net", key(), make, say=quiet)
    for folder in (store.root, *store.root.rglob("*")):
        if folder.is_dir():
            folder.chmod(0o555)
    code = SMALL.replace("key()", "key(gpu=sys.argv[4])")
    # What is there can still be used.
    ended(start(code, store.root, 10, 1, "any", before=powerless))
    told = ended(start(code, store.root, 10, 1, "NVIDIA L4", before=powerless), 1)
    assert told == f"StoreError: the engine store {str(store.root)!r} cannot be written (Permission denied)\n"


def test_a_store_that_is_a_file(tmp_path: Path, make: Maker) -> None:
    (tmp_path / "engines").touch()
    with pytest.raises(StoreError, match=r"cannot be read \(Not a directory\)"):
        EngineStore(tmp_path / "engines").ensure("net", key(), make, say=quiet)
