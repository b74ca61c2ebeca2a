"""Configurations that are tiny and expand without end, or that are damaged or no files at all."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bmfgraph as bg
from bmfgraph.cli.completion import answer
from bmfgraph.config import limits
from bmfgraph.errors import ConfigError
from tests.codes.command import Outcome, run_cli
from tests.runner.command import start

HEAD = """\
# @package _global_
pipeline: {name: p, nodes: {source: {kind: decoder, path: "${input}"}}}
"""
ALIASES = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40))
TEXTS = "a0: xxxxxxxxxx\n" + "".join(f"a{n}: ${{a{n - 1}}}${{a{n - 1}}}\n" for n in range(1, 40))
LISTS = "a0: [1, 2]\n" + "".join(f"a{n}: {['${a' + str(n - 1) + '}'] * 9}\n" for n in range(1, 12))
SELECTIONS = "a0: xx\n" + "".join(f"a{n}: '${{oc.select:a{n - 1}}}${{oc.select:a{n - 1}}}'\n" for n in range(1, 40))

Put = Callable[[str | bytes], None]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Writes the pipeline ``p`` of the test's folder."""
    (tmp_path / "pipeline").mkdir()

    def write(content: str | bytes) -> None:
        path = tmp_path / "pipeline" / "p.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def check(folder: Path, *words: str) -> Outcome:
    return run_cli(" ".join(("check --config-dir . pipeline=p input=a.mp4", *words)), folder)


def problem(outcome: Outcome) -> tuple[str, str, str]:
    (only,) = outcome.problems
    assert outcome.code == 2
    return only["code"], only["where"], only["message"]


def _small() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (500 << 20, 500 << 20))


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("content", "words", "text"),
    [
        (ALIASES, (), "pipeline/p.yaml: it has more than 50,000 values, with every alias replaced by its content"),
        (TEXTS, (), "the ${...} multiply each other"),
        ("", ("-m", "engine.batch=range(0,1000000000)"), "sweep.max_cells: the sweep has 1,000,000,000 cells"),
        (MERGES, (), "pipeline/p.yaml: it has more than 50,000 values, with every alias replaced by its content"),
        (LISTS, (), "the ${...} multiply each other"),
        (LISTS, ("--cfg", "job", "--resolve"), "the ${...} multiply each other"),
        (SELECTIONS, (), "the ${...} multiply each other"),
        ("", ("-m", "engine.batch=shuffle(range(0,1000000000))"), "sweep.max_cells: the sweep has 1,000,000,000 cells"),
        (
            "",
            ("-m", *(f"++a{n}=1,2,3,4,5,6,7,8,9,10" for n in range(9))),
            "sweep.max_cells: the sweep has 1,000,000,000",
        ),
        ("", ("-m", "engine.batch=range(0,5,0)"), "engine.batch: 'range(0,5,0)' has no values, or no end"),
    ],
)
def test_a_small_configuration_stays_small(
    tmp_path: Path, put: Put, content: str, words: tuple[str, ...], text: str
) -> None:
    put(HEAD + content)
    command = [sys.executable, "-m", "bmfgraph", "check", "--config-dir", ".", "pipeline=p", "input=a.mp4", *words]
    ended = start(command, tmp_path, preexec_fn=_small).wait()
    assert text in ended.error(2)
    assert ended.seconds < 10


