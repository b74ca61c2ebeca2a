"""Test ``--help`` of the program and of each verb, and the hints for mistyped arguments."""

from __future__ import annotations

import re
import sys
from importlib import resources

import pytest

from bmfgraph.cli.help import GROUPS, VERBS, usage
from bmfgraph.cli.main import main
from bmfgraph.config import job
from tests.cli.flags import flags_of

CHOICE = re.compile(rf"\b({'|'.join(GROUPS)})=([a-z]\w+)")


def cli(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int | str | None, str, str]:
    """Return the exit code, stdout and stderr of a command line."""
    with pytest.raises(SystemExit) as end:
        main(words)
    return (end.value.code, *capsys.readouterr())


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = cli([verb, flag], capsys)
    assert (code, err) == (0, "")
    name = "[run]" if verb == "run" else verb
    assert re.match(rf"(usage: )?python -m bmfgraph {re.escape(name)} ", out)
    assert f"python -m bmfgraph {verb}" in out or verb == "run"
    assert out.endswith("\n")


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_says_what_is_there(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = cli([*([verb] if verb else []), "--help"], capsys)[1]
    for flag in flags_of(verb):
        assert re.search(rf"^  {flag}\b", text, re.MULTILINE)
    conf = resources.files("bmfgraph.conf")
    for group, option in CHOICE.findall(text):
        assert (conf / group / f"{option}.yaml").is_file(), f"{group}={option}"
    assert all(len(line) <= 120 for line in text.splitlines())


def test_the_groups_are_those_of_the_configuration() -> None:
    assert GROUPS == job.GROUPS


def test_help_of_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = cli(["--help"], capsys)
    assert (code, out, err) == (0, usage(), "")
    for verb, about in VERBS.items():
        assert f"  {verb:<10}  {about}\n" in out
    assert (
        "  encoder   auto, av1_nvenc, ffv1, hevc_nvenc, measure, mjpeg, mpeg4, nvenc, prores, svtav1, vp9, x264, x265\n"
        in out
    )
    assert "2 the configuration is wrong, 3 done, but frames of the input were lost," in out


def test_help_wins_over_what_else_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["check", "pipeline=nothing", "--help"], ["plan", "--help", "--tabel"], ["build", "x", "-h"]):
        assert cli(words, capsys) == (0, cli([words[0], "--help"], capsys)[1], "")


def test_help_before_a_verb_is_that_of_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["--help", "plan"], capsys) == (0, usage(), "")
    assert cli(["engines", "-h", "list"], capsys) == cli(["engines", "-h"], capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["chekc"], "unknown verb 'chekc' (did you mean 'check'?)"),
        (["Plan", "pipeline=super_resolution"], "unknown verb 'Plan' (did you mean 'plan'?)"),
        (["check", "--jsno"], "'--jsno' (did you mean '--json'?)"),
        (["engines", "lst"], "unknown verb 'lst' (did you mean 'list'?)"),
        (["engines", "list", "--jsno"], "engines list takes no flag '--jsno' (did you mean '--json'?)"),
        (["schema", "--instaled"], "schema takes no flag '--instaled' (did you mean '--installed'?)"),
    ],
)
def test_mistyped_words(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["bmfgraph"])
    code, out, err = cli(words, capsys)
    assert (code, out) == (2, "")
    assert message in err
    assert re.search(r"→ python -m bmfgraph \S*.*--help", err)
