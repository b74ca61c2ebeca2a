"""Keep how well a model, with its config, has equalled its origin: a parity certificate in the user's cache folder.

A certificate belongs to the bytes of the model file and to the declaration of its tensors. When either changes, there
is none.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bmfgraph.system.files import cache_folder
from bmfgraph.system.untrusted import check_private, has_form, make_private_folder, read_json, replace_file

__all__ = ["Certificate", "load_certificate", "store_certificate"]

_FORM = {
    "model": str,
    "declaration": str,
    "date": str,
    "origin": str,
    "frames": int,
    "matched": int,
    "least_iou": (None, float, int),
    "score_difference": (float, int),
    "picture": str,
    "runtime": str,
}


@dataclass(frozen=True)
class Certificate:
    """A comparison with the origin that has succeeded."""

    model: str
    """SHA-256 of the model file."""
    declaration: str
    """SHA-256 of the declaration."""
    date: str
    """Day of the comparison, ISO 8601."""
    origin: str
    """Name of the file with the origin's predictions."""
    frames: int
    matched: int
    """Boxes, classes or texts that were compared."""
    least_iou: float | None
    """Of the boxes; None where there are none."""
    score_difference: float
    """Greatest difference of scores."""
    picture: str
    """SHA-256 of the picture or clip."""
    runtime: str
    """Runtime, its version and precision."""

    def __str__(self) -> str:
        overlap = f"least IoU {self.least_iou:.4g}, " if self.least_iou is not None else ""
        return (
            f"parity: {overlap}greatest score difference {self.score_difference:.4f} against {self.origin}, "
            f"{self.date} ({self.runtime})"
        )


def _file(model: str, declaration: str) -> Path:
    return cache_folder() / "parity" / f"{model[:32]}-{declaration[:32]}.json"


def store_certificate(certificate: Certificate) -> Path:
    """Store a certificate in place of an earlier one, and return its file.

    Raises:
        OSError: The cache folder cannot be written to, or is not private.
    """
    file = _file(certificate.model, certificate.declaration)
    make_private_folder(file.parent)
    replace_file(file, json.dumps(asdict(certificate)).encode())
    return file


def load_certificate(model: str, declaration: str) -> Certificate | None:
    """Return the certificate of a model with a declaration; None where there is none, or it cannot be trusted.

    Args:
        model: SHA-256 of the model file.
        declaration: SHA-256 of the declaration.
    """
    with contextlib.suppress(OSError, ValueError, TypeError):
        file = _file(model, declaration)
        check_private(file.parent)
        content = read_json(file, 1 << 16, follow=False)
        if has_form(content, _FORM) and (content["model"], content["declaration"]) == (model, declaration):
            return Certificate(**content)
    return None
