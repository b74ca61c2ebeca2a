"""The words of verbs that take no configuration, refused in the form that all errors have."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from bmfgraph.errors import ConfigError, did_you_mean

__all__ = ["Parser", "refused"]

_PROGRAM = 4
"""Words before a verb's own: ``python -m bmfgraph VERB``."""


def refused(message: str, prog: str) -> ConfigError:
    """What is wrong with the words of ``prog``, such as ``python -m bmfgraph engines list``."""
    return ConfigError(message, hint=" ".join([*prog.split()[:_PROGRAM], "--help"]), code="E114")


class Parser(argparse.ArgumentParser):
    """Raises ConfigError where argparse would end the process; takes no shortened flags."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        raise refused(message, self.prog)

    def read(
        self, words: Sequence[str], flags: Sequence[str], namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Take the words apart. ``flags``: what an unknown one may have been meant to be. Raises ConfigError."""
        options, unknown = self.parse_known_args(words, namespace)
        if unknown:
            near = did_you_mean(unknown[0].partition("=")[0], flags)
            raise refused(f"unknown word {unknown[0]!r}{near}", self.prog)
        return options
