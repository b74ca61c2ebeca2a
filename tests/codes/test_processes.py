"""Test the codes that need their own process: without permissions, or on a full disk."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.codes.command import problems_in
from tests.codes.conftest import Shop
from tests.codes.row import COPY
from tests.runner.command import Ended, message_has, start

Run = Callable[..., Ended]


@pytest.fixture
def run(shop: Shop) -> Run:
    """Return a function that runs a command line to its end, in its own process and the table's folder."""

    def run(words: str, *, before: Sequence[str] = ()) -> Ended:
        command = [*before, sys.executable, "-m", "bmfgraph", *shlex.split(words)]
        return start(command, shop.folder).wait()

    return run


def code_of(ended: Ended) -> str:
    (problem,) = problems_in(ended.out, ended.err)
    return problem["code"]


def test_files_of_others(run: Run, shop: Shop, powerless: list[str]) -> None:
    secret, locked = shop.folder / "secret.mp4", shop.folder / "locked"
    secret.write_bytes((shop.folder / "clip.mp4").read_bytes())
    secret.chmod(0)
    locked.mkdir(mode=0o500)
    ended = run(COPY.replace("check", "check --json") + "input=secret.mp4", before=powerless)
    assert code_of(ended) == "E403"
    message_has(ended.out, "pipeline.nodes.source", "input 'secret.mp4' may not be read", "chmod u.r secret.mp4")
    ended = run(COPY.replace("check", "check --json") + "output=locked/out.mp4", before=powerless)
    assert code_of(ended) == "E411"
    message_has(ended.out, "pipeline.nodes.sink", "output 'locked/out.mp4' cannot be written .Permission denied.")


def test_a_disk_that_is_too_small(run: Run, small_disk: Path) -> None:
    for words, code, exit_code in (("encoder.bit_rate=20M", "E412", 2), ("encoder.bit_rate=3M", "W104", 0)):
        ended = run(COPY.replace("check", "check --json") + f"{words} output={small_disk}/out.mp4")
        assert (ended.code, code_of(ended)) == (exit_code, code), ended
        message_has(ended.out, "pipeline.nodes.sink", "65.5 kB are free", "make room")
