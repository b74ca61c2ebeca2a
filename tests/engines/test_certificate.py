"""Test that a parity certificate counts only for its model and declaration, and only in a private folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bmfgraph.engines.certificate import Certificate, load_certificate, store_certificate

MODEL, DECLARATION = "a" * 64, "b" * 64
CERTIFICATE = Certificate(
    MODEL, DECLARATION, "2026-11-28", "origin.jsonl", 1, 3, 0.998, 0.0004, "c" * 64, "onnxruntime 1.32.0, fp32"
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Store a certificate, and return its file."""
    monkeypatch.setenv("BMFGRAPH_CACHE", str(tmp_path / "cache"))
    return store_certificate(CERTIFICATE)


def test_a_certificate_is_found_by_model_and_declaration(file: Path) -> None:
    assert load_certificate(MODEL, DECLARATION) == CERTIFICATE
    assert load_certificate("d" * 64, DECLARATION) is None
    assert load_certificate(MODEL, "d" * 64) is None
    # Names hold a part of the checksums only.
    assert load_certificate(MODEL, DECLARATION[:32] + "d" * 32) is None
    newer = replace(CERTIFICATE, least_iou=None, date="2026-11-29")
    assert store_certificate(newer) == file
    assert load_certificate(MODEL, DECLARATION) == newer
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_its_text_has_the_numbers_the_origin_and_the_day() -> None:
    assert str(CERTIFICATE) == (
        "parity: least IoU 0.998, greatest score difference 0.0004 against origin.jsonl, 2026-11-28 "
        "(onnxruntime 1.32.0, fp32)"
    )
    assert str(replace(CERTIFICATE, least_iou=None)).startswith("parity: greatest score difference 0.0004 against")


def _linked(file: Path) -> None:
    file.rename(file.with_suffix(".real"))
    file.symlink_to(file.with_suffix(".real"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.parent.chmod(0o777),
        lambda file: file.write_text("{"),
        lambda file: file.write_text(json.dumps({"model": MODEL})),
        lambda file: file.write_text(json.dumps({**json.loads(file.read_text()), "least_iou": "1"})),
        lambda file: file.write_text(json.dumps({**json.loads(file.read_text()), "more": 1})),
        _linked,
    ],
)
def test_what_is_damaged_or_not_private_does_not_count(file: Path, spoil: Callable[[Path], object]) -> None:
    spoil(file)
    assert load_certificate(MODEL, DECLARATION) is None
