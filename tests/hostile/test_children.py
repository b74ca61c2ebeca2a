"""Child processes: the same bmfgraph, whatever is installed, and folders that parallel processes do not take away."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.runner.command import start

_ASK = """
import subprocess, sys
sys.path.insert(0, {root!r})
from bmfgraph.system.processes import python_command
print(subprocess.run(python_command("bmfgraph.where"), capture_output=True, text=True).stdout)
"""
_FOLDERS = """
from bmfgraph.system.temporary import temporary_folder
for _ in range(300):
    with temporary_folder() as folder:
        (folder / "x").touch()
"""


def test_a_child_imports_the_package_of_its_parent(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "bmfgraph", tmp_path / "bmfgraph", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "bmfgraph" / "where.py").write_text("import bmfgraph\nprint(bmfgraph.__file__)\n")
    ended = start([sys.executable, "-c", _ASK.format(root=str(tmp_path))], tmp_path).wait()
    assert ended.out.strip() == str(tmp_path / "bmfgraph" / "__init__.py")


def test_parallel_processes_leave_each_other_their_temporary_folders(tmp_path: Path) -> None:
    running = [start([sys.executable, "-c", _FOLDERS], tmp_path, env={"TMPDIR": str(tmp_path)}) for _ in range(3)]
    for process in running:
        assert process.wait(60).code == 0
    assert not list(tmp_path.iterdir())
