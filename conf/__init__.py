"""bmfgraph's Hydra configuration, packaged as ``bmfgraph.conf``."""
