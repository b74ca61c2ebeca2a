"""Find out what this machine can run, and the command that fixes what it cannot.

``examine`` returns a ``Finding`` for each part of the machine; ``doctor_command`` prints them. BMF, ONNX Runtime and
the node packs are imported in child processes, because their imports can fail or crash.
"""

from bmfgraph.doctor.command import doctor_command, examine
from bmfgraph.doctor.finding import Finding

__all__ = ["Finding", "doctor_command", "examine"]
