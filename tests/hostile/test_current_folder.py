"""Files of the current folder with the names of modules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bmfgraph.system.processes import python_command
from tests.runner.command import bmfgraph, start

_MARK = "open('IMPORTED', 'w').write('x')\n"


@pytest.fixture
def names(tmp_path: Path) -> Callable[..., None]:
    """Put modules into the test's folder that leave a file behind when they are imported."""

    def put(*names: str) -> None:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(_MARK)

    return put


def test_child_interpreters_import_nothing_of_the_current_folder(tmp_path: Path, names: Callable[..., None]) -> None:
    names("pip.py", "runpy.py", "json.py", "logging.py", "bmfgraph/__init__.py")
    ended = start(python_command("pip", "--version"), tmp_path).wait()
    assert ended.success().out.startswith("pip ")
    assert not (tmp_path / "IMPORTED").exists()


def test_the_command_imports_nothing_of_the_current_folder(
    tmp_path: Path, names: Callable[..., None], clip: Callable[..., Path]
) -> None:
    names("av.py", "torch.py", "random.py", "tempfile.py")
    clip()
    start(bmfgraph("input=clip.mp4", "output=out.mp4"), tmp_path, fresh=True).wait().success()
    assert (tmp_path / "out.mp4").is_file()
    assert not (tmp_path / "IMPORTED").exists()