@pytest.mark.parametrize(
    ("content", "code", "text"),
    [
        (HEAD + f"a: {'[' * 200}{']' * 200}\n", "E116", "it is nested deeper than 50 levels"),
        (HEAD + "".join(f"{' ' * n}a:\n" for n in range(80)), "E116", "it is nested deeper than 50 levels"),
        (HEAD + f"a: [{'x,' * 60_000}]\n", "E116", "it has more than 50,000 values"),
        (HEAD + f"a: {'x' * (1 << 20)}\n", "E116", "cannot be read (it is larger than 1,048,576 bytes)"),
        (HEAD + "a: &a [*a]\n", "E116", "the alias *a is inside its own anchor"),
        (HEAD + f"a: {'9' * 5000}\n", "E116", "a number has more than 1,000 characters"),
        (HEAD + f"a: {'1:' * 40_000}1\n", "E116", "a number has more than 1,000 characters"),
        (HEAD + "a: !!timestamp 2020-99-99\n", "E116", "a value cannot be read: month must be in 1..12"),
        ("# @package a b\n", "E116", "its first comment is wrong"),
        ("[1, 2]\n", "E201", "holds a list, not a mapping"),
        (f"'{ALIASES}'\n", "E201", "holds a single value, not a mapping"),
        (HEAD + f"a: '{'${' * 1000}b{'}' * 1000}'\n", "E116", "nested deeper than 50 levels"),
        (HEAD + f"a: '{'${input}' * 2000}'\n", "E109", "a text with ${...} has more than 5,000 characters"),
        (HEAD + "a: ${oc.create:${b}}\nb: '{x: &x [1], y: *x}'\n", "E109", "the text of oc.create is too large"),
        (HEAD + f"a: ${{oc.decode:${{b}}}}\nb: '{'[' * 2000}{']' * 2000}'\n", "E109", "the text of oc.decode is too"),
        (HEAD + "".join(f"a{n}: ${{a{n + 1}}}\n" for n in range(999)) + "a999: 1\n", "E109", "through too many others"),
        ("# @package _global_\ndefaults: [/pipeline/p]\n", "E106", "a defaults list leads back to its own file"),
        ("name: p\nnodes: {null: {kind: decoder}}\n", "E202", "a key is null in "),
        ("name: p\n~: 1\nnodes: {}\n", "E116", "a key is null in "),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, put: Put, content: str, code: str, text: str) -> None:
    put(content)
    began = time.monotonic()
    found, where, message = problem(check(tmp_path))
    assert (found, text in message) == (code, True), message
    assert "pipeline/p.yaml" in where + message or code in ("E106", "E109")
    assert time.monotonic() - began < 10


def test_a_byte_order_mark_is_no_text(tmp_path: Path, put: Put) -> None:
    put(b"\xef\xbb\xbf" + HEAD.encode())
    assert check(tmp_path).problems[0]["code"] == "E401"
    assert bg.load(tmp_path / "pipeline" / "p.yaml").spec.pipeline is not None


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_no_option(tmp_path: Path, put: Put, kind: str) -> None:
    path = tmp_path / "pipeline" / "p.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    assert problem(check(tmp_path))[0] == "E103"
    assert "pipeline=super_resolution" in answer(f"bmfgraph --config-dir {tmp_path} pipeline=").words
    with pytest.raises(ConfigError, match="cannot be read"):
        bg.load(path)


@pytest.mark.wide
def test_the_api_has_the_same_limits(tmp_path: Path, put: Put) -> None:
    for content, text in ((HEAD + ALIASES, "more than 50,000 values"), (HEAD + TEXTS, "multiply each other")):
        put(content)
        with pytest.raises(ConfigError, match=text):
            bg.load(tmp_path / "pipeline" / "p.yaml", input="a.mp4")
        with pytest.raises(ConfigError, match=text):
            bg.compose("p", config_dir=tmp_path, input="a.mp4")
    many: list[Any] = [1]
    for _ in range(40):
        many = [many, many]
    for value, text in ((many, "more than 50,000 values"), ({None: 1}, "a key is null")):
        with pytest.raises(ConfigError, match=text):
            bg.load({"name": "p", "nodes": {}, "more": value})
        with pytest.raises(ConfigError, match=text):
            bg.compose("super_resolution", samples={"more": value})


@pytest.mark.parametrize(
    ("word", "code", "text"),
    [
        (f"++a={'[' * 2000}{']' * 2000}", "E105", "nested deeper than 50 levels"),
        (f"++a={'{a:' * 2000}1{'}' * 2000}", "E105", "nested deeper than 50 levels"),
        (f"++a={'${' * 9_000}b{'}' * 9_000}", "E105", "nested deeper than 50 levels"),
        (f"++a={'x' * 60_000}", "E105", "the overrides have more than 50,000 characters"),
        (f"++a={'${input}' * 1000}", "E109", "a text with ${...} has more than 5,000 characters"),
        (f"engine.batch={'9' * 5000}", "E105", "a number has more than 1,000 digits"),
    ],
)
def test_an_override_has_limits(tmp_path: Path, put: Put, word: str, code: str, text: str) -> None:
    put(HEAD)
    began = time.monotonic()
    found, where, message = problem(check(tmp_path, f"'{word}'"))
    assert (found, where, message.endswith(text) or text in message) == (code, word.partition("=")[0], True)
    assert time.monotonic() - began < 10


def test_limits_leave_room_for_real_configurations(tmp_path: Path, put: Put) -> None:
    labels = ", ".join(f"label {number}" for number in range(1000))
    put(HEAD + f"labels: [{labels}]\nbrackets: '{'[' * 100}'\nagain: ${{labels}}\nhome: ${{oc.env:HOME,none}}\n")
    assert check(tmp_path, "'++more=\"" + "[" * 100 + "\"'").problems[0]["code"] == "E401"
    outcome = check(tmp_path, "-m", f"++a={','.join(map(str, range(20)))}", "++b=range(0,20)", "sweep.max_cells=399")
    assert problem(outcome)[:2] == ("E118", "sweep.max_cells")
    assert limits.MAX_CELLS == 1000


@pytest.mark.wide
def test_only_messages_with_codes_are_printed(tmp_path: Path, put: Put) -> None:
    put(HEAD)
    command = [sys.executable, "-m", "bmfgraph", "check", "--config-dir", ".", "pipeline=p", "input=a.mp4"]
    ended = start([*command, "++a=${oc.deprecated:input}"], tmp_path).wait()
    assert (ended.code, ended.err) == (2, "")
