"""Define the BMF modules that run nodes."""
