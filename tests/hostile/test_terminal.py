"""Names that hold characters which control a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bmfgraph.cli.completion import answer
from bmfgraph.doctor.command import _print
from bmfgraph.doctor.finding import Finding
from bmfgraph.errors import Problem
from bmfgraph.system.console import console_output, print_problems, say, stdout_console, write_json, write_stdout
from bmfgraph.system.progress import Progress, show_progress
from bmfgraph.system.text import shown
from tests.codes.command import run_cli
from tests.tools import identity_model

NAME = "a\x1b]0;title\x07\x1b[2J\x9b31m\x7f\r\u202eb\u2066c\x00"
SHOWN = r"a\x1b]0;title\x07\x1b[2J\x9b31m\x7f\x0d\u202eb\u2066c\x00"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
FILE_NAME = "a\x1b]0;title\x07\x1b[2J\x7f\u202eb"


def test_which_characters_are_shown() -> None:
    assert shown(NAME) == SHOWN
    assert shown("\udcff\ufeff\u2028") == r"\udcff\ufeff\u2028"
    for text in ("größe 日本\n\t→ ✓ ░", "", "👩\u200d🚀"):
        assert shown(text) == text


def test_every_writer_shows_them(capsys: pytest.CaptureFixture[str]) -> None:
    with console_output():
        say(NAME)
        print_problems([Problem(NAME, NAME, "E101", NAME)])
    write_stdout(NAME)
    # Rich itself leaves out a few of them.
    stdout_console(500).print(NAME.translate({7: None, 13: None}), style="red")
    _print([Finding(NAME, "ok", NAME, NAME)])
    out, err = capsys.readouterr()
    assert not CONTROL.search(out + err), out + err
    assert (out.count(SHOWN), err.count(SHOWN)) == (4, 4)
    assert SHOWN.replace(r"\x07", "").replace(r"\x0d", "") in out


def test_a_name_begins_no_line_of_its_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = "a\nbmfgraph: error[E999]: b"
    with console_output():
        say(name)
        print_problems([Problem(name, name, "E101", "hint")])
    lines = capsys.readouterr().err.splitlines()
    assert [line[:9] for line in lines] == ["bmfgraph:", "  bmfgrap", "bmfgraph:", "  bmfgrap", "  bmfgrap", "  → hint"]
    (tmp_path / "p.yaml").write_text('name: p\nnodes: {"a\\nerror   E999  b": {kind: decoder, path: "${input}"}}\n')
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "p.yaml").rename(tmp_path / "pipeline" / "p.yaml")
    outcome = run_cli("check --config-dir . pipeline=p input=a.mp4", tmp_path, as_json=False)
    assert "E999" in outcome.out
    assert not [line for line in outcome.out.splitlines() if line.startswith("error   E999")]


def test_json_stays_exact(capsys: pytest.CaptureFixture[str]) -> None:
    data = {NAME: [NAME, "\udcff", "größe\n", 1.5, None]}
    write_json(data)
    out = capsys.readouterr().out
    assert json.loads(out) == data
    assert "größe" in out
    assert not CONTROL.search(out)


@pytest.mark.wide
def test_the_views_of_a_plan(tmp_path: Path, clip: Callable[..., Path]) -> None:
    clip(f"{FILE_NAME}.mp4")
    words = f"pipeline=super_resolution 'input={FILE_NAME}.mp4' 'output={FILE_NAME}_2.mp4'"
    for form in ("", "--table", "--mermaid", "--svg"):
        outcome = run_cli(f"plan {form} {words}", tmp_path)
        assert outcome.code == 0, outcome
        assert not CONTROL.search(outcome.out + outcome.err), form
    other = run_cli(f"plan diff --json encoder.crf=20 'output={FILE_NAME}_3.mp4' {words.rpartition(' ')[0]}", tmp_path)
    assert json.loads(other.out)
    assert not CONTROL.search(other.out + other.err)


def test_the_names_of_a_models_tensors(tmp_path: Path, clip: Callable[..., Path]) -> None:
    clip()
    identity_model(tmp_path / "model.onnx", "float32", {f"in{NAME[:-1]}put": [1, 3, "H", "W"]})
    words = "pipeline=super_resolution model.file=model.onnx input=clip.mp4 output=out.mp4 progress=false"
    for verb in ("check", "check --json", "run", "plan", "build", "run debug=true"):
        outcome = run_cli(f"{verb} {words}", tmp_path, as_json=False)
        assert outcome.code == 2
        assert r"\x1b" in outcome.out + outcome.err or r"\u001b" in outcome.out
        assert not CONTROL.search(outcome.out + outcome.err), verb


def test_the_names_in_a_store(tmp_path: Path) -> None:
    entry = tmp_path / "engines" / FILE_NAME
    entry.mkdir(parents=True)
    (entry / "manifest.json").write_text(json.dumps({"model": NAME, "key": {"runtime": NAME}}))
    for verb in ("list", "list --json", "verify", "verify --json", "prune --dry-run", "prune --dry-run --json"):
        outcome = run_cli(f"engines {verb}", tmp_path)
        assert not CONTROL.search(outcome.out + outcome.err), verb


def test_the_completion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pipeline").mkdir()
    for name in (FILE_NAME, "a\nb", "good"):
        (tmp_path / "pipeline" / f"{name}.yaml").write_text("# Descr\x1bibed.\nname: p\n")
    text = answer(f"bmfgraph --config-dir {tmp_path} pipeline=").text(explained=True)
    assert "pipeline=good\tDescr\\x1bibed.\n" in text
    assert not CONTROL.search(text)
    assert "b\n" not in text.replace("Descr\\x1bibed.\n", "").replace("pipeline=\n", "")


def test_the_composed_configuration(tmp_path: Path) -> None:
    outcome = run_cli(f"run pipeline=super_resolution '++more=\"{FILE_NAME}\"' --cfg job", tmp_path)
    assert (outcome.code, CONTROL.search(outcome.out)) == (0, None)


def test_colours_are_bmfgraphs_own(tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "p.yaml").write_text('name: p\nnodes: {"\\e[31mx": {kind: decoder, path: "${input}"}}\n')
    terminal, end = pty.openpty()
    environment = {**os.environ, "COLUMNS": "160", "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "bmfgraph", "check", "--config-dir", ".", "pipeline=p", "input=a.mp4"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=end, stderr=end, env=environment) as process:
        os.close(end)
        out = b""
        with contextlib.suppress(OSError):
            while part := os.read(terminal, 4096):
                out += part
        assert process.wait(20) == 2
    os.close(terminal)
    text = out.decode()
    assert "\x1b[1;31merror E202\x1b[0m" in text
    assert r"pipeline.nodes.\x1b[31mx" in text
    assert "\x1b[31m" not in text


def test_the_progress_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("bmfgraph.system.progress._is_terminal", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with show_progress() as update:
        assert update is not None
        update(Progress(f"[/x] {NAME}", 1, 2, "frames"))
    err = capsys.readouterr().err
    assert f"[/x] {SHOWN}"[:20] in err
    assert "\x1b]0;" not in err
    assert "\x1b[2J" not in err
