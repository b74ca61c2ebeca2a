"""The pages for people: links lead somewhere, the page of the architecture fits the code, README's node pack runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bmfgraph

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

REPOSITORY = Path(__file__).parents[1]
PACKAGE = Path(bmfgraph.__file__).parent
PAGES = (REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted((REPOSITORY / "docs").glob("*.md")))
ARCHITECTURE = (REPOSITORY / "docs" / "architecture.md").read_text()


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_drawing_has_the_order_of_the_import_contract() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    drawing = ARCHITECTURE.split("```")[1]
    rows = [re.split(r"\s{3,}", line.strip())[0] for line in drawing.splitlines()]
    assert [row for row in rows if row not in ("", "|")] == layers


def test_modules_are_short() -> None:
    lengths = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > 350} == {}


def test_every_room_is_in_the_table() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {"conf", "models"}
    assert rooms == set(re.findall(r"^\| `(\w+)/` \|", ARCHITECTURE, re.M))


def test_files_that_the_page_names_exist() -> None:
    names = set(re.findall(r"`(?:\d+\. )?([\w/]+\.py)`", ARCHITECTURE))
    assert len(names) > 40
    missing = [name for name in names if not (PACKAGE / name).exists() and not (REPOSITORY / name).exists()]
    # In a table of patterns, KIND, VERB and VIEW stand for a name.
    assert [name for name in missing if not re.search("KIND|VERB|VIEW", name) and name != "__init__.py"] == []


def test_walks_have_the_numbers_of_the_table() -> None:
    counts = [int(count) for count in re.findall(r"^\| .* \| \d+ \| (\d+) \|$", ARCHITECTURE, re.M)]
    lists = re.findall(r"<details>.*?</details>", ARCHITECTURE, re.S)
    assert [len(re.findall(r"^\d+\. ", text, re.M)) for text in lists] == counts


def test_the_node_pack_of_the_readme_runs(clip: Any, tmp_path: Path) -> None:
    section = (REPOSITORY / "README.md").read_text().partition("## Adding a node")[2]
    pack = tmp_path / "pack"
    (pack / "negative").mkdir(parents=True)
    for name in ("negative/spec.py", "negative/stage.py"):
        code = re.search(rf"```python\n(# {name}\n.*?)```", section, re.S)
        assert code
        (pack / name).write_text(code[1])
    points = re.search(r'(\[)project\.entry-points\."(bmfgraph\.nodes)"\]\n(.*?)```', section, re.S)
    assert points
    # An installed package, without the build.
    (pack / "negative-1.dist-info").mkdir()
    (pack / "negative-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: negative\nVersion: 1\n")
    (pack / "negative-1.dist-info" / "entry_points.txt").write_text(f"[{points[2]}]\n{points[3].replace(chr(34), '')}")
    command = re.search(r"^\$ python -m bmfgraph (.*)$", section, re.M)
    assert command
    clip("in.mp4", frames=3)
    done = subprocess.run(
        f"{sys.executable} -m bmfgraph {command[1]} input=in.mp4 output=out.mp4",
        shell=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(pack), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "out.mp4: 3 frames" in done.stderr
