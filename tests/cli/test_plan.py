"""Test the output of ``plan`` and ``check``: forms, files, differences, terminals, pipes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bmfgraph.cli.help import PLAN_FORMATS
from bmfgraph.cli.main import main
from tests.tools import shaped_model

Run = Callable[..., tuple[int, str, str]]
UPSCALE = ("pipeline=super_resolution", "input=clip.mp4", "output=out.mp4")
COPY = """
name: copy
nodes:
  source: {kind: decoder, path: clip.mp4, backend: bmf}
  sink: {kind: encoder, inputs: [source.video], path: out.mp4, backend: bmf}
"""


@pytest.fixture
def here(tmp_path: Path, clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a clip and a pipeline of BMF's own nodes in ``conf``."""
    clip("clip.mp4")
    (tmp_path / "conf" / "pipeline").mkdir(parents=True)
    (tmp_path / "conf" / "pipeline" / "copy.yaml").write_text(COPY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a command line in this process; its exit code, and what it printed on both streams."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(sys, "argv", ["bmfgraph"])

    def do(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(words)
        assert isinstance(end.value.code, int)
        return (end.value.code, *capsys.readouterr())

    yield do
    for number, handler in handlers.items():
        signal.signal(number, handler)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "bmfgraph", *words]


# --------------------------------------------------------------------------------------------------------- the forms


def test_json_is_the_default_and_stable(run: Run) -> None:
    code, out, err = run("plan", *UPSCALE)
    assert (code, err) == (0, "")
    plan = json.loads(out)
    assert plan["name"] == "super_resolution"
    assert {"source", "upscale", "sink"} <= {node["name"] for node in plan["nodes"]}
    assert run("plan", "--json", *UPSCALE) == run("plan", *UPSCALE, "--json") == (0, out, "")


def test_the_table(run: Run) -> None:
    code, out, err = run("plan", *UPSCALE, "--table")
    assert (code, err) == (0, "")
    assert out.startswith("super_resolution: 7 nodes in 5 BMF nodes")
    assert "64x48 yuv420p" in out
    assert "uint8 1x3x96x128" in out
    assert "\x1b" not in out


def test_the_drawings(run: Run, here: Path) -> None:
    assert run("plan", "--mermaid", *UPSCALE)[1].startswith("flowchart LR\n")
    svg = ElementTree.fromstring(run("plan", "--svg", *UPSCALE)[1])
    assert svg.tag.endswith("svg")
    assert run("plan", "--png", "--output", "plan.png", *UPSCALE) == (0, "", "")
    assert (here / "plan.png").read_bytes().startswith(b"\x89PNG")


def test_the_graph_of_bmf(run: Run) -> None:
    code, out, err = run("plan", "--bmf", "--config-dir", "conf", "pipeline=copy")
    assert (code, err) == (0, "")
    assert [node["module_info"]["name"] for node in json.loads(out)["nodes"]] == [
        "c_ffmpeg_decoder",
        "c_ffmpeg_encoder",
    ]
    code, out, err = run("plan", "--bmf", *UPSCALE)
    assert (code, out) == (2, "")
    assert "BMF alone cannot run " in err


@pytest.mark.parametrize("form", [form for form in PLAN_FORMATS if form not in ("--png", "--bmf")])
def test_a_file_has_what_would_be_printed(run: Run, here: Path, form: str) -> None:
    printed = run("plan", form, *UPSCALE)[1]
    assert run("plan", "--output", "new/folder/plan", form, *UPSCALE) == (0, "", "")
    assert (here / "new" / "folder" / "plan").read_text() == printed


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["--png"], "--png: a PNG goes into a file", "add --output plan.png"),
        (["--table", "--json"], "--json and --table: one form at a time", "leave one of them out"),
        (["--output"], "--output needs a value", "plan --help"),
        (["--tabel"], "'--tabel' (did you mean '--table'?)", "plan --help"),
        (["difff"], "'difff'", ""),
    ],
)
def test_wrong_words(run: Run, words: list[str], message: str, hint: str) -> None:
    code, out, err = run("plan", *UPSCALE, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert hint in err


@pytest.mark.parametrize(
    ("output", "why"),
    [("conf", "Is a directory"), ("clip.mp4/plan", "Not a directory"), ("/dev/full", "No space left on device")],
)
@pytest.mark.parametrize("form", ["--json", "--png"])
def test_a_file_that_cannot_be_written(run: Run, output: str, why: str, form: str) -> None:
    code, out, err = run("plan", form, "--output", output, *UPSCALE)
    assert (code, out) == (2, "")
    assert err.startswith(f"bmfgraph: error[E411]: --output: {output!r} cannot be written ({why})\n  → ")


def test_a_folder_where_nobody_may_write(here: Path, powerless: list[str]) -> None:
    (here / "conf").chmod(0o555)
    done = subprocess.run(
        [*powerless, *command("plan", "--output", "conf/x", *UPSCALE)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "--output: 'conf/x' cannot be written (Permission denied)" in done.stderr


# ------------------------------------------------------------------------------------------------------- differences


def test_plans_that_are_equal(run: Run) -> None:
    same = "no difference here: the same configuration\n"
    assert run("plan", "diff", "engine=fp32", "engine.precision=fp32", *UPSCALE) == (0, same, "")
    code, out, _ = run("plan", "diff", "--json", "engine=fp32", "engine.precision=fp32", *UPSCALE)
    assert code == 0
    assert json.loads(out) == {"plan": {}, "removed": {}, "added": {}, "changed": {}}


def test_plans_that_differ(run: Run) -> None:
    code, out, err = run("plan", "diff", "engine=fp32", "engine=fp32 engine.batch=2 encoder.crf=30", *UPSCALE)
    assert (code, err) == (1, "")
    assert "upscale.params.batch: 1 → 2" in out.splitlines()
    assert any(line.startswith("sink.") and "30" in line for line in out.splitlines())
    code, out, _ = run("plan", "diff", "engine.batch=1", "engine.batch=2", *UPSCALE, "--json")
    assert code == 1
    assert json.loads(out)["changed"]["upscale"]["params.batch"] == [1, 2]


def test_two_pipelines(run: Run) -> None:
    begin = ("plan", "diff", "--config-dir", "conf", "pipeline=copy")
    code, out, err = run(*begin, "pipeline=super_resolution output=out.mp4", "input=clip.mp4")
    assert (code, err) == (1, "")
    assert out.splitlines()[0] == "name: copy → super_resolution"
    assert "+ upscale (inference)" in out.splitlines()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "diff takes two sets of overrides, then the overrides of both"),
        (["engine=fp32"], "diff takes two sets of overrides, then the overrides of both"),
        (["engine=fp32", "engine=nope", *UPSCALE], "engine=nope: there is no such option"),
        (["engine=fp32", "engine=fp16"], "pipeline: needs a value"),
        (["engine.batch=0", "engine.batch=1", *UPSCALE], "engine.batch: 0: must be at least 1"),
    ],
)
def test_what_cannot_be_compared(run: Run, words: list[str], message: str) -> None:
    code, out, err = run("plan", "diff", *words)
    assert (code, out) == (2, "")
    assert message in err


