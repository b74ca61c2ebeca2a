"""``python -m bmfgraph``."""

import gc
import os
import signal
import sys
from types import FrameType


def run() -> None:
    """Run the command line, and end with 130 on a Ctrl-C at any moment, the first imports included."""
    pending_signals: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        # Raising here would be dropped, with a complaint, by whatever part of an import is going on.
        if pending_signals:
            os._exit(130)
        pending_signals.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    # What start-up makes stays to the end: looking through it for garbage takes an eighth of the time of `check`.
    gc.disable()
    from bmfgraph.cli.main import main

    try:
        main(pending_signals=pending_signals)
    except KeyboardInterrupt:
        # On the way out, such as in a message that nobody reads.
        sys.exit(130)
    finally:
        # All that is left is the interpreter's own end, whose exit code shall be ours.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    run()
