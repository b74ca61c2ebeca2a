"""Run ``python -m bmfgraph``."""

import os
import signal
import sys
from types import FrameType

# `python -m` puts the current folder first on the path, where a file such as av.py may have the name of a library.
if __name__ == "__main__" and sys.path[:1] == [os.path.abspath("")]:  # noqa: PTH100 - pathlib would be imported from there
    del sys.path[0]


def say_interrupted() -> None:
    """Write a line on standard error, without the modules that may be half imported."""
    try:  # noqa: SIM105 - contextlib would be imported from the current folder
        os.write(2, b"bmfgraph: interrupted\n")
    except OSError:
        pass


def run() -> None:
    """Run the command line. Exit with 130 on Ctrl-C at any moment, the first imports included."""

    def leave(number: int, _: FrameType | None) -> None:
        # Nothing has begun, so nothing needs cleaning up. An exception could get lost inside an import.
        say_interrupted()
        os._exit(130)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
    from bmfgraph.cli.main import main

    try:
        main()
    except KeyboardInterrupt:
        say_interrupted()
        sys.exit(130)
    finally:
        # Only the interpreter's own end is left. A signal must not replace the exit code now.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    run()
