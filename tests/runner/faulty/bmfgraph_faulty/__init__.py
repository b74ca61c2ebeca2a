"""Define a node kind that fails on demand."""
