"""Describe this computer: files, processes, GPU, libraries and terminal."""
