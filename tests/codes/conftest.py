"""Run the rows of the table in their folder, each once."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from bmfgraph.system import ffmpeg4
from tests.codes.command import Outcome, run_cli
from tests.codes.engines import fill_engines
from tests.codes.row import Row
from tests.codes.shop import fill

__all__ = ["Shop"]


class Shop:
    """Run rows in a folder that has all files that they name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._engines: dict[str, str] = {}
        self._outcomes: dict[Row, Outcome] = {}

    def outcome(self, row: Row) -> Outcome:
        """Return the outcome of the row; skip the test if this machine cannot run it."""
        if reason := self.unfit(row):
            pytest.skip(reason)
        if row not in self._outcomes:
            self._outcomes[row] = run_cli(self._filled(row.words), self.folder, row.situation)
        return self._outcomes[row]

    def unfit(self, row: Row) -> str:
        """Return why this machine cannot run the row; empty if it can."""
        if row.bundled and ffmpeg4._system_libraries():
            return "the system's FFmpeg 4 may have what decord's lacks"
        if "<" in row.words and importlib.util.find_spec("tensorrt_rtx_bindings") is None:
            return "pip install 'bmfgraph[rtx]'"
        return ""

    def text(self, row: Row) -> str:
        """Return the text that the message must contain."""
        return row.text.replace("<shop>", str(self.folder))

    def _filled(self, words: str) -> str:
        if "<" in words and not self._engines:
            self._engines = fill_engines(self.folder)
        return re.sub(r"<(\w+)>", lambda match: self._engines[match[1]], words)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Return the table's folder with all of its files."""
    folder = tmp_path_factory.mktemp("shop")
    fill(folder)
    return Shop(folder)
