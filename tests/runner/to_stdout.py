"""Write a clip as y4m to standard output; a process of its own, whose descriptor 1 the tests read."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.runner.media_tools import decoder, run

run(
    {
        "source": decoder(Path(sys.argv[1])),
        "sink": {"kind": "encoder", "inputs": ["source.video"], "path": "-", "container": "yuv4mpegpipe"},
    }
)
