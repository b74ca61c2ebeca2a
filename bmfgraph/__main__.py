"""``python -m bmfgraph``."""

import os
import signal
import sys
from types import FrameType


def run() -> None:
    """Run the command line, and end with 130 on a Ctrl-C at any moment, the first imports included."""
    heard: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        # Raising here would be dropped, with a complaint, by whatever part of an import is going on.
        if heard:
            os._exit(130)
        heard.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    from bmfgraph.cli import main

    try:
        main(heard=heard)
    except KeyboardInterrupt:
        # On the way out, such as in a message that nobody reads.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.exit(130)


if __name__ == "__main__":
    run()
