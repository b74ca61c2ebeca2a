"""Shell completion of the verb; what follows it is completed by Hydra."""

from __future__ import annotations

import os
from collections.abc import Sequence

from bmfgraph.usage import VERBS

__all__ = ["complete"]


def complete(words: Sequence[str]) -> bool:
    """Answer a shell that asks how the first word goes on, and say whether that was all that it asked.

    For all other questions the verb is taken out of the line that the shell hands on (``COMP_LINE``).
    """
    if not any(word.startswith("query=") for word in words):
        return False
    program, *line = os.environ.get("COMP_LINE", "").split(" ")
    line = [word for number, word in enumerate(line) if word or number == len(line) - 1]
    if len(line) <= 1 and (verbs := [verb for verb in VERBS if verb.startswith(line[0] if line else "")]):
        print(" ".join(verbs) if words[-1] == "query=bash" else "\n".join(verbs))
        return bool(line and line[0])
    if line and line[0] in VERBS:
        os.environ["COMP_LINE"] = " ".join([program, *line[1:]])
    return False
