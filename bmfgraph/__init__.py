"""Describe a video-AI pipeline in YAML; get it validated, compiled into a BMF graph and run."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
