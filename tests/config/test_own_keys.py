"""Test the keys that a user's pipeline file defines: quoting, errors and completion."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmfgraph.cli.completion import answer
from bmfgraph.cli.completion.shells import Answer
from bmfgraph.config.compose import composed
from bmfgraph.config.overrides import literal_paths, wants_traceback
from bmfgraph.errors import ConfigError

MINE = """\
# @package _global_
defaults:
  - override /model: centerface
subtitles: ${pipeline.name}.srt
title: null
folder: ${engine.store}
pipeline:
  name: mine
  nodes:
    source: {use: "${decoder}", path: "${input}"}
    prepare: {kind: preprocess, inputs: [source.video]}
    detect: {kind: inference, inputs: [prepare], model: "${model}", engine: "${engine}"}
    faces: {kind: detections, inputs: [detect]}
    table: {kind: records, inputs: [faces], path: "${subtitles}"}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``conf/pipeline/mine.yaml``, and a group of the user's own."""
    (tmp_path / "conf" / "pipeline").mkdir(parents=True)
    (tmp_path / "conf" / "pipeline" / "mine.yaml").write_text(MINE)
    (tmp_path / "conf" / "look").mkdir()
    (tmp_path / "conf" / "look" / "dark.yaml").write_text("# @package _global_\ntitle: dark\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("subtitles=x=y.srt", "x=y.srt"),
        ("subtitles=größe.srt", "größe.srt"),
        ("subtitles=~/a,b.srt", f"{Path.home()}/a,b.srt"),
        ("subtitles=a,b.srt", "a,b.srt"),
        ("subtitles=it's [x.srt", "it's [x.srt"),
        ("subtitles='a b.srt'", "a b.srt"),
        ("subtitles=null", None),
        ("subtitles=${output}", "outputs/{stem}_{pipeline}.mp4"),
        ("title=[1,2]", [1, 2]),
        ("title=3", 3),
        ("++extra=ü.txt", "ü.txt"),
    ],
)
def test_values_are_taken_as_they_are(folder: Path, override: str, value: object) -> None:
    key = override.partition("=")[0].lstrip("+")
    assert composed(["pipeline=mine", override, "--config-dir", "conf"])[key] == value


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "subtitles=a.srt,b.srt"],
        ["-m", "subtitles=a=1.srt,b.srt"],
        ["--config-dir", "conf", "+look=dark,light"],
        ["engine=fp16,fp32"],
        ["device=cpu,cuda"],
        ["engine.batch=1,2"],
        ["hydra/launcher=a,b"],
        ["subtitles"],
        ["~subtitles"],
    ],
)
def test_sweeps_groups_and_typed_keys_stay(folder: Path, arguments: list[str]) -> None:
    assert literal_paths(arguments) == arguments


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("subtitels=a.srt", "subtitels: there is no such key (did you mean 'subtitles'?); keys: debug, "),
        ("subtitel.x=a.srt", "subtitel.x: there is no such key (did you mean 'subtitles.x'?)"),
        ("inptu=ü.mp4", "inptu: there is no such key (did you mean 'input'?)"),
        ("pipeline=größe", "'pipeline=größe' is not an override\n  → a name with other letters than a to z needs "),
        ('pipeline="größe"', "pipeline=größe: there is no such option"),
    ],
)
def test_errors_know_the_keys_of_the_pipeline(folder: Path, override: str, message: str) -> None:
    pipeline = [] if override.startswith("pipeline") else ["pipeline=mine"]
    with pytest.raises(ConfigError) as caught:
        composed([*pipeline, "engine.batch=2", override, "--config-dir", "conf"])
    assert str(caught.value).startswith(message)


def test_errors_name_the_keys_even_if_more_is_wrong(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        composed(["pipeline=mine", "subtitels=a.srt", "inptu=b", "--config-dir", "conf"])
    assert "subtitles, sweep, target, title" in str(caught.value)


@pytest.mark.parametrize(
    ("word", "answered"),
    [
        ("sub", Answer("sub", {"subtitles=": ""})),
        ("ti", Answer("ti", {"title=": ""})),
        ("subtitles=a", Answer("subtitles=", kind="files", name="a")),
        ("title=", Answer("title=")),
        ("pipeline.nodes.table.path=", Answer("pipeline.nodes.table.path=", kind="files")),
    ],
)
def test_completion(folder: Path, word: str, answered: Answer) -> None:
    assert answer(f"bmfgraph --config-dir conf pipeline=mine {word}") == answered


@pytest.mark.parametrize(
    ("arguments", "config", "expected"),
    [
        (["debug=true"], None, True),
        (["debug=True"], None, True),
        (["++debug='true'"], None, True),
        (["debug=true", "debug=false"], None, False),
        (["input=debug"], None, False),
        (["debug=true"], {"debug": False}, False),
        ([], {"debug": True}, True),
    ],
)
def test_tracebacks(arguments: list[str], config: dict[str, object] | None, expected: bool) -> None:
    assert wants_traceback(arguments, config) == expected
