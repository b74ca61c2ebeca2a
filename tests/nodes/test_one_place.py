"""A node kind lives in one place: only nodes, stages and the BMF modules refer to the classes of kinds."""

from __future__ import annotations

import ast
from pathlib import Path

import bmfgraph

PACKAGE = Path(bmfgraph.__file__).parent
OWN_ROOMS = ("nodes", "stages", "runner/modules")
NOT_KINDS = {"base", "registry", "engine", "model", "codecs", "palette", "path_kind"}
"""Modules of nodes/ that are shared by kinds."""
KINDS = {path.stem for path in (PACKAGE / "nodes").glob("*.py")} - NOT_KINDS - {"__init__"}


def defined(module: str) -> set[str]:
    """Names of the classes that a module of nodes/ defines."""
    tree = ast.parse((PACKAGE / "nodes" / f"{module}.py").read_text())
    return {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


CLASSES = {name for module in KINDS for name in defined(module)} | {"EncoderParams"}


def faults(path: Path) -> list[str]:
    """References to classes of kinds, and comparisons of ``x.kind``."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        place = f"{path}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bmfgraph.nodes"):
            found += [f"{place} imports {alias.name}" for alias in node.names if alias.name in CLASSES]
        elif isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            found += [f"{place} refers to {name}"] * (name in CLASSES)
        elif isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            kinds = any(isinstance(side, ast.Attribute) and side.attr == "kind" for side in sides)
            words = any(isinstance(part, ast.Constant) and part.value in KINDS | {"sound", "upload", "download"}
                        for side in sides for part in ast.walk(side))  # fmt: skip
            found += [f"{place} compares a kind"] * (kinds and words)
    return found


def test_nobody_else_knows_the_kinds() -> None:
    paths = [path for path in PACKAGE.rglob("*.py") if not path.relative_to(PACKAGE).as_posix().startswith(OWN_ROOMS)]
    assert len(paths) > 100
    assert [fault for path in sorted(paths) for fault in faults(path)] == []


def test_the_rule_finds_what_it_is_for(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(
        "from bmfgraph.nodes.decoder import DecoderParams\n"
        "match = isinstance(node.params, EncoderParams)\n"
        "match = node.kind == 'encoder'\n"
        "match = node.kind in ('upload', 'download')\n"
    )
    assert sorted(fault.partition(" ")[2] for fault in faults(path)) == [
        "compares a kind",
        "compares a kind",
        "imports DecoderParams",
        "refers to EncoderParams",
    ]
