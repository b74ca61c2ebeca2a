"""Write files of records for the tests of accuracy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def write(path: Path, records: Sequence[Record]) -> Path:
    """Write JSON Lines, one record for each frame, at 25 frames a second."""
    lines = ({"frame": number, "pts": number / 25} | record for number, record in enumerate(records))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
