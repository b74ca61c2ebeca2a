"""``python -m bmfgraph``."""

from bmfgraph.cli import main

if __name__ == "__main__":
    main()
