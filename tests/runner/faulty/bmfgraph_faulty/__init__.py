"""A node kind for bmfgraph that fails on demand."""
