"""Run ``python -m bmfgraph``."""

import os
import signal
import sys
from types import FrameType

# `python -m` puts the current folder first on the path, where a file such as av.py may have the name of a library.
if __name__ == "__main__" and sys.path[:1] == [os.path.abspath("")]:  # noqa: PTH100 - pathlib would be imported from there
    del sys.path[0]


def run() -> None:
    """Run the command line. Exit with 130 on Ctrl-C at any moment, the first imports included."""

    def leave(number: int, _: FrameType | None) -> None:
        # Nothing has begun, so nothing needs cleaning up. An exception could get lost inside an import.
        # A second signal ends the process if standard error is a full pipe.
        signal.signal(number, signal.SIG_DFL)
        try:  # noqa: SIM105 - contextlib may not be imported yet
            os.write(2, b"bmfgraph: interrupted\n")
        except OSError:
            pass
        os._exit(130)

    # `nohup` ignores SIGHUP.
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if _is_heeded(number)]
    for number in numbers:
        signal.signal(number, leave)
    from bmfgraph.cli.main import main

    try:
        main()
    except KeyboardInterrupt:
        # A second signal while the message of the first was printed.
        sys.exit(130)
    finally:
        # Only the interpreter's own end is left. A signal must not replace the exit code now.
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)


def _is_heeded(number: int) -> bool:
    return number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN


if __name__ == "__main__":
    run()
