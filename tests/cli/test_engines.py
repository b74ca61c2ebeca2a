"""Test the verb ``engines``: its output, what it deletes, and its exit codes."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bmfgraph.cli.main import main
from bmfgraph.engines.key import EngineKey, Profile
from bmfgraph.engines.manifest import ENGINE, MANIFEST, BuildResult, StoredEngine
from bmfgraph.engines.store import EngineStore
from tests.engines.engine_tools import key

RunEngines = Callable[..., tuple[str, str]]


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "engines")


@pytest.fixture
def run_engines(store: EngineStore, capsys: pytest.CaptureFixture[str]) -> RunEngines:
    """Return a function that runs the verb on the test's store, and returns its stdout and stderr."""

    def run(*words: str, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["engines", *words, *(["--store", str(store.root)] if words else [])])
        assert end.value.code == code
        out, err = capsys.readouterr()
        return out, err

    return run


def add(store: EngineStore, model: str = "net", of: EngineKey | None = None, *, unused_days: float = 0) -> StoredEngine:
    def make(folder: Path, reason: str) -> BuildResult:
        (folder / ENGINE).write_bytes(b"x" * 1_000_000)
        return BuildResult([], {"library": "Test", "version": "1"})

    entry = store.ensure(model, of or key(), make, say=lambda _: None)
    then = time.time() - unused_days * 24 * 3600
    for file in entry.folder.iterdir():
        os.utime(file, (then, then))
    return entry


def test_the_store_may_be_named_before_the_verb(store: EngineStore, capsys: pytest.CaptureFixture[str]) -> None:
    add(store)
    with pytest.raises(SystemExit) as end:
        main(["engines", "--json", "--store", str(store.root), "list"])
    assert end.value.code == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_without_a_name_the_store_is_here(
    store: EngineStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store)
    monkeypatch.chdir(store.root.parent)
    with pytest.raises(SystemExit) as end:
        main(["engines", "verify"])
    assert end.value.code == 0
    assert capsys.readouterr().out == "1 engine(s), 0 damaged\n"


def test_an_empty_store(store: EngineStore, run_engines: RunEngines) -> None:
    assert run_engines("list") == (f"no engines in {str(store.root)!r}\n", "")
    assert run_engines("list", "--json") == ("[]\n", "")
    assert run_engines("verify") == ("0 engine(s), 0 damaged\n", "")
    assert run_engines("prune") == ("deleted 0 item(s), 0 bytes\n", "")


def test_the_list(store: EngineStore, run_engines: RunEngines) -> None:
    shapes = (("input", Profile((1, 3, 16, 16), (1, 3, 24, 32), (4, 3, 48, 64))),)
    first = add(store)
    second = add(store, "größe x2", key(profiles=shapes, gpu="NVIDIA L4", runtime="tensorrt", version="10.16.1"))
    second.path.write_bytes(b"")
    lines = run_engines("list")[0].splitlines()
    assert lines[0].split() == ["model", "key", "precision", "runtime", "gpu", "shapes", "size", "built", "state"]
    built = first.manifest["built"]["created"][:10]
    words = ["größe", "x2", second.folder.name, "fp16", "TensorRT", "10.16.1", "NVIDIA", "L4", "input"]
    assert "".join(line for line in lines if first.folder.name in line).split() == [
        *(
            "net",
            first.folder.name,
            "fp16",
            "TensorRT-RTX",
            "1.7.1",
            "any",
            "input",
            "1x3x24x32",
            "1.0",
            "MB",
            built,
            "ok",
        )
    ]
    assert "".join(line for line in lines if second.folder.name in line).split()[:9] == words
    assert "1x3x16x16..4x3x48x64 (best 1x3x24x32)" in " ".join(lines)
    listed = {one["key"]: one for one in json.loads(run_engines("list", "--json")[0])}
    assert listed[first.folder.name]["damage"] == ""
    assert listed[second.folder.name]["damage"] == "engine.plan has 0 bytes, not 1000000"
    assert listed[first.folder.name]["bytes"] > 1_000_000


def test_showing_one_engine(store: EngineStore, run_engines: RunEngines) -> None:
    entry = add(store)
    other = add(store, of=key(gpu="NVIDIA L4"))
    assert json.loads(run_engines("show", entry.folder.name[:6])[0]) == entry.manifest
    assert json.loads(run_engines("show", entry.folder.name)[0])["key"] == key().as_json()
    wrong = ("f" if entry.folder.name[0] != "f" else "e") + entry.folder.name[1:]
    _, err = run_engines("show", wrong, code=2)
    assert f"no engine has a key that begins with {wrong!r}" in err
    assert f"(did you mean {entry.folder.name!r}?)" in err
    assert "2 engines have a key that begins with ''" in run_engines("show", "", code=2)[1]
    (other.folder / MANIFEST).write_text("{")
    _, err = run_engines("show", other.folder.name, code=1)
    assert "manifest.json is not JSON, or it is cut off" in err
    assert "the next run builds it anew" in err


