"""Test batches on Google Cloud Storage, against an emulator on this machine.

`pip install gcsfs gcp-storage-emulator`; gcsfs must be of about the version of fsspec.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bmfgraph as bg
from tests.batches.test_cloud import MODEL, WORDS, frames_in, serving
from tests.tools import double_model, make_clip

pytest.importorskip("gcsfs", reason="gcsfs is not installed")
pytest.importorskip("gcp_storage_emulator", reason="gcp-storage-emulator is not installed")

SERVER = """
import sys
from gcp_storage_emulator.server import create_server
create_server("127.0.0.1", int(sys.argv[1]), in_memory=True, default_bucket="bkt").run()
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Start a server with three clips in two folders."""
    import fsspec

    monkeypatch.chdir(tmp_path)
    with serving("-c", SERVER) as address:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        files = fsspec.filesystem("gs", use_listings_cache=False)
        for number, name in enumerate(("a", "b", "deep/a")):
            files.pipe_file(f"bkt/clips/{name}.mp4", make_clip(Path("clip.mp4"), frames=3 + number).read_bytes())
        double_model(Path("x.onnx"))
        yield files


def batch(**values: Any) -> list[Any]:
    options = {"input": "gs://bkt/clips/**/*.mp4", "output": "gs://bkt/x2/{relpath}.mp4", "model": MODEL, **values}
    return list(bg.batch("super_resolution", *WORDS, **options))


def test_all_clips_run_once_and_then_none(store: Any) -> None:
    ended = batch()
    assert [(each.clip, each.error) for each in ended] == [
        (f"gs://bkt/clips/{name}.mp4", None) for name in ("a", "b", "deep/a")
    ]
    assert [frames_in(store.cat_file(f"bkt/x2/{name}.mp4")) for name in ("a", "b", "deep/a")] == [3, 4, 5]
    assert batch() == []
    store.pipe_file("bkt/clips/a.mp4", store.cat_file("bkt/clips/b.mp4"))
    (again,) = batch()
    assert (again.clip, frames_in(store.cat_file("bkt/x2/a.mp4"))) == ("gs://bkt/clips/a.mp4", 4)


def test_an_object_of_somebody_else_stays(store: Any) -> None:
    store.pipe_file("bkt/x2/a.mp4", b"mine")
    (failed,) = [each for each in batch(on_error="skip") if each.error]
    assert (failed.clip, failed.error.problems[0].code) == ("gs://bkt/clips/a.mp4", "E220")
    assert store.cat_file("bkt/x2/a.mp4") == b"mine"
