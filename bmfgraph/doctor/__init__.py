"""Examine this machine: what works, what does not, and how to fix it."""

from bmfgraph.doctor.command import doctor_command, examine
from bmfgraph.doctor.finding import Finding

__all__ = ["Finding", "doctor_command", "examine"]