def test_verifying(store: EngineStore, run_engines: RunEngines) -> None:
    entry, whole = add(store), add(store, "other")
    assert run_engines("verify") == ("2 engine(s), 0 damaged\n", "")
    entry.path.write_bytes(b"y" * 1_000_000)
    out, err = run_engines("verify", code=1)
    assert out == f"{entry.folder}: the checksum of engine.plan is wrong\n2 engine(s), 1 damaged\n"
    assert err == (
        "bmfgraph: error[E613]: 1 engine of the store cannot be used\n"
        "  → the next run builds it anew; python -m bmfgraph engines prune deletes it\n"
    )
    data = json.loads(run_engines("verify", "--json", code=1)[0])
    assert data["damaged"] == [{"folder": str(entry.folder), "damage": "the checksum of engine.plan is wrong"}]
    run_engines("prune")
    assert run_engines("verify")[0] == "1 engine(s), 0 damaged\n"
    assert whole.path.exists()


def left(store: EngineStore) -> set[str]:
    return {entry.folder.name for entry in store.entries()}


def test_pruning_without_a_choice(store: EngineStore, run_engines: RunEngines) -> None:
    whole, damaged = add(store, unused_days=1000), add(store, "other")
    damaged.path.unlink()
    left_over = store.root / "net" / f".{whole.folder.name}.0123abcd.building"
    left_over.mkdir()
    (left_over / ENGINE).write_bytes(b"half")
    log = store.failed_log("net", key())
    log.write_text("it failed")
    expected = {
        str(damaged.folder): "engine.plan is missing",
        str(left_over): "left over from a build that did not end",
        str(log): "log of a build that failed",
    }
    would = json.loads(run_engines("prune", "--dry-run", "--json")[0])
    assert {one["folder"]: one["why"] for one in would["removed"]} == expected
    assert damaged.folder.exists()
    assert left_over.exists()
    assert log.exists()
    out, _ = run_engines("prune")
    assert out.splitlines()[-1] == f"deleted 3 item(s), {would['bytes']} bytes"
    assert f"deleted {damaged.folder} (1.1 kB): engine.plan is missing" in out
    assert not left_over.exists()
    assert not log.exists()
    assert left(store) == {whole.folder.name}


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["--unused-days", "30"], {"new", "damaged"}),
        (["--unused-days", "0.5"], set()),
        (["--damaged"], {"new", "old", "other"}),
        (["--damaged", "--unused-days", "30"], {"new"}),
        (["--model", "net"], {"other"}),
        (["--model", "net", "--unused-days", "30"], {"new", "other", "damaged"}),
        (["--model", "net", "--damaged"], {"new", "old", "other"}),
        (["--model", "net", "--all"], {"other"}),
        (["--all"], set()),
    ],
)
def test_pruning_what_is_chosen(store: EngineStore, run_engines: RunEngines, words: list[str], kept: set[str]) -> None:
    entries = {
        "new": add(store, unused_days=1),
        "old": add(store, of=key(gpu="NVIDIA L4"), unused_days=40),
        "damaged": add(store, of=key(precision="fp32"), unused_days=1),
        "other": add(store, "another", unused_days=40),
    }
    entries["damaged"].path.unlink()
    names = {entry.folder.name: name for name, entry in entries.items() if name != "other"}
    run_engines("prune", *words)
    found = {names[entry.folder.name] if entry.model == "net" else "other" for entry in store.entries()}
    assert found == kept


def test_an_engine_that_was_used_of_late_is_kept(store: EngineStore, run_engines: RunEngines) -> None:
    entry = add(store, unused_days=40)
    store.use("net", key())
    assert run_engines("prune", "--unused-days", "30")[0] == "deleted 0 item(s), 0 bytes\n"
    assert entry.path.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "'VERB' is missing"),
        (["lst"], "unknown verb 'lst' (did you mean 'list'?); verbs: list, prune, show, verify"),
        (["show"], "'KEY' is missing"),
        (["prune", "--dryrun"], "engines prune takes no flag '--dryrun' (did you mean '--dry-run'?)"),
        (["prune", "--al"], "engines prune takes no flag '--al' (did you mean '--all'?)"),
        (["prune", "--unused-days", "soon"], "'soon' is not a number of days"),
        (["prune", "--unused-days", "-1"], "'-1' is not a number of days"),
        (["prune", "--unused-days", "nan"], "'nan' is not a number of days"),
        (["prune", "--model", "nett"], "has no engines of 'nett' (did you mean 'net'?); models: net"),
        (["list", "extra"], "unknown argument 'extra'"),
    ],
)
def test_wrong_words(store: EngineStore, run_engines: RunEngines, words: list[str], message: str) -> None:
    add(store)
    out, err = run_engines(*words, code=2)
    assert out == ""
    assert err.startswith("bmfgraph: error[E114]: ")
    assert message in err
    assert re.search(r"\n  → python -m bmfgraph engines( \w+)? --help\n$", err)
    assert left(store) == {key().digest()[:16]}


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["prune", "--help"]])
def test_help(run_engines: RunEngines, words: list[str]) -> None:
    out, err = run_engines(*words)
    assert out.startswith("python -m bmfgraph engines")
    assert err == ""
    if words[0] != "prune":
        assert "engines prune --unused-days 30 --dry-run" in out


def test_a_store_that_is_a_file(store: EngineStore, run_engines: RunEngines) -> None:
    store.root.write_text("no folder")
    for verb in ("list", "verify"):
        _, err = run_engines(verb, code=1)
        assert f"the engine store {str(store.root)!r} cannot be read (Not a directory)" in err
        assert "name another folder with --store" in err
