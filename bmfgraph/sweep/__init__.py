"""Sweeps: many runs of a pipeline, from the words of one command line to a decision."""
