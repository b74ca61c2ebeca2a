"""What runs inside the graph: the stages of the node kinds, and the BMF modules that host them."""
