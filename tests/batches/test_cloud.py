"""Test batches whose clips and outputs lie on S3, against a server on this machine, or on a web server."""

from __future__ import annotations

import contextlib
import functools
import gc
import http.server
import importlib.util
import json
import os
import shlex
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import bmfgraph as bg
from bmfgraph.batches import staging
from bmfgraph.batches.entries import entries, names_remote
from bmfgraph.errors import BmfgraphError, Cancelled
from tests.codes.command import Outcome, run_cli
from tests.tools import double_model, make_clip

s3fs = pytest.importorskip("s3fs", reason="the extra cloud is not installed")
boto3 = pytest.importorskip("boto3", reason="moto[s3] is not installed")
pytest.importorskip("moto", reason="moto[s3] is not installed")

KEY, SECRET = "AKIATESTKEY", "a-very-secret-key"
MODEL = {"name": "x", "file": "x.onnx", "inputs": {"input": {}}, "outputs": {"output": {}}}
ONE = {"input": "s3://bkt/clips/a.mp4"}
WORDS = ("encoder.preset=ultrafast", "engine.runtime=onnxruntime")


@dataclass(frozen=True)
class Store:
    """A server of S3 with one bucket."""

    address: str
    client: Any

    def put(self, key: str, data: bytes | Path) -> None:
        self.client.put_object(Bucket="bkt", Key=key, Body=data.read_bytes() if isinstance(data, Path) else data)

    def get(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket="bkt", Key=key)["Body"].read()
        return data

    def names(self, prefix: str = "") -> list[str]:
        found = self.client.list_objects_v2(Bucket="bkt", Prefix=prefix).get("Contents", [])
        return [each["Key"] for each in found]


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@contextlib.contextmanager
def serving(*words: str) -> Iterator[str]:
    """Start a server in Python on a port that is its last word, and yield its address."""
    port = free_port()
    command = [sys.executable, *words, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


# A request that is given up, such as one of a slow machine, leaves its connection to Python's collector.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed connection:ResourceWarning")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving("-m", "moto.server", "-p") as address:
        yield address
    # Here, and not in a test of another module, which takes the warning for its own.
    gc.collect()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    double_model(Path("x.onnx"))
    Path("tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    for name, value in {
        "TMPDIR": str(tmp_path / "tmp"),
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_CONFIG_FILE": "none",
        "AWS_SHARED_CREDENTIALS_FILE": "none",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    # Instances keep the server of an earlier test.
    s3fs.S3FileSystem.clear_instance_cache()
    yield
    assert list(Path("tmp").iterdir()) == []


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Make a bucket with three clips in two folders."""
    urllib.request.urlopen(urllib.request.Request(f"{server}/moto-api/reset", method="POST")).close()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    client = boto3.client("s3", endpoint_url=server)
    client.create_bucket(Bucket="bkt")
    made = Store(server, client)
    for number, name in enumerate(("a", "b", "deep/a")):
        made.put(f"clips/{name}.mp4", make_clip(Path("clip.mp4"), frames=3 + number))
    yield made
    client.close()


def batch(*overrides: str, **values: Any) -> list[Any]:
    options = {"input": "s3://bkt/clips/**/*.mp4", "output": "s3://bkt/x2/{relpath}.mp4", "model": MODEL, **values}
    return list(bg.batch("super_resolution", *WORDS, *overrides, **options))


def command(verb: str, *overrides: str) -> list[str]:
    return [sys.executable, "-m", "bmfgraph", verb, *cli_words(*overrides)]


def run_here(*overrides: str) -> Outcome:
    """Run the verb run in this process, which has imported what it needs."""
    return run_cli(shlex.join(["run", *cli_words(*overrides)]), Path())


def cli_words(*overrides: str) -> list[str]:
    words = ["pipeline=super_resolution", "model.name=x", "model.file=x.onnx", *WORDS, "progress=false"]
    meaning = ["model.inputs={input: {}}", "model.outputs={output: {}}"]
    return [*words, *meaning, *overrides]


def frames_in(data: bytes) -> int:
    import av

    Path("read.mp4").write_bytes(data)
    with av.open("read.mp4") as file:
        return sum(1 for _ in file.decode(video=0))


# ----------------------------------------------------------------------------------------------- what runs


def test_all_clips_run_once_and_then_none(store: Store) -> None:
    ended = batch("parallel=3", report="s3://bkt/reports/{relpath}.json")
    assert sorted(each.clip for each in ended) == [f"s3://bkt/clips/{name}.mp4" for name in ("a", "b", "deep/a")]
    assert [each.result.outputs for each in ended] == [{}] * 3
    assert {each.result.uploaded["sink"] for each in ended} == {f"s3://bkt/{name}" for name in store.names("x2/")}
    assert [frames_in(store.get(f"x2/{name}.mp4")) for name in ("a", "b", "deep/a")] == [3, 4, 5]
    report = json.loads(store.get("reports/deep/a.json"))
    assert report["outputs"][0]["path"] == "s3://bkt/x2/deep/a.mp4"
    assert (report["config"]["input"], report["config"]["report"]) == (
        "s3://bkt/clips/deep/a.mp4",
        "s3://bkt/reports/deep/a.json",
    )
    assert str(Path("tmp").absolute()) not in json.dumps(report)
    before = [store.get(name) for name in store.names()]
    assert batch() == []
    assert [store.get(name) for name in store.names()] == before
    for path in Path("outputs").rglob("*.*"):
        assert not {SECRET.encode(), KEY.encode()} & {*path.read_bytes().split()}


@pytest.mark.wide
def test_run_takes_one_clip_of_a_store(store: Store) -> None:
    done = subprocess.run(
        command("run", "input=s3://bkt/clips/a.mp4", "output=s3://bkt/one.mp4"), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert frames_in(store.get("one.mp4")) == 3
    assert not Path("batch.journal").exists()
    again = run_here("input=s3://bkt/clips/a.mp4", "output=s3://bkt/one.mp4")
    assert again.code == 2
    assert "s3://bkt/one.mp4" in again.err


def test_run_sends_a_local_clip_to_a_store(store: Store) -> None:
    done = run_here("input=clip.mp4", "output=s3://bkt/two.mp4")
    assert done.code == 0, done.err
    assert frames_in(store.get("two.mp4")) == 5


@pytest.mark.wide
def test_run_takes_the_clips_of_a_pattern(store: Store) -> None:
    words = ("input=s3://bkt/clips/*.mp4", "output=s3://bkt/run/{stem}.mp4")
    done = run_here(*words)
    assert done.code == 0, done.err
    assert store.names("run/") == ["run/a.mp4", "run/b.mp4"]


@pytest.mark.wide
def test_a_process_for_each_clip(store: Store) -> None:
    (done,) = batch("launcher=local", **ONE, output="s3://bkt/x2/a.mp4")
    assert (done.error, frames_in(store.get("x2/a.mp4"))) == (None, 3)


def replace_an_input(store: Store) -> None:
    store.put("clips/a.mp4", store.get("clips/b.mp4"))


def delete_an_output(store: Store) -> None:
    store.client.delete_object(Bucket="bkt", Key="x2/a.mp4")


@pytest.mark.wide
def test_what_has_changed_runs_again(store: Store) -> None:
    values = {**ONE, "output": "s3://bkt/x2/a.mp4", "report": "s3://bkt/r.json"}
    batch(**values)
    plans = [json.loads(store.get("r.json"))["plan"]]
    for change, frames in ((delete_an_output, 3), (replace_an_input, 4)):
        change(store)
        (again,) = batch(**values)
        assert (again.clip, again.error) == ("s3://bkt/clips/a.mp4", None)
        assert frames_in(store.get("x2/a.mp4")) == frames
        plans.append(json.loads(store.get("r.json"))["plan"])
    # The names of the copies are no part of a plan.
    assert plans[0] == plans[1] != plans[2]


@pytest.mark.wide
def test_an_object_of_somebody_else_stays(store: Store) -> None:
    store.put("x2/a.mp4", b"mine")
    failed = [each for each in batch("on_error=skip") if each.error]
    (problem,) = failed[0].error.problems
    assert (len(failed), problem.code, problem.path) == (1, "E220", "pipeline.nodes.sink.path")
    assert store.get("x2/a.mp4") == b"mine"
    (done,) = batch("overwrite=true")
    assert (done.clip, frames_in(store.get("x2/a.mp4"))) == ("s3://bkt/clips/a.mp4", 3)


@pytest.mark.wide
def test_an_object_that_appears_during_the_run_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    original = bg.Job.run

    def run(job: bg.Job, **options: Any) -> bg.RunResult:
        store.put("x2/a.mp4", b"mine")
        return original(job, **options)

    monkeypatch.setattr(bg.Job, "run", run)
    (failed,) = batch("on_error=skip", input="s3://bkt/clips/a.mp4", output="s3://bkt/x2/a.mp4")
    assert (failed.error.problems[0].code, store.get("x2/a.mp4")) == ("E220", b"mine")


@pytest.mark.wide
def test_clips_and_outputs_here_and_there(store: Store) -> None:
    Path("m.csv").write_text("input,output\ns3://bkt/clips/a.mp4,out/{stem}.mp4\nclip.mp4,s3://bkt/x2/local.mp4\n")
    store.put("m.csv", Path("m.csv"))
    for manifest in ("m.csv", "s3://bkt/m.csv"):
        assert len(batch(input=manifest, report="{stem}.json")) == (2 if manifest == "m.csv" else 0)
    assert json.loads(Path("a.json").read_text())["config"]["input"] == "s3://bkt/clips/a.mp4"
    assert str(Path("tmp").absolute()) not in Path("a.json").read_text() + Path("clip.json").read_text()
    assert frames_in(Path("out/a.mp4").read_bytes()) == 3
    assert frames_in(store.get("x2/local.mp4")) == 5


def test_two_clips_that_would_write_one_object(store: Store) -> None:
    with pytest.raises(
        BmfgraphError, match=r"'s3://bkt/clips/a.mp4' and 's3://bkt/clips/deep/a.mp4' would both"
    ) as caught:
        batch(output="s3://bkt/x2/{stem}.mp4")
    assert caught.value.problems[0].code == "E222"


def test_no_output_stays_if_one_cannot_be_sent(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    original = s3fs.S3FileSystem._put_file

    async def put(system: Any, local: str, name: str, *arguments: Any, **options: Any) -> None:
        if name.endswith(".json"):
            await original(system, local, name, *arguments, **options)
        else:
            raise OSError("the line is cut")

    monkeypatch.setattr(s3fs.S3FileSystem, "_put_file", put)
    (failed,) = batch("on_error=skip", **ONE, output="s3://bkt/longer/name.mp4", report="s3://bkt/r.json")
    assert failed.error.problems[0].code == "E428"
    assert [name for name in store.names() if not name.startswith("clips/")] == []


@pytest.mark.wide
def test_new_objects_are_taken_while_it_watches(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bmfgraph.batches.watch._POLL", 0.05)
    running = bg.batch(
        "super_resolution", *WORDS, "watch=true", input="s3://bkt/new/", output="{stem}.mp4", model=MODEL
    )
    looks: list[str] = []
    original = s3fs.S3FileSystem._ls

    async def ls(system: Any, name: str, *arguments: Any, **options: Any) -> Any:
        looks.append(name)
        if len(looks) == 3:
            raise OSError("the line is cut")
        if len(looks) == 5:
            await system._copy("bkt/clips/b.mp4", "bkt/new/b.mp4")
        return await original(system, name, *arguments, **options)

    store.put("new/a.mp4", store.get("clips/a.mp4"))
    monkeypatch.setattr(s3fs.S3FileSystem, "_ls", ls)
    assert [next(running).clip for _ in range(2)] == ["s3://bkt/new/a.mp4", "s3://bkt/new/b.mp4"]
    running.close()


# ------------------------------------------------------------------------------------------------- listing


@pytest.fixture
def web(store: Store) -> Iterator[str]:
    """Serve a folder with two clips."""
    for name in ("web/clips/a b.mp4", "web/clips/deep/c.mp4"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(Path("clip.mp4").read_bytes())
    Path("web/list.txt").write_text("# clips\ns3://bkt/clips/\nclip.mp4\n")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory="web")) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


LISTS: list[tuple[str | list[str], list[str]]] = [
    ("s3://bkt/clips", ["s3://bkt/clips/a.mp4 a", "s3://bkt/clips/b.mp4 b"]),
    ("s3://bkt/clips/", ["s3://bkt/clips/a.mp4 a", "s3://bkt/clips/b.mp4 b"]),
    ("s3://bkt/clips/**/a.mp?", ["s3://bkt/clips/a.mp4 a", "s3://bkt/clips/deep/a.mp4 deep/a"]),
    ("s3://bkt/clips/b.mp4", ["s3://bkt/clips/b.mp4 b"]),
    ("s3://bkt/odd/[1] #?%20.mp4", ["s3://bkt/odd/[1] #?%20.mp4 [1] #?%20"]),
    ("s3://bkt/up/**/*.mp4", ["s3://bkt/up/../../evil.mp4 evil"]),
    (["s3://bkt/clips/*.mp4", "clip.mp4"], ["s3://bkt/clips/a.mp4 a", "s3://bkt/clips/b.mp4 b", "clip.mp4 clip"]),
    ("s3://bkt/none/*.mp4", []),
    ("{web}/clips/**/*.mp4", ["{web}/clips/a%20b.mp4 a b", "{web}/clips/deep/c.mp4 deep/c"]),
    ("{web}/clips/", ["{web}/clips/a%20b.mp4 a b"]),
    ("{web}/clips/a%20b.mp4?x=*", ["{web}/clips/a%20b.mp4?x=* a b"]),
    ("{web}/list.txt", ["s3://bkt/clips/a.mp4 a", "s3://bkt/clips/b.mp4 b", "clip.mp4 clip"]),
    ("web/list.txt", ["s3://bkt/clips/a.mp4 a", "s3://bkt/clips/b.mp4 b", "clip.mp4 clip"]),
]


def test_lists(store: Store, web: str) -> None:
    for name in ("odd/[1] #?%20.mp4", "up/../../evil.mp4"):
        store.put(name, b"x")
    for value, clips in LISTS:
        whole = value.replace("{web}", web) if isinstance(value, str) else value
        found = [f"{each.clip} {each.relative}".replace(web, "{web}") for each in entries(whole)]
        assert found == clips, value
        assert names_remote(whole) == ("?x" not in whole)


@pytest.mark.wide
def test_clips_of_a_web_server(web: str, store: Store) -> None:
    for count in (2, 0):
        assert len(batch(input=f"{web}/clips/**/*.mp4")) == count
    assert store.names("x2/") == ["x2/a b.mp4", "x2/deep/c.mp4"]


def test_a_signature_stays_out_of_all_files(web: str, store: Store) -> None:
    Path("m.jsonl").write_text(json.dumps({"input": f"{web}/clips/deep/c.mp4?signature=s1gned", "output": "x.mp4"}))
    (done,) = batch(input="m.jsonl", report="r.json")
    assert done.error is None
    for path in (Path("r.json"), *Path("outputs").rglob("*.*")):
        assert b"s1gned" not in path.read_bytes(), path


def test_a_manifest_at_an_address_names_no_program(web: str) -> None:
    for key in ("engine.command", "pipeline.nodes.upscale.engine.python", "engine.allow_host_code"):
        Path("web/m.csv").write_text(f"input,{key}\nx.mp4,y\n")
        with pytest.raises(BmfgraphError, match=f"line 2 of '{web}/m.csv': '{key}' names a program") as caught:
            list(entries(f"{web}/m.csv"))
        assert caught.value.problems[0].code == "E224"
        assert len(list(entries("web/m.csv"))) == 1


# ---------------------------------------------------------------------------------------------------- check


@pytest.mark.wide
def test_check_reads_clips_without_a_download(store: Store) -> None:
    store.put("x2/b.mp4", b"mine")
    Path("m.csv").write_text(
        "input,output,decoder.start\ns3://bkt/clips/a.mp4,s3://bkt/x2/a.mp4,9\ns3://bkt/clips/b.mp4,s3://bkt/x2/b.mp4,\n"
        "s3://bkt/clips/none.mp4,s3://bkt/x2/c.mp4,\ns3://bkt/clips/deep/a.mp4,s3://bkt/x2/d.mp4,\n"
    )
    done = subprocess.run(command("check", "input=m.csv"), capture_output=True, text=True, check=False)
    code, text = done.returncode, done.stdout
    assert code == 2
    assert "E410  pipeline.nodes.source: start 9 s is after the end of 's3://bkt/clips/a.mp4' (0.120 s)" in text
    assert "E220  pipeline.nodes.sink.path: 's3://bkt/x2/b.mp4' exists" in text
    assert "E426  pipeline.nodes.source.path: 's3://bkt/clips/none.mp4' cannot be read" in text
    assert text.splitlines()[-1] == "super_resolution: 3 errors"
    assert "Signature" not in text


def test_check_says_what_it_leaves_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def sign(*arguments: Any, **options: Any) -> str:
        raise NotImplementedError

    monkeypatch.setattr(s3fs.S3FileSystem, "sign", sign)
    job = bg.compose("super_resolution", *WORDS, input="s3://bkt/clips/a.mp4", output="s3://bkt/y.mp4", model=MODEL)
    (problem,) = staging.check_clip(job.config).problems
    assert (problem.code, problem.path) == ("W134", "input")


# ---------------------------------------------------------------------------------------------- what fails


class _Refuse(http.server.BaseHTTPRequestHandler):
    """Answer like a store that does not know the user."""

    def do_GET(self) -> None:
        body = b"<Error><Code>InvalidAccessKeyId</Code><Message>unknown</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_PUT = do_GET

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Refuse) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def nothing(monkeypatch: pytest.MonkeyPatch, refusing: str) -> None:
    pass


def no_credentials(monkeypatch: pytest.MonkeyPatch, refusing: str) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")


def no_permission(monkeypatch: pytest.MonkeyPatch, refusing: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", refusing)


def no_network(monkeypatch: pytest.MonkeyPatch, refusing: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")


def no_fsspec(monkeypatch: pytest.MonkeyPatch, refusing: str) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)


def no_room(monkeypatch: pytest.MonkeyPatch, refusing: str) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(total=1000, used=990, free=1000))


@pytest.mark.sample(12)
@pytest.mark.parametrize(
    ("change", "values", "code", "path", "words"),
    [
        (
            nothing,
            {"input": "s3://none/*.mp4"},
            "E426",
            "input",
            "'s3://none/*.mp4' cannot be listed: there",
        ),
        (nothing, {"input": "s3://none/clips/"}, "E426", "input", "'s3://none/clips/' cannot be listed: there"),
        (
            nothing,
            {"input": "s3://bkt/none.mp4"},
            "E426",
            "pipeline",
            "'s3://bkt/none.mp4' cannot be read: there",
        ),
        (nothing, {"input": "s3://bkt/none.csv"}, "E426", "input", "'s3://bkt/none.csv' cannot be read: there"),
        (
            nothing,
            {**ONE, "output": "s3://none/x.mp4"},
            "E426",
            "pipeline",
            "'s3://none/x.mp4' cannot be written: there",
        ),
        (nothing, {"input": f"s3://{KEY}:{SECRET}@bkt/*.mp4"}, "E427", "input", "'s3://***@bkt/*.mp4' holds"),
        (
            nothing,
            {"journal": "s3://bkt/x.journal"},
            "E225",
            "journal",
            "'s3://bkt/x.journal' is an address",
        ),
        (no_credentials, {}, "E427", "input", "cannot be listed: there are no valid credentials (NoCredentialsError)"),
        (no_credentials, ONE, "E427", "input", "cannot be read: there are no valid credentials (NoCredentialsError)"),
        (no_permission, {}, "E427", "input", "cannot be listed: access is refused (InvalidAccessKeyId)"),
        (no_permission, ONE, "E427", "input", "'s3://bkt/clips/a.mp4' cannot be read: access is refused (403)"),
        (no_network, {}, "E428", "input", "cannot be listed (EndpointConnectionError: Could not connect"),
        (
            no_network,
            {"input": "s3://bkt/m.csv"},
            "E428",
            "input",
            "'s3://bkt/m.csv' cannot be read (Endpoint",
        ),
        (no_fsspec, {}, "E710", "input", "the package that reads s3:// is not installed"),
        (
            no_room,
            ONE,
            "E412",
            "pipeline",
            "'s3://bkt/clips/a.mp4' has 2.6 kB, and 1.0 kB are free for temporary files",
        ),
    ],
)
def test_failures(
    store: Store,
    refusing: str,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[pytest.MonkeyPatch, str], None],
    values: dict[str, Any],
    code: str,
    path: str,
    words: str,
) -> None:
    change(monkeypatch, refusing)
    with pytest.raises(BmfgraphError) as caught:
        batch(**values)
    problem = caught.value.problems[0]
    assert (problem.code, problem.path.partition(".")[0]) == (code, path)
    assert words in problem.message
    assert problem.hint
    texts = [str(caught.value), *(path.read_bytes().decode("latin-1") for path in Path("outputs").rglob("*.*"))]
    assert not [text for text in texts if SECRET in text or KEY in text]
    assert store.names("x2/") == []


@pytest.mark.skipif(importlib.util.find_spec("gcsfs") is not None, reason="gcsfs is installed")
def test_google_cloud_storage_needs_its_package() -> None:
    with pytest.raises(BmfgraphError, match=r"gs:// is not installed\n  → pip install 'bmfgraph\[cloud\]' gcsfs"):
        batch(input="gs://b/*.mp4")


def test_a_failure_of_the_run_names_addresses(store: Store) -> None:
    store.put("clips/a.mp4", b"no video")
    (failed,) = batch("on_error=skip", input="s3://bkt/clips/a.mp4")
    assert "input 's3://bkt/clips/a.mp4' is not a video" in str(failed.error)


# -------------------------------------------------------------------------------------------- what is stopped


def stop(*_: Any) -> None:
    raise Cancelled("interrupted")


def test_a_transfer_that_is_stopped_leaves_nothing(store: Store) -> None:
    Path("big").write_bytes(os.urandom(20 << 20))
    calls: list[int] = []

    def stop_later(*_: Any) -> None:
        calls.append(1)
        if len(calls) > 1:
            stop()

    with pytest.raises(Cancelled):
        staging._send(Path("big"), "s3://bkt/big", "output", stop_later, replaced=False)
    assert store.names("big") == []
    assert not store.client.list_multipart_uploads(Bucket="bkt").get("Uploads")
    staging._send(Path("big"), "s3://bkt/big", "output", lambda _: None, replaced=False)
    assert store.get("big") == Path("big").read_bytes()
    Path("other").write_bytes(bytes(20 << 20))
    with pytest.raises(BmfgraphError, match="'s3://bkt/big' exists"):
        staging._send(Path("other"), "s3://bkt/big", "output", lambda _: None, replaced=False)
    assert store.get("big") == Path("big").read_bytes()
    with pytest.raises(Cancelled):
        staging._fetch("s3://bkt/big", "copy", "input", stop)
    assert not Path("copy").exists()


@contextlib.contextmanager
def slow(address: str) -> Iterator[str]:
    """Pass on what a server sends, at 1 MB a second."""
    host, port = address.removeprefix("http://").split(":")

    class Line(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((host, int(port))) as other, contextlib.suppress(OSError):
                threading.Thread(target=pass_on, args=(self.request, other, 0), daemon=True).start()
                pass_on(other, self.request, 0.064)

    def pass_on(source: socket.socket, target: socket.socket, pause: float) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
                time.sleep(pause)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Line) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.wide
def test_ctrl_c_during_a_download(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("clips/a.mp4", os.urandom(30 << 20))
    with slow(store.address) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        words = command("batch", "input=s3://bkt/clips/*.mp4", "output=s3://bkt/x2/{relpath}.mp4")
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size for path in Path("tmp").glob("*/input*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=20)[1]
    assert (process.returncode, errors.count("error[E800]")) == (130, 1), errors
    assert store.names("x2/") == []
