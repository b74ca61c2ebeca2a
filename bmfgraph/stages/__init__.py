"""What runs inside the graph: the stages of the node kinds, and the BMF modules that host them."""

import os

# Torch reads it when it is loaded: threads that spin between two frames take the cores from decoder and encoder.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
