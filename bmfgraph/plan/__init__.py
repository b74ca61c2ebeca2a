"""Describe a compiled pipeline and the ways to look at it."""
