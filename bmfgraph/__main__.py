"""``python -m bmfgraph``."""

import signal
import sys
from types import FrameType


def run() -> None:
    """Run the command line, and end with 130 on a Ctrl-C at any moment, the first imports included."""
    heard: list[int] = []

    def interrupted(number: int, _: FrameType | None) -> None:
        # Noted, too: inside an import or a destructor Python may drop the exception.
        heard.append(number)
        raise KeyboardInterrupt

    try:
        signal.signal(signal.SIGINT, interrupted)
        from bmfgraph.cli import main

        main(heard=heard)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.exit(130)


if __name__ == "__main__":
    run()
