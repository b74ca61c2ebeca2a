"""``python -m bmfgraph``."""

import signal
import sys

if __name__ == "__main__":
    try:
        from bmfgraph.cli import main

        main()
    except KeyboardInterrupt:
        # While modules are still being imported, or on the way out.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.exit(130)
