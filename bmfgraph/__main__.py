"""Run ``python -m bmfgraph``."""

import atexit
import gc
import os
import signal
import sys
import threading
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
    # Imports make no garbage.
    gc.disable()
    from bmfgraph.cli.main import main

    gc.enable()
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        # A second signal while the message of the first was printed.
        code = 130
    # A signal must not replace the exit code now.
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
    _end(code)


def _end(code: object) -> None:
    """End the process as Python does, but leave the objects of native libraries alone.

    Their destruction takes a third of a second, and after an interrupted import of torch it sometimes aborts.
    """
    if not isinstance(code, int) or sys.getprofile() or sys.gettrace():
        # A profiler or debugger reports when the exception arrives.
        sys.exit(code)  # type: ignore[arg-type]
    # Python's own end begins with these two, and so does that of multiprocessing's children.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:  # noqa: SIM105 - see above
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(code)


def _is_heeded(number: int) -> bool:
    return number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN


if __name__ == "__main__":
    run()