# ------------------------------------------------------------------------------------------ terminals, pipes, letters


@pytest.mark.wide
def test_a_narrow_terminal_has_no_say_in_a_file(run: Run, here: Path) -> None:
    plain = run("plan", "--table", *UPSCALE)[1]
    terminal, end = pty.openpty()
    environment = {**os.environ, "COLUMNS": "40", "TERM": "xterm"}
    words = command("plan", "--table", "--output", "table", *UPSCALE)
    subprocess.run(words, stdout=end, stderr=end, env=environment, check=True)
    os.close(end)
    os.close(terminal)
    assert (here / "table").read_text() == plain


def test_a_narrow_terminal(here: Path) -> None:
    terminal, end = pty.openpty()
    environment = {**os.environ, "COLUMNS": "40", "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    words = command("check", "pipeline=super_resolution", "input=nowhere.mp4")
    with subprocess.Popen(words, stdout=end, stderr=end, env=environment) as process:
        os.close(end)
        out = b""
        while b"1 error\r\n" not in out:
            out += os.read(terminal, 4096)
        assert process.wait(20) == 2
    os.close(terminal)
    assert b"\x1b[1;31merror E401" in out
    text = out.decode()
    for escape in ("\x1b[0m", "\x1b[1m", "\x1b[1;31m"):
        text = text.replace(escape, "")
    assert max(map(len, text.splitlines())) <= 40
    assert "nowhere.mp4" in text


@pytest.mark.sample(1)
@pytest.mark.parametrize("words", [("plan", "--svg"), ("check", "--json")])
def test_nobody_reads(here: Path, words: tuple[str, ...]) -> None:
    with subprocess.Popen(command(*words, *UPSCALE), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.wide
def test_letters_that_a_terminal_lacks(here: Path) -> None:
    def cli(*words: str) -> bytes:
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        done = subprocess.run(command(*words, *UPSCALE[:1]), capture_output=True, env=environment, check=False)
        assert done.stderr == b""
        return done.stdout

    assert b"input 'n?.mp4' does not exist\n              ? check the path" in cli("check", "input=nö.mp4")
    # What programs read is UTF-8 everywhere.
    [problem] = json.loads(cli("check", "--json", "input=nö.mp4").decode())["problems"]
    assert "'nö.mp4'" in problem["message"]


def test_the_origin_of_each_value_of_a_model(here: Path, run: Run) -> None:
    notes = {"task": "detect", "names": "{0: 'cat', 1: 'dog'}", "stride": "32", "license": "AGPL-3.0 License"}
    shaped_model(here / "net.onnx", {"images": (1, 3, 32, 32)}, {"output0": (1, 6, 21)}, notes)
    (here / "conf" / "model").mkdir()
    (here / "conf" / "model" / "net.yaml").write_text("{name: net, file: net.onnx, decode: {preset: yolov8, iou: 0.5}}")
    words = ("--config-dir", "conf", "pipeline=detection", "model=net", "records=out.jsonl", *UPSCALE[1:])
    code, text, _ = run("plan", *words)
    assert code == 0
    model = json.loads(text)["models"]["detect"]
    assert (model["name"], model["file"]) == ("net", "net.onnx")
    assert model["licences"] == [{"licence": "AGPL-3.0 License", "from": "metadata"}]
    assert model["values"]["inputs.images.std"] == {"value": 255, "from": "preset yolov8"}
    assert model["values"]["decode.iou"] == {"value": 0.5, "from": "YAML"}
    assert model["values"]["decode.labels"] == {"value": ["cat", "dog"], "from": "metadata"}
    assert model["values"]["decode.most"] == {"value": 300, "from": "default"}
    table = run("plan", "--table", *words)[1]
    assert "detect: model net, licence AGPL-3.0 License (metadata)\n" in table
    assert "  YAML                      decode: iou 0.5, preset yolov8\n" in table
    assert (
        "  preset yolov8             outputs.output0: dims [batch, fields, candidates], fields [box, scores]\n" in table
    )
    assert "  metadata                  decode: labels [cat, dog]\n" in table
