"""The codes of errors and warnings, and the page that explains them."""

from __future__ import annotations

import ast
import json
import pickle
import re
from collections import Counter
from copy import deepcopy
from functools import lru_cache
from pathlib import Path

import pytest

from bmfgraph import error_codes
from bmfgraph.error_codes import CODES
from docs.generate import errors_page
from tests.conftest import REPOSITORY

PAGE = REPOSITORY / "docs" / "errors.md"


@lru_cache(maxsize=1)
def modules() -> dict[Path, ast.Module]:
    """Return the modules that name codes; other interpreters run trt_process.py, which imports nothing of bmfgraph."""
    files = (REPOSITORY / "bmfgraph").rglob("*.py")
    return {
        path: ast.parse(path.read_text())
        for path in files
        if "error_codes" not in path.parts and path.name != "trt_process.py"
    }


def used() -> set[str]:
    """Return every code that the source names."""
    nodes = (node for tree in modules().values() for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return {
        getattr(error_codes, node.attr)
        for node in nodes
        if isinstance(node.value, ast.Name) and node.value.id == "codes"
    }


def test_every_code_that_is_used_is_explained_and_the_other_way_round() -> None:
    assert used() == set(CODES)


def test_the_page_is_current(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--regenerate-golden"):
        PAGE.write_text(errors_page())
    assert PAGE.read_text() == errors_page(), "python -m pytest tests/test_error_codes.py --regenerate-golden"


def test_entries_are_sentences_in_the_order_of_their_codes() -> None:
    assert list(CODES) == sorted(CODES)
    for code, entry in CODES.items():
        assert entry.meaning.endswith("."), code
        assert entry.fix.endswith("."), code
    meanings = [entry.meaning for entry in CODES.values()]
    assert len(set(meanings)) == len(meanings)


def test_a_page_on_disk_is_markdown_that_has_each_code_once() -> None:
    text = Path(PAGE).read_text()
    assert Counter(re.findall(r"^\| ([EW]\d{3}) \|", text, re.MULTILINE)) == Counter(list(CODES))


def test_no_module_writes_a_code_as_text() -> None:
    code = re.compile(r"\b[EW]\d{3}\b")
    for path, tree in modules().items():
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings)
        bare = [node.value for node in constants if isinstance(node.value, str) and code.search(node.value)]
        assert bare == [], f"{path.relative_to(REPOSITORY)}: write codes.NAME, from bmfgraph.error_codes"


def test_a_code_is_plain_text_elsewhere() -> None:
    code = error_codes.UNKNOWN_KEY
    assert f"{code}" == str(code) == code == "E203"
    assert json.dumps({"code": code}) == '{"code": "E203"}'
    for copy in (pickle.loads(pickle.dumps(code)), deepcopy(code)):
        assert (type(copy), copy) == (str, "E203")
