"""Run a plan: checks, BMF's graph, monitoring and results."""
