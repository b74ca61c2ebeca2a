"""The folder of the table, and what its rows tell, each asked once."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from bmfgraph.system import ffmpeg4
from tests.codes.command import Told, run_words
from tests.codes.engines import fill_engines
from tests.codes.row import Row
from tests.codes.shop import fill

__all__ = ["Shop"]


class Shop:
    """Runs rows in a folder that has all they speak of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._engines: dict[str, str] = {}
        self._told: dict[Row, Told] = {}

    def told(self, row: Row) -> Told:
        """What the row tells; skips where this machine cannot make that mistake."""
        if why := self.unfit(row):
            pytest.skip(why)
        if row not in self._told:
            self._told[row] = run_words(self._filled(row.words), self.folder, row.situation)
        return self._told[row]

    def unfit(self, row: Row) -> str:
        """Why the row cannot be provoked here; empty if it can."""
        if row.bundled and ffmpeg4._system_libraries():
            return "the system's FFmpeg 4 may have what decord's lacks"
        if "<" in row.words and importlib.util.find_spec("tensorrt_rtx_bindings") is None:
            return "pip install 'bmfgraph[rtx]'"
        return ""

    def text(self, row: Row) -> str:
        """What its message must hold."""
        return row.text.replace("<shop>", str(self.folder))

    def _filled(self, words: str) -> str:
        if "<" in words and not self._engines:
            self._engines = fill_engines(self.folder)
        return re.sub(r"<(\w+)>", lambda match: self._engines[match[1]], words)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The folder, filled."""
    folder = tmp_path_factory.mktemp("shop")
    fill(folder)
    return Shop(folder)
